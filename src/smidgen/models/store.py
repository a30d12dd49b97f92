"""The user's model folder. One blob per content, one small record per name; nothing half-written has a final name.

blobs/<sha256>.gguf        whole, checked files
layouts/<sha256>-<n>.gguf  their copies in another layout (copies.py), in the n-th version of it; made again if need be
records/<name>.json        what a name stands for
profiles/<sha256>.json     what was measured of a file: how it is best run (tuned.py)
partial/<key>/             unfinished downloads, one folder per source inside
locks/                     one lock per model being pulled
settings.json              default model, accepted terms
hashes.json                hashes of files outside the folder that were used in place
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from smidgen.errors import InvalidRequest, UnknownModel
from smidgen.models.disk import sync_folder, write_atomically, writing
from smidgen.models.relayout import VERSION

if TYPE_CHECKING:
    from filelock import BaseFileLock

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_LOCK_POLL_S = 0.25


def default_root() -> Path:
    """$SMIDGEN_HOME/models, else the platform's folder for user data."""
    if home := os.environ.get("SMIDGEN_HOME", ""):
        return Path(home).expanduser().absolute() / "models"
    import platformdirs

    return Path(platformdirs.user_data_dir("smidgen", appauthor=False)) / "models"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """spec: what was asked for. source: where it really came from. license: "" if unknown. pulled_at: ISO 8601, UTC."""

    name: str
    spec: str
    file: str
    bytes: int
    sha256: str
    source: str
    license: str
    pulled_at: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    license: str
    terms: str
    accepted_at: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    default: str = ""
    accepted: tuple[Accepted, ...] = ()


class _Hashed(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int
    mtime_ns: int
    inode: int
    sha256: str


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Store:
    """Reading never writes, not even a folder. All writing methods raise DiskFull or StoreUnwritable."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = default_root() if root is None else root

    # --- reading ----------------------------------------------------------------------------------------------------

    def records(self) -> tuple[Record, ...]:
        """All readable records by name; `problems` tells of the others."""
        paths = sorted((self.root / "records").glob("*.json"))
        return tuple(record for path in paths if (record := self._read(path)) is not None)

    def record(self, name: str) -> Record | None:
        return self._read(self._record_path(name)) if _NAME.fullmatch(name) else None

    def blob(self, sha256: str) -> Path:
        return self.root / "blobs" / f"{sha256}.gguf"

    def is_whole(self, record: Record) -> bool:
        """By size alone: quick enough for every start. `Library.verify` reads all bytes."""
        blob = self.blob(record.sha256)
        return blob.is_file() and blob.stat().st_size == record.bytes

    def problems(self) -> tuple[str, ...]:
        """What is wrong in the folder, a sentence each."""
        found: list[str] = []
        for path in sorted((self.root / "records").glob("*.json")):
            record = self._read(path)
            if record is None:
                found.append(f"The record {path.name} can't be read; pull that model again.")
            elif not self.is_whole(record):
                found.append(f"The file of {record.name} is missing or has another size; pull it again.")
        known = {record.sha256 for record in self.records()}
        for blob in sorted((self.root / "blobs").glob("*.gguf")):
            if blob.stem not in known:
                found.append(f"{blob.name} belongs to no model ({blob.stat().st_size:,} bytes).")
        for copy in self._stray_layouts():
            found.append(f"The copy {copy.name} belongs to no model ({copy.stat().st_size:,} bytes).")
        for folder in sorted((self.root / "partial").glob("*")):
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            found.append(f"An unfinished download is kept in partial/{folder.name} ({size:,} bytes).")
        return tuple(found)

    def _record_path(self, name: str) -> Path:
        return self.root / "records" / f"{name}.json"

    def _read(self, path: Path) -> Record | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            return None

    # --- adding and removing ----------------------------------------------------------------------------------------

    def add(self, path: Path, record: Record) -> None:
        """Gives a whole, synced file inside this folder its final name, then writes the record. What the name stood for
        before is removed unless another name stands for it too."""
        if not _NAME.fullmatch(record.name):
            raise InvalidRequest(f"{record.name!r} can't be a model's name: a-z, 0-9, '.', '_' and '-' only.")
        blob = self.blob(record.sha256)
        with self.locked("store"), writing(self.root):
            old = self.record(record.name)
            blob.parent.mkdir(parents=True, exist_ok=True)
            path.replace(blob)
            sync_folder(blob.parent)
            write_atomically(self._record_path(record.name), msgspec.json.encode(record))
            if old is not None:
                self._drop_unused(old.sha256)

    def add_record(self, record: Record) -> None:
        """Another name for a blob that is already here."""
        with self.locked("store"), writing(self.root):
            write_atomically(self._record_path(record.name), msgspec.json.encode(record))

    def remove(self, name: str) -> int:
        """Removes the name, and the file with its copies unless another name stands for it too. Returns the bytes
        freed. Raises UnknownModel."""
        with self.locked("store"), writing(self.root):
            path = self._record_path(name)
            if not _NAME.fullmatch(name) or not path.exists():
                raise UnknownModel(f"There is no model {name} in the store.", near=[])
            record = self._read(path)
            path.unlink()
            sync_folder(path.parent)
            return 0 if record is None else self._drop_unused(record.sha256)

    def _drop_unused(self, sha256: str) -> int:
        blob = self.blob(sha256)
        if any(record.sha256 == sha256 for record in self.records()):
            return 0
        freed = _unlink(*self._layouts(sha256), *self._profiles(sha256))
        return freed + (_unlink(blob) if blob.exists() else 0)

    def drop_blob(self, sha256: str) -> None:
        """For a file found to be damaged: what was made of it may be, too."""
        with writing(self.root):
            _unlink(*self._layouts(sha256))
            self.blob(sha256).unlink(missing_ok=True)

    # --- what was measured of a file ----------------------------------------------------------------------------------

    def profile(self, sha256: str) -> Path:
        """Where the profile that was tuned for the file with this hash is, or would be."""
        return self.root / "profiles" / f"{sha256}.json"

    def write_profile(self, sha256: str, data: bytes) -> None:
        with writing(self.root):
            write_atomically(self.profile(sha256), data)

    def drop_profile(self, sha256: str) -> int:
        """Returns the bytes freed, 0 if there was none."""
        with writing(self.root):
            return _unlink(*self._profiles(sha256))

    def _profiles(self, sha256: str) -> list[Path]:
        path = self.profile(sha256)
        return [path] if sha256 and path.is_file() else []

    # --- copies in another layout -----------------------------------------------------------------------------------

    def layout(self, sha256: str) -> Path:
        """Where the copy of the file with this hash is, or would be."""
        return self.root / "layouts" / f"{sha256}-{VERSION}.gguf"

    def layout_bytes(self, sha256: str) -> int:
        """What copies of the file with this hash take on the disk."""
        return sum(path.stat().st_size for path in self._layouts(sha256))

    def is_current(self, path: Path, sha256: str) -> bool:
        """Whether a file is still the one with this hash, as far as can be told without reading it."""
        return path.is_file() if path == self.blob(sha256) else self.known_hash(path) == sha256

    def drop_layouts(self, sha256: str) -> int:
        """Returns the bytes freed."""
        with writing(self.root):
            return _unlink(*self._layouts(sha256))

    def drop_stray_layouts(self) -> None:
        """Removes copies of an older version, of files that are gone, and unfinished ones, as far as they let
        themselves be. Only for who holds the key "layouts"."""
        unfinished = (self.root / "layouts").glob(".*.tmp")
        for path in (*self._stray_layouts(), *unfinished):
            with suppress(OSError):
                path.unlink()

    def _layouts(self, sha256: str) -> list[Path]:
        return sorted((self.root / "layouts").glob(f"{sha256}-*.gguf")) if sha256 else []

    def _stray_layouts(self) -> list[Path]:
        known = {self.layout(record.sha256) for record in self.records()}
        known |= {self.layout(item.sha256) for path, item in self._hashes().items() if Path(path).is_file()}
        return sorted(path for path in (self.root / "layouts").glob("*.gguf") if path not in known)

    # --- unfinished downloads ---------------------------------------------------------------------------------------

    def partial(self, key: str, source: str) -> Path:
        """The folder of one source of one download, made if need be."""
        folder = self.partials(key) / _digest(source)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def partials(self, key: str) -> Path:
        return self.root / "partial" / _digest(key)

    def drop_partials(self, key: str) -> None:
        folder = self.partials(key)
        if folder.exists():
            with writing(folder):
                shutil.rmtree(folder)

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None] | None = None) -> Generator[None, None, None]:
        """Only one thread of one process on this computer holds a key. `waiting` is called while another one does; an
        exception out of it ends the wait. The lock goes with its process, however that ends."""
        from filelock import FileLock

        path = self.root / "locks" / f"{_digest(key)}.lock"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
        while not _acquired(lock):
            if waiting is not None:
                waiting()
        try:
            yield
        finally:
            lock.release()

    # --- settings ---------------------------------------------------------------------------------------------------

    def settings(self) -> Settings:
        """Unreadable settings count as none: terms are asked for again, the default is the catalogue's."""
        try:
            return msgspec.json.decode((self.root / "settings.json").read_bytes(), type=Settings)
        except (OSError, msgspec.DecodeError):
            return Settings()

    def set_default(self, name: str) -> None:
        with self.locked("settings"):
            self._write_settings(Settings(default=name, accepted=self.settings().accepted))

    def accept(self, license: str, terms: str) -> None:
        with self.locked("settings"):
            old = self.settings()
            new = Accepted(license=license, terms=terms, accepted_at=now())
            self._write_settings(Settings(default=old.default, accepted=(*old.accepted, new)))

    def has_accepted(self, license: str, terms: str) -> bool:
        return any(item.license == license and item.terms == terms for item in self.settings().accepted)

    def _write_settings(self, settings: Settings) -> None:
        path = self.root / "settings.json"
        with writing(path):
            write_atomically(path, msgspec.json.encode(settings))

    # --- hashes of files used in place ------------------------------------------------------------------------------

    def known_hash(self, path: Path) -> str:
        """The SHA-256 that was remembered for this file if it has not changed since (size, time, inode), else ""."""
        known = self._hashes().get(str(path))
        return known.sha256 if known is not None and known == _hashed(path, known.sha256) else ""

    def remember_hash(self, path: Path, sha256: str) -> None:
        with self.locked("hashes"):
            hashes = {name: item for name, item in self._hashes().items() if Path(name).is_file()}
            hashes[str(path)] = _hashed(path, sha256)
            with writing(self.root):
                write_atomically(self.root / "hashes.json", msgspec.json.encode(hashes))

    def _hashes(self) -> dict[str, _Hashed]:
        try:
            return msgspec.json.decode((self.root / "hashes.json").read_bytes(), type=dict[str, _Hashed])
        except (OSError, msgspec.DecodeError):
            return {}


def _hashed(path: Path, sha256: str) -> _Hashed:
    status = path.stat()
    return _Hashed(bytes=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino, sha256=sha256)


def _unlink(*paths: Path) -> int:
    """The bytes freed. Raises OSError."""
    freed = 0
    for path in paths:
        freed += path.stat().st_size
        path.unlink(missing_ok=True)
    return freed


def _acquired(lock: BaseFileLock) -> bool:
    from filelock import Timeout

    with writing(Path(lock.lock_file)):
        try:
            lock.acquire(timeout=_LOCK_POLL_S, poll_interval=0.05)
        except Timeout:
            return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
