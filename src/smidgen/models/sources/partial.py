"""The growing file of a download: bytes in `data`, and in `state.json` what is needed to go on after a crash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from smidgen.models.disk import sync_folder, write_atomically, writing
from smidgen.models.sources import Fetched, Job, Phase, Progress

SYNC_BYTES = 32 * 1024 * 1024
"""Written bytes are made durable this often."""

CHUNK_BYTES = 1024 * 1024


class State(msgspec.Struct, frozen=True, kw_only=True):
    """key: which remote file this is; another key makes the bytes stale. validator: the server's ETag or Last-Modified.
    synced: bytes known to be on disk. parts: bytes of each whole part, for files that come in parts."""

    key: str
    validator: str = ""
    total: int | None = None
    synced: int = 0
    parts: tuple[int, ...] = ()


class Partial:
    """One file being fetched. Use as a context manager: leaving it closes and syncs, and keeps what is there."""

    def __init__(self, job: Job, source: str) -> None:
        self.path = job.folder / "data"
        self.state = State(key="")
        self._state_path = job.folder / "state.json"
        self._job = job
        self._source = source
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        file, self._file = self._file, None
        if file is not None:
            with writing(self.path):
                try:
                    file.flush()
                finally:
                    file.close()

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def load(self, key: str) -> State:
        """What an earlier try left for this key. Anything stale or unreadable is removed."""
        try:
            state = msgspec.json.decode(self._state_path.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            state = State(key="")
        if state.key != key or not self.path.is_file():
            self.discard()
            state = State(key=key)
        self.state = state
        self.size = self.path.stat().st_size if self.path.is_file() else 0
        return state

    def open(self, offset: int) -> None:
        """Cuts the file to `offset`, hashes what stays and gets ready to append. Raises DiskFull, StoreUnwritable."""
        self.__exit__()
        self._hash, self.size = hashlib.sha256(), 0
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("r+b" if self.path.exists() else "w+b")
            self._file = file
            file.truncate(offset)
        while chunk := file.read(CHUNK_BYTES):
            self._hash.update(chunk)
            self.size += len(chunk)
            self.report("hashing", self.size, offset)
        self.save(synced=min(self.state.synced, self.size))

    def write(self, chunk: bytes) -> None:
        file = self._file
        assert file is not None, "write before open"
        with writing(self.path, (self._job.bytes or self.size + len(chunk)) - self.size):
            file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)
        if self.size - self.state.synced >= SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        file = self._file
        assert file is not None, "sync before open"
        with writing(self.path):
            file.flush()
            os.fsync(file.fileno())
        self.save(synced=self.size)

    def save(
        self,
        *,
        validator: str | None = None,
        total: int | None = None,
        synced: int | None = None,
        parts: tuple[int, ...] | None = None,
    ) -> None:
        old = self.state
        self.state = State(
            key=old.key,
            validator=old.validator if validator is None else validator,
            total=old.total if total is None else total,
            synced=old.synced if synced is None else synced,
            parts=old.parts if parts is None else parts,
        )
        with writing(self._state_path):
            write_atomically(self._state_path, msgspec.json.encode(self.state))

    def discard(self) -> None:
        """Forgets all bytes, on disk too."""
        self.__exit__()
        with writing(self.path):
            self.path.unlink(missing_ok=True)
            self._state_path.unlink(missing_ok=True)
        self.state = State(key=self.state.key)
        self._hash, self.size = hashlib.sha256(), 0

    def finish(self, origin: str) -> Fetched:
        """Makes the whole file durable. The caller compares the hash."""
        self.sync()
        self.__exit__()
        with writing(self.path):
            sync_folder(self.path.parent)
        return Fetched(path=self.path, bytes=self.size, sha256=self._hash.hexdigest(), origin=origin)

    def report(self, phase: Phase, done: int, total: int | None) -> None:
        self._job.progress(Progress(phase=phase, done_bytes=done, total_bytes=total, source=self._source))


def hash_file(path: Path, report: Job | None = None, source: str = "") -> str:
    """SHA-256 of a file, in hex. Raises OSError."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if report is not None:
                report.progress(Progress(phase="hashing", done_bytes=done, total_bytes=total, source=source))
    return digest.hexdigest()
