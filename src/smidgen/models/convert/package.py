"""The files of a model as people hand it on: a folder, or a zip archive with such a folder in it.

Archives are read in place: nothing is unpacked to a path, so no name in them can lead anywhere.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NoReturn, cast

from smidgen.errors import InvalidModelFile

MAX_RATIO = 100
"""Unpacked over packed bytes. Weights hardly compress; more than this is a zip bomb."""

MAX_MEMBERS = 10_000
MAX_JSON_BYTES = 64 << 20  # a tokenizer of 250,000 tokens takes 17 MB
WEIGHTS = "model.safetensors"


def unusable(reason: str, hint: str = "Fetch the model again.") -> NoReturn:
    """Raises InvalidModelFile."""
    raise InvalidModelFile(f"Can't convert this model: {reason}.", hint=hint, reason=reason, offset=0)


class Package:
    """Files by their names relative to the folder that holds config.json and the weights."""

    def __init__(self, names: Sequence[str]) -> None:
        self._root = _root(names)
        self._names = frozenset(names)

    def has(self, name: str) -> bool:
        return self._root + name in self._names

    def json(self, name: str) -> dict[str, Any]:
        """An object; {} if there is no such file. Raises InvalidModelFile."""
        if not self.has(name):
            return {}
        with self.open(name) as (file, size):
            if size > MAX_JSON_BYTES:
                unusable(f"{name} has {size:,} bytes, more than {MAX_JSON_BYTES:,}")
            return parse_object(file.read(), name)

    def lines(self, name: str) -> list[str]:
        """Lines of a text file. Raises InvalidModelFile."""
        with self.open(name) as (file, size):
            if size > MAX_JSON_BYTES:
                unusable(f"{name} has {size:,} bytes, more than {MAX_JSON_BYTES:,}")
            try:
                text = file.read().decode("utf-8")
            except UnicodeDecodeError:
                unusable(f"{name} isn't UTF-8")
        return text.removesuffix("\n").split("\n")

    @contextmanager
    def open(self, name: str) -> Generator[tuple[BinaryIO, int], None, None]:
        """The file and its size in bytes. Raises InvalidModelFile if it isn't there or can't be read."""
        if not self.has(name):
            unusable(f"it has no {name}", "Give a folder or zip archive with config.json, a tokenizer and safetensors.")
        try:
            with self._opened(self._root + name) as found:
                yield found
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            unusable(f"the archive is damaged at {name}: {error}")

    @contextmanager
    def _opened(self, name: str) -> Generator[tuple[BinaryIO, int], None, None]:
        raise NotImplementedError
        yield


class FolderPackage(Package):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        files = (*folder.glob("*"), *folder.glob("*/*.json"))
        super().__init__([path.relative_to(folder).as_posix() for path in files])

    @contextmanager
    def _opened(self, name: str) -> Generator[tuple[BinaryIO, int], None, None]:
        path = self._folder / name
        try:
            file = path.open("rb")
        except OSError as error:
            unusable(f"{name} can't be read ({error.strerror or error})", "Check its permissions.")
        with file:
            yield file, os.fstat(file.fileno()).st_size


class ZipPackage(Package):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            unusable(f"the archive has {len(members):,} members, more than {MAX_MEMBERS:,}")
        self._archive = archive
        self._members = {member.filename: member for member in members}
        if len(self._members) != len(members):
            unusable("the archive has two members of one name")
        super().__init__([name for name, member in self._members.items() if not member.is_dir()])

    @contextmanager
    def _opened(self, name: str) -> Generator[tuple[BinaryIO, int], None, None]:
        """ZipFile gives at most the announced size, and checks the member's CRC once all of it is read."""
        member = self._members[name]
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            unusable(f"{name} in the archive is encrypted, or packed in another way than zip's usual one")
        if member.file_size > MAX_RATIO * max(member.compress_size, 1):
            unusable(f"{name} in the archive is packed absurdly well: refused as a zip bomb")
        with self._archive.open(member) as file:
            yield cast(BinaryIO, file), member.file_size


@contextmanager
def opened(path: Path) -> Generator[Package, None, None]:
    """The package in a folder or zip archive. Raises InvalidModelFile."""
    if path.is_dir():
        yield FolderPackage(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        unusable(f"{path.name} can't be read ({error.strerror or error})", "Check the path and its permissions.")
    except (zipfile.BadZipFile, ValueError, struct.error) as error:
        unusable(f"{path.name} is neither a folder nor a zip archive ({error})", "Give the folder with config.json.")
    with archive:
        yield ZipPackage(archive)


def parse_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object in which no key is there twice. Raises InvalidModelFile."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is there twice")
        return found

    try:
        value = json.loads(data, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        unusable(f"{what} isn't readable JSON ({error})")
    if not isinstance(value, dict):
        unusable(f"{what} isn't a JSON object")
    return cast(dict[str, Any], value)


def _root(names: Sequence[str]) -> str:
    """The folder of the package, with its slash: the one highest up that has a config.json beside the weights."""
    known = frozenset(names)
    folders = {str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == "config.json"}
    prefixes = ["" if folder == "." else f"{folder}/" for folder in folders]
    whole = sorted((prefix for prefix in prefixes if prefix + WEIGHTS in known), key=lambda prefix: prefix.count("/"))
    if whole and (len(whole) == 1 or whole[0].count("/") < whole[1].count("/")):
        return whole[0]
    if whole:
        unusable("it holds several models", "Give the folder of one.")
    if any(PurePosixPath(name).name == "pytorch_model.bin" for name in names):
        unusable("its weights are a Python pickle, which is never loaded", f"Fetch a model with {WEIGHTS}.")
    unusable(f"there is no config.json beside a {WEIGHTS}", "Give the model's folder or zip archive.")
