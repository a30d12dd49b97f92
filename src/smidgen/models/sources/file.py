"""A file on this computer, copied in."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from smidgen.errors import ChecksumMismatch, DownloadError, InvalidRequest, UnknownModel
from smidgen.models.disk import require_space
from smidgen.models.sources import Fetched, FileSource, Job
from smidgen.models.sources.partial import CHUNK_BYTES, Partial


def parse(spec: str) -> FileSource:
    """`file:///path`, `file:path` or a plain path, made absolute. Raises InvalidRequest for another computer's file."""
    if spec.startswith("file://"):
        try:
            parts = urlsplit(spec)
        except ValueError as error:
            raise InvalidRequest(f"{spec!r} is not an address: {error}.", hint="Use file:///path.") from error
        if parts.netloc not in {"", "localhost"}:
            raise InvalidRequest(f"{spec} names a file on another computer.", hint="Use file:///path.")
        path = url2pathname(parts.path)
    else:
        path = unquote(spec.removeprefix("file:")) if spec.startswith("file:") else spec
    if "\0" in path:
        raise InvalidRequest(f"{spec!r} can't be a path.")
    try:
        return FileSource(path=str(Path(path).expanduser().absolute()))
    except RuntimeError as error:
        raise InvalidRequest(f"{spec!r} can't be a path: {error}") from error


def fetch(source: FileSource, job: Job) -> Fetched:
    """Raises UnknownModel if it isn't there, DownloadError if it can't be read, DiskFull, StoreUnwritable,
    ChecksumMismatch."""
    path = Path(source.path)
    if not path.is_file():
        raise UnknownModel(f"There is no file {path}.", near=[])
    with Partial(job, "file") as partial:
        partial.discard()
        try:
            size = path.stat().st_size
            require_space(job.folder, size, job.limits.reserve_bytes)
            reading = path.open("rb")
        except OSError as error:
            raise _unreadable(path, error) from error
        with reading:
            partial.open(0)
            while chunk := _read(reading, path):
                partial.write(chunk)
                partial.report("downloading", partial.size, size)
        fetched = partial.finish(str(source))
        if job.sha256 not in {"", fetched.sha256}:
            partial.discard()
            raise ChecksumMismatch(
                f"{path} is another file: SHA-256 {fetched.sha256}, wanted {job.sha256}.",
                got=fetched.sha256,
                wanted=job.sha256,
            )
        return fetched


def _read(file: BinaryIO, path: Path) -> bytes:
    try:
        return file.read(CHUNK_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DownloadError:
    return DownloadError(f"Can't read {path}: {error.strerror or error}.", hint="Check its permissions.")
