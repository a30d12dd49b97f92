"""A control group for each of root's jobs: the kernel holds how many processes it has.

An ordinary user's processes are held by a limit that root's ignore. Where no group can be made, as in many containers,
what watches the job is all there is (watch.py). Source: the kernel's admin-guide/cgroup-v1/pids and cgroup-v2.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NUMBERS = itertools.count()
_LEAVING_S = 1.0


class Group:
    """For one job with `most` processes; none for an ordinary user."""

    def __init__(self, most: int) -> None:
        self._folder: Path | None = None
        if os.geteuid() != 0:
            return
        for parent in parents():
            _sweep(parent)
            folder = parent / f"smidgen-{os.getpid()}-{next(_NUMBERS)}"
            try:
                folder.mkdir()
                (folder / "pids.max").write_text(str(most))
            except OSError:
                with suppress(OSError):
                    folder.rmdir()
            else:
                self._folder = folder
                return

    def take(self, pid: int) -> None:
        """This process, and whatever it starts from now on."""
        if self._folder is not None:
            with suppress(ProcessLookupError):
                (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Once its processes are dead; waits a moment for the kernel to have noticed."""
        until = time.monotonic() + _LEAVING_S
        while self._folder is not None and self._folder.exists():
            try:
                self._folder.rmdir()
            except OSError:
                if time.monotonic() > until:
                    return
                time.sleep(0.001)
        self._folder = None


@cache
def _sweep(parent: Path) -> None:
    """Removes, once, what processes that were killed had to leave; one that is in use can't be removed."""
    with suppress(OSError):
        for folder in parent.glob("smidgen-*-*"):
            number = folder.name.split("-")[1]
            if number.isdigit() and not Path("/proc", number).exists():
                with suppress(OSError):
                    folder.rmdir()


def parents() -> Iterator[Path]:
    """Groups under which one with a limit can be made: this process' own, or the nearest above it that lends the
    limit."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if "pids" in controllers.split(","):
            yield ROOT / "pids" / path.strip("/")
        if controllers:
            continue
        for mount in (ROOT, ROOT / "unified"):
            own = mount / path.strip("/")
            for folder in (own, *own.parents):
                if not folder.is_relative_to(mount):
                    break
                if "pids" in " ".join(_lines(folder / "cgroup.subtree_control")).split():
                    yield folder
                    break


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
