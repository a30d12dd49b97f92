"""Removes a folder that a program could fill as it liked: however deep, whatever its modes, following no link."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

PREFIX = "smidgen-job-"
"""Of scratch folders; the number of the process that made them follows."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(folder: str) -> None:
    """Never raises; what can't be removed stays. Folders within are moved up to the top first, so none is too deep."""
    with suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(folder)  # noqa: PTH106


@cache
def sweep() -> None:
    """Removes, once, what processes that were killed had to leave. Never raises."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
            number = folder.name.removeprefix(PREFIX).partition("-")[0]
            if number.isdigit() and not psutil.pid_exists(int(number)):
                remove(str(folder))


def _empty(top: int) -> None:
    waiting = deque(_clear(top, top, 0))
    number = 0
    while waiting:
        name = waiting.popleft()
        with suppress(OSError):
            inner = _opened(name, top)
            try:
                found = _clear(inner, top, number)
            finally:
                os.close(inner)
            number += len(found)
            waiting.extend(found)
            os.rmdir(name, dir_fd=top)


def _clear(handle: int, top: int, number: int) -> list[str]:
    """Removes the files of a folder and moves its folders to the top. Returns what these are called there."""
    moved: list[str] = []
    with os.scandir(handle) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        with suppress(OSError):
            if not is_folder:
                os.unlink(name, dir_fd=handle)
            elif handle == top:
                moved.append(name)
            else:
                os.close(_opened(name, handle))  # one that can't be written can't be moved
                new = f".{number + len(moved)}.{os.getpid()}"
                os.rename(name, new, src_dir_fd=handle, dst_dir_fd=top)
                moved.append(new)
    return moved


def _opened(name: str, within: int) -> int:
    """A folder, made readable first: by its descriptor, so that no link can take its place."""
    seen = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    try:
        os.chmod(f"/proc/self/fd/{seen}", 0o700)  # noqa: PTH101
    finally:
        os.close(seen)
    return os.open(name, _FOLDER, dir_fd=within)
