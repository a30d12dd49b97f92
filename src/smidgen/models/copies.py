"""Copies of model files in another layout (relayout.py), kept in the store under the SHA-256 of their originals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from smidgen.errors import InvalidModelFile
from smidgen.models import gguf
from smidgen.models.disk import RESERVE_BYTES, replacing, require_space, writing
from smidgen.models.relayout import Relayout, plan, write
from smidgen.models.sources import Progress
from smidgen.models.store import Store

OnProgress = Callable[[Progress], None]


def find(store: Store, sha256: str, relayout: Relayout) -> Path | None:
    """The copy of the file with this hash. Known by its size, like the store's own files: quick enough for every start;
    `check` compares all bytes."""
    path = store.layout(sha256)
    return path if path.is_file() and path.stat().st_size == relayout.bytes else None


def make(store: Store, source: Path, sha256: str, relayout: Relayout, progress: OnProgress) -> Path:
    """Makes the copy unless it is here. As much space as it takes stays free, and what a pull leaves at least.

    Raises DiskFull, StoreUnwritable, InvalidModelFile if the source was changed or removed meanwhile, and what
    `progress` raises. Then there is no copy, or the one of before.
    """
    total, target = relayout.bytes, store.layout(sha256)

    def waiting() -> None:
        progress(Progress(phase="waiting", done_bytes=0, total_bytes=total, source=source.name))

    with store.locked("layouts", waiting):
        if (found := find(store, sha256, relayout)) is not None:
            return found
        store.drop_stray_layouts()
        require_space(target, total, max(total, RESERVE_BYTES))
        with writing(target, total), replacing(target) as file:
            for done in write(source, relayout, file):
                progress(Progress(phase="arranging", done_bytes=done, total_bytes=total, source=source.name))
            file.flush()
            _require(gguf.read(file.name) == relayout.header, "its copy isn't what was planned")
            _require(store.is_current(source, sha256), "it was changed while it was copied")
        with store.locked("store"), writing(target):
            if not source.is_file():  # removed meanwhile, and the copy wasn't there yet to go with it
                target.unlink()
                _require(False, "it was removed while it was copied")
    return target


def check(store: Store, source: Path, sha256: str, progress: OnProgress) -> bool:
    """Compares every byte of the copy, if there is one, with what the source gives, and removes it if one differs.
    Returns whether none did. Raises StoreUnwritable, and what `progress` raises."""
    path = store.layout(sha256)
    if not path.is_file():
        return True
    with writing(path):
        relayout = plan(gguf.read(source))
        if relayout is not None and find(store, sha256, relayout) and _is_same(path, source, relayout, progress):
            return True
        path.unlink(missing_ok=True)
        return False


def _is_same(path: Path, source: Path, relayout: Relayout, progress: OnProgress) -> bool:
    with path.open("rb") as file:
        compared = _Compared(file.read)
        for done in write(source, relayout, compared):
            progress(Progress(phase="hashing", done_bytes=done, total_bytes=relayout.bytes, source=source.name))
            if not compared.equal:
                return False
        return True


class _Compared:
    """Stands for a file that is written, and compares what comes with what is there. `read`: gives its next bytes."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.equal = True

    def write(self, data: bytes | memoryview, /) -> None:
        self.equal = self.equal and self._read(len(data)) == data


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvalidModelFile(f"The model file can't be copied: {otherwise}.", reason=otherwise, offset=0)
