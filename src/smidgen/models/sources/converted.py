"""A GGUF file made on this computer from a model's original weights, which another source brings."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from smidgen.errors import ChecksumMismatch, UnknownModel
from smidgen.models.disk import require_space, sync_folder, writing
from smidgen.models.sources import ZIP_MAGIC, ConvertedSource, Fetched, FileSource, Job, Progress, Source
from smidgen.models.sources.partial import hash_file

Fetch = Callable[[Source, Job], Fetched]


def fetch(source: ConvertedSource, job: Job, fetch_archive: Fetch) -> Fetched:
    """Brings the archive with `fetch_archive`, or takes the user's own folder or archive in place, and converts it.

    Raises UnknownModel if nothing is there, InvalidModelFile for what can't be converted, ChecksumMismatch if the
    result isn't the wanted file, DiskFull, StoreUnwritable, and what `fetch_archive` raises."""
    from smidgen.models.convert.bert import convert

    archive, origin = _archive(source, job, fetch_archive)
    target = job.folder / "converted.gguf"
    if job.bytes is not None:
        require_space(job.folder, job.bytes, job.limits.reserve_bytes)

    def report(done: int, total: int) -> None:
        job.progress(Progress(phase="converting", done_bytes=done, total_bytes=total, source=origin))

    convert(archive, target, report)
    with writing(job.folder):
        size, sha256 = target.stat().st_size, hash_file(target)
        if sha256 != (job.sha256 or sha256):
            target.unlink()
            raise ChecksumMismatch(
                f"{source} became another file than the wanted one: {size:,} bytes, SHA-256 {sha256}.",
                hint="The model there is another one.",
                got=sha256,
                wanted=job.sha256,
                retryable=False,
            )
        shutil.rmtree(_own(job), ignore_errors=True)
        sync_folder(job.folder)
    return Fetched(path=target, bytes=size, sha256=sha256, origin=f"{origin}, converted")


def _archive(source: ConvertedSource, job: Job, fetch_archive: Fetch) -> tuple[Path, str]:
    """Where it is, and where it comes from."""
    if isinstance(source.source, FileSource):
        path = Path(source.source.path)
        if not path.exists():
            raise UnknownModel(f"There is no folder or file {path}.", near=[])
        return path, str(source.source)
    with writing(job.folder):
        _own(job).mkdir(parents=True, exist_ok=True)
    fetched = fetch_archive(
        source.source,
        Job(
            folder=_own(job),
            progress=job.progress,
            bytes=source.bytes,
            sha256=source.sha256,
            limits=job.limits,
            magic=ZIP_MAGIC,
        ),
    )
    return fetched.path, fetched.origin


def _own(job: Job) -> Path:
    return job.folder / "archive"
