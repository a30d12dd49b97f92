"""Writing that survives a crash, and the typed errors of a disk that is full or can't be written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from smidgen.errors import DiskFull, StoreUnwritable

RESERVE_BYTES = 64 * 1024 * 1024
"""Left free on the user's disk after a pull: a disk filled to the last byte breaks other programs."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def writing(path: Path, needed_bytes: int = 0) -> Generator[None, None, None]:
    """Turns an OSError of the block into DiskFull or StoreUnwritable. Nothing is deleted here."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise DiskFull(
                f"The disk is full: {reason} while writing in {path}.",
                hint="Free some space and pull again: what was fetched so far is kept.",
                needed_bytes=needed_bytes,
                free_bytes=free_bytes(path),
            ) from error
        raise StoreUnwritable(
            f"Can't write in {path}: {reason}.",
            hint="Check the folder's permissions, or set SMIDGEN_HOME to a folder that can be written.",
            path=str(path),
        ) from error


def free_bytes(path: Path) -> int:
    """Free space where `path` is or would be made. 0 if even that can't be read."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return 0


def require_space(path: Path, needed_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
    """Raises DiskFull before the first byte if `needed_bytes` plus the reserve don't fit."""
    free = free_bytes(path)
    if needed_bytes > 0 and needed_bytes + reserve_bytes > free:
        raise DiskFull(
            f"Needs {needed_bytes:,} bytes (and leaves {reserve_bytes:,} free), but only {free:,} are free in {path}.",
            hint="Free some space, remove a model that is not needed, or set SMIDGEN_HOME to a folder on another disk.",
            needed_bytes=needed_bytes,
            free_bytes=free,
        )


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable. Windows has no such call: its renames are journalled."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a small file whole: readers see the old bytes or the new ones. Raises OSError."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO, None, None]:
    """A new file beside `path` that takes its place, durably, when the block ends. If that raises, nothing is left of
    it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
