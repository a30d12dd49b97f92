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
from contextlib import suppress
from pathlib import Path

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import Job, Tier, places, scratch, seccomp
from smidgen.tools.sandbox.groups import Group
from smidgen.tools.sandbox.launch import Descriptors
from smidgen.tools.sandbox.limits import kernel_limits
from smidgen.tools.sandbox.watch import WATCHMEN

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
    root = handle = 0

    def __init__(self, job: Job) -> None:
        if job.hidden:
            raise SandboxUnavailable(
                "A rule hides files from tools, and what contains programs here can't hide single files.",
                hint="Install bubblewrap, or give a workspace without such files.",
            )
        scratch.sweep()
        self._scratch = tempfile.mkdtemp(prefix=f"{scratch.PREFIX}{os.getpid()}-")
        self._handles = Descriptors()
        self._group = Group(job.limits.processes + WATCHMEN)
        try:
            own = str(Path(self._scratch).resolve())
            workspace = own if job.workspace is None else str(job.workspace.resolve(strict=True))
            self._orders = marshal.dumps(_orders(job, workspace, own))
            reads, self._tells = self._handles.pipe()
        except BaseException:
            self.close()
            raise
        self.argv: Sequence[str] = (sys.executable, "-I", "-S", str(Path(__file__).with_name("confine.py")), str(reads))
        # The job's own come with its orders: before it is held, they could load anything.
        self.variables: Mapping[str, str] = {"LANG": "C.UTF-8"}
        self.folder = workspace
        self.descriptors: Sequence[int] = (reads,)

    def started(self, pid: int) -> None:
        self._handles.close(*self.descriptors)
        self._group.take(pid)
        rest = memoryview(len(self._orders).to_bytes(8, "little") + self._orders)
        while rest:
            rest = rest[os.write(self._tells, rest) :]
        # It stays open: once it is closed, by our death too, the watchman inside ends the job.

    def status(self, code: int) -> int:
        return code

    def close(self) -> None:
        self._handles.close()
        self._group.close()
        scratch.remove(self._scratch)


def _orders(job: Job, workspace: str, own: str) -> dict[str, object]:
    """What confine.py reads."""
    version = abi()
    refused = [*seccomp.ALWAYS, *seccomp.WITHOUT_NAMESPACES]
    refused += seccomp.SIGNALS if version < SIGNALS_FROM else ()
    refused += seccomp.TRUNCATION if version < TRUNCATION_FROM else ()
    # Of /proc only what DuckDB insists on.
    readable = ["/proc/self/cgroup", *places.SYSTEM, *places.SETTINGS, *map(str, places.interpreter())]
    limits = kernel_limits(job.limits)
    limits[resource.RLIMIT_NPROC] += WATCHMEN + _processes_of_this_user()
    return {
        "argv": list(job.argv),
        "abi": version,
        "read": [place for place in [*readable, workspace] if os.path.exists(place)],  # noqa: PTH110
        "write": [own, *([workspace] if job.writable else [])],
        "devices": list(_DEVICES),
        "limits": limits,
        "variables": places.variables(own, job.variables),
        "filter": seccomp.program(platform.machine(), refused).hex(),
    }


def _processes_of_this_user() -> int:
    """Threads, which is what the kernel counts: without a namespace of its own the job's are counted among them."""
    mine, total = os.getuid(), 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == mine:
                    total += os.stat(f"/proc/{entry.name}/task").st_nlink - 2  # noqa: PTH116
    return total
