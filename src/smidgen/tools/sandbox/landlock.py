"""Landlock for files and seccomp for the rest, where namespaces can't be had.

A short Python program (confine.py) takes its rights away and then becomes the job's command. The job runs in its
workspace itself, with a scratch folder on disk. It can't read other files, but can find out that they are there.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from smidgen.tools.sandbox import Job, Tier, places, seccomp
from smidgen.tools.sandbox.groups import Group
from smidgen.tools.sandbox.launch import Descriptors
from smidgen.tools.sandbox.limits import kernel_limits

_CREATE_RULESET, _VERSION = 444, 1
SIGNALS_FROM, TRUNCATION_FROM = 6, 3
"""Landlock's ABI that keeps signals within, and that looks at truncation."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def abi() -> int:
    """Landlock's version in this kernel, 0 without it. Source: landlock(7)."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)))


def is_possible() -> bool:
    return abi() > 0 and platform.machine() in seccomp.machines()


class Landlock:
    """A `Launch`."""

    tier: Tier = "landlock"

    def __init__(self, job: Job) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="smidgen-", ignore_cleanup_errors=True)
        scratch = str(Path(self._scratch.name).resolve())
        self._handles = Descriptors()
        self._group = Group(job.limits.processes)
        try:
            workspace = scratch if job.workspace is None else str(job.workspace.resolve(strict=True))
            self._orders = marshal.dumps(_orders(job, workspace, scratch))
        except BaseException:
            self.close()
            raise
        reads, self._tells = self._handles.pipe()
        self.argv: Sequence[str] = (sys.executable, "-I", "-S", str(Path(__file__).with_name("confine.py")), str(reads))
        self.variables: Mapping[str, str] = places.variables(scratch, job.variables)
        self.folder = workspace
        self.descriptors: Sequence[int] = (reads,)

    def started(self, pid: int) -> int:
        self._handles.close(*self.descriptors)
        self._group.take(pid)
        rest = memoryview(self._orders)
        while rest:
            rest = rest[os.write(self._tells, rest) :]
        self._handles.close()
        return 0

    def close(self) -> None:
        self._handles.close()
        self._group.close()
        self._scratch.cleanup()


def _orders(job: Job, workspace: str, scratch: str) -> dict[str, object]:
    """What confine.py reads."""
    version = abi()
    refused = [*seccomp.ALWAYS, *seccomp.WITHOUT_NAMESPACES]
    refused += seccomp.SIGNALS if version < SIGNALS_FROM else ()
    refused += seccomp.TRUNCATION if version < TRUNCATION_FROM else ()
    readable = [*places.SYSTEM, *places.SETTINGS, *map(str, places.interpreter())]
    limits = kernel_limits(job.limits)
    limits[resource.RLIMIT_NPROC] += _processes_of_this_user()
    return {
        "argv": list(job.argv),
        "abi": version,
        "read": [place for place in [*readable, workspace] if os.path.exists(place)],  # noqa: PTH110
        "write": [scratch, *([workspace] if job.writable else [])],
        "devices": list(_DEVICES),
        "limits": limits,
        "filter": seccomp.program(platform.machine(), refused).hex(),
    }


def _processes_of_this_user() -> int:
    """Threads, which is what the kernel counts: without a namespace of its own the job's are counted among them."""
    mine = os.getuid()
    total = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        total += (process.info["num_threads"] or 0) if uids and uids.real == mine else 0
    return total
