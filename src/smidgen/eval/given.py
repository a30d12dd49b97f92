"""Files of items that the user gives: the publisher's own, which are no part of smidgen."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from smidgen.errors import ConfigError

T = TypeVar("T")


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """content: unpacked, if it was gzipped."""

    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def broken(self, line: int, why: str, wanted: str) -> ConfigError:
        """Of a line, counted from 1."""
        return ConfigError(f"Line {line} of {self.path} can't be used: {why}.", hint=f"Wanted: {wanted}.")


class OfFile:
    """What suites of such a file have in common: their version is the file's, and so is each category's fingerprint."""

    groups: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    notices: tuple[str, ...] = ()

    def __init__(self, file: DataFile) -> None:
        self._file = file

    @property
    def version(self) -> str:
        return self._file.sha256[:12]

    def fingerprint(self, category: str) -> str:
        return self._file.sha256


def read(path: Path) -> DataFile:
    """Raises ConfigError for a file that can't be read or unpacked."""
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The items can't be read: {path}: {error.strerror}.", hint="Let --data name the publisher's file."
        ) from error
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{path} can't be unpacked: {error}.", hint="Fetch the file again.") from error
    return DataFile(path=path, content=content)


def json_lines(file: DataFile, type: type[T], wanted: str) -> list[tuple[int, T]]:
    """With the number of its line, each that isn't blank. wanted: in words, what one holds. Raises ConfigError for one
    that is no such thing, and for a file without any."""
    found: list[tuple[int, T]] = []
    for number, line in enumerate(file.content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((number, msgspec.json.decode(line, type=type)))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise file.broken(number, str(error), wanted) from error
    if not found:
        raise ConfigError(f"{file.path} holds no items.", hint=f"Wanted on each line: {wanted}.")
    return found


def places(count: int, skip: int, limit: int | None) -> range:
    """Of so many items, those that are asked for."""
    return range(skip, count if limit is None else min(count, skip + limit))
