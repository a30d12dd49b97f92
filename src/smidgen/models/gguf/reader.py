"""Reads a GGUF header from a file: every count, length, offset and product is bounded before it is used.

The file is read with ordinary reads, not mapped: a file that is cut off by somebody else while it is mapped kills the
process that looks at it. Only the header is read.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

from smidgen.models.gguf.format import (
    ARRAY,
    BOOL,
    DEFAULT_ALIGNMENT,
    GGML_TYPES,
    GGUF,
    MAGIC,
    MAX_ALIGNMENT,
    MAX_ARRAY_ELEMENTS,
    MAX_DIMENSIONS,
    MAX_HEADER_BYTES,
    MAX_INT64,
    MAX_KEY_BYTES,
    MAX_KEYS,
    MAX_NAME_BYTES,
    MAX_STRING_BYTES,
    MAX_TENSORS,
    REMOVED_GGML_TYPES,
    SCALARS,
    STRING,
    UINT32,
    VALUE_TYPE_NAMES,
    VERSIONS,
    Array,
    Tensor,
    Value,
    invalid,
)
from smidgen.models.gguf.mistakes import recognise

FIRST_READ = 1 << 20
SMALLEST_KEY = 8 + 1 + 4 + 1
SMALLEST_TENSOR = 8 + 4 + 4 + 8

_u32 = struct.Struct("<I").unpack_from
_u64 = struct.Struct("<Q").unpack_from


class _Window:
    """The part of the file read so far, and a position in it."""

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        self.file = file
        self.file_bytes = file_bytes
        self.data = bytearray()
        self.position = 0

    def need(self, count: int, what: str) -> int:
        """Make sure `count` bytes lie ahead; returns the position."""
        end = self.position + count
        if end > self.file_bytes:
            missing = end - self.file_bytes
            invalid(
                f"it ends within {what}, at least {missing:,} bytes are missing",
                self.position,
                "The download was probably cut off; download the file again.",
            )
        if end > MAX_HEADER_BYTES:
            invalid(f"its header is larger than {MAX_HEADER_BYTES:,} bytes, at {what}", self.position)
        while len(self.data) < end:
            wanted = min(max(end, 2 * len(self.data), FIRST_READ), self.file_bytes, MAX_HEADER_BYTES) - len(self.data)
            piece = self.file.read(wanted)
            if not piece:
                invalid(f"it became shorter while being read, at {what}", len(self.data))
            self.data += piece
        return self.position

    def u32(self, what: str) -> int:
        position = self.need(4, what)
        self.position += 4
        return _u32(self.data, position)[0]

    def u64(self, what: str) -> int:
        position = self.need(8, what)
        self.position += 8
        return _u64(self.data, position)[0]

    def raw(self, limit: int, what: str) -> bytes:
        """A string: its length in 8 bytes, then its bytes."""
        at = self.position
        length = self.u64(f"the length of {what}")
        if length > limit:
            invalid(f"the length of {what} is {length:,} bytes, more than {limit:,}", at)
        start = self.need(length, what)
        self.position += length
        return bytes(self.data[start : start + length])

    def text(self, limit: int, what: str) -> str:
        at = self.position
        raw = self.raw(limit, what)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            invalid(f"{what} isn't UTF-8", at)
        if not text or "\0" in text:
            invalid(f"{what} is empty or holds a zero byte", at)
        return text

    def scalar(self, kind: int, what: str) -> bool | int | float:
        layout = SCALARS[kind]
        position = self.need(layout.size, what)
        self.position += layout.size
        if kind == BOOL:
            return self.data[position] != 0
        return layout.unpack_from(self.data, position)[0]

    def array(self, kind: int, count: int, what: str) -> Array:
        start = self.position
        if kind == STRING:
            self.need(8 * count, what)
            self._skip_strings(count, what)
        else:
            self.need(count * SCALARS[kind].size, what)
            self.position += count * SCALARS[kind].size
        return Array(kind, count, bytes(self.data[start : self.position]))

    def _skip_strings(self, count: int, what: str) -> None:
        position, data, u64 = self.position, self.data, _u64
        for index in range(count):
            if position + 8 > len(data):
                self.position = position
                self.need(8, f"string {index} of {what}")
            (length,) = u64(data, position)
            if length > MAX_STRING_BYTES:
                invalid(f"string {index} of {what} is {length:,} bytes long, more than {MAX_STRING_BYTES:,}", position)
            position += 8 + length
            if position > len(data):
                self.position = position - length
                self.need(length, f"string {index} of {what}")
        self.position = position


def read_header(path: Path) -> GGUF:
    """The structure of a GGUF file, checked by itself: whether it makes a model is `checks.check_model`'s question.

    Raises InvalidModelFile on a file of any content, or one that can't be opened.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            invalid("it isn't an ordinary file", 0, "Give the path of a .gguf file.")
        with path.open("rb") as file:
            file_bytes = os.fstat(file.fileno()).st_size
            return _parse(_Window(file, file_bytes))
    except (OSError, ValueError) as error:
        reason = f"it can't be read ({getattr(error, 'strerror', None) or error})"
        invalid(reason, 0, "Check the path and the permissions; it has to be an ordinary file.")


def _parse(window: _Window) -> GGUF:
    _check_start(window)
    version = window.u32("the version")
    _check_version(version)
    tensor_count = window.u64("the number of tensors")
    key_count = window.u64("the number of keys")
    if tensor_count > min(MAX_TENSORS, window.file_bytes // SMALLEST_TENSOR):
        invalid(f"it claims {tensor_count:,} tensors", 8)
    if key_count > min(MAX_KEYS, window.file_bytes // SMALLEST_KEY):
        invalid(f"it claims {key_count:,} keys", 16)

    metadata: dict[str, Value] = {}
    kinds: dict[str, int] = {}
    for index in range(key_count):
        at = window.position
        key = window.text(MAX_KEY_BYTES, f"the name of key {index}")
        if key in metadata:
            invalid(f"the key {key!r} is there twice", at)
        metadata[key], kinds[key] = _value(window, key)

    alignment = _alignment(metadata, kinds)
    infos = [_tensor(window, index) for index in range(tensor_count)]
    data_offset = _pad(window.position, alignment) if infos else window.position
    tensors = _place(window, infos, alignment, data_offset)
    return GGUF(
        version=version,
        alignment=alignment,
        metadata=metadata,
        value_types=kinds,
        tensors=tensors,
        data_offset=data_offset,
        file_bytes=window.file_bytes,
    )


def _check_start(window: _Window) -> None:
    if window.file_bytes == 0:
        invalid("it is empty", 0, "Download the file again.")
    window.need(min(window.file_bytes, 64), "its first bytes")
    start = bytes(window.data[:512])
    if start[:4] != MAGIC:
        if MAGIC.startswith(start[:4]):
            invalid("it is shorter than a GGUF header")
        what, hint = recognise(start, window.file_bytes)
        invalid(what, 0, hint)
    window.position = 4


def _check_version(version: int) -> None:
    if version == 1:
        invalid("it is GGUF version 1, which llama.cpp no longer reads", 4, "Fetch a newer file of this model.")
    if version & 0xFFFF == 0 and version != 0:
        invalid("its bytes are in big-endian order", 4, "Fetch a little-endian file of this model.")
    if version > max(VERSIONS):
        invalid(f"it is GGUF version {version}, newer than this smidgen reads", 4, "Update smidgen.")
    if version not in VERSIONS:
        invalid(f"it claims GGUF version {version}", 4)


def _value(window: _Window, key: str) -> tuple[Value, int]:
    what = f"the value of {key!r}"
    at = window.position
    kind = window.u32(f"the type of {key!r}")
    if kind == STRING:
        return window.raw(MAX_STRING_BYTES, what).decode("utf-8", "replace"), kind
    if kind != ARRAY:
        if kind not in SCALARS:
            invalid(f"{key!r} has the unknown value type {kind}", at)
        return window.scalar(kind, what), kind
    element = window.u32(f"the element type of {key!r}")
    if element == ARRAY:
        invalid(f"{key!r} is an array of arrays, which llama.cpp doesn't read", at)
    if element != STRING and element not in SCALARS:
        invalid(f"{key!r} is an array of the unknown value type {element}", at)
    count = window.u64(f"the length of {key!r}")
    if count > MAX_ARRAY_ELEMENTS:
        invalid(f"{key!r} claims {count:,} elements, more than {MAX_ARRAY_ELEMENTS:,}", at)
    return window.array(element, count, what), kind


def _alignment(metadata: dict[str, Value], kinds: dict[str, int]) -> int:
    if "general.alignment" not in metadata:
        return DEFAULT_ALIGNMENT
    alignment = metadata["general.alignment"]
    if kinds["general.alignment"] != UINT32 or not isinstance(alignment, int):
        invalid(f"general.alignment is of type {VALUE_TYPE_NAMES[kinds['general.alignment']]}, not uint32")
    if alignment <= 0 or alignment & (alignment - 1) or alignment > MAX_ALIGNMENT:
        invalid(f"general.alignment is {alignment}, not a power of two up to {MAX_ALIGNMENT}")
    return alignment


def _tensor(window: _Window, index: int) -> Tensor:
    at = window.position
    name = window.text(MAX_NAME_BYTES, f"the name of tensor {index}")
    rank = window.u32(f"the number of dimensions of {name!r}")
    if rank > MAX_DIMENSIONS:
        invalid(f"tensor {name!r} has {rank} dimensions, more than {MAX_DIMENSIONS}", at)
    dims = tuple(window.u64(f"the dimensions of {name!r}") for _ in range(rank)) or (1,)
    elements = 1
    for size in dims:
        if size > MAX_INT64:
            invalid(f"tensor {name!r} has a negative or absurd dimension", at)
        elements *= size
        if elements > MAX_INT64:
            invalid(f"tensor {name!r} has more elements than can be counted in 63 bits", at)
    number = window.u32(f"the type of {name!r}")
    kind = GGML_TYPES.get(number)
    if kind is None:
        if number in REMOVED_GGML_TYPES:
            invalid(
                f"tensor {name!r} is of type {number}, which llama.cpp no longer reads",
                at,
                "Fetch the Q4_0 file of this model instead: it is rearranged for this processor when loaded.",
            )
        invalid(f"tensor {name!r} is of the unknown type {number}", at, "If the file is newer than smidgen, update it.")
    if dims[0] % kind.block:
        invalid(f"rows of {name!r} have {dims[0]} elements, not a multiple of {kind.name}'s {kind.block}", at)
    nbytes = elements // kind.block * kind.nbytes
    if nbytes > MAX_INT64:
        invalid(f"tensor {name!r} is larger than any file", at)
    offset = window.u64(f"the offset of {name!r}")
    return Tensor(name=name, dims=dims, type=number, offset=offset, nbytes=nbytes)


def _place(window: _Window, infos: list[Tensor], alignment: int, data_offset: int) -> tuple[Tensor, ...]:
    """The tensors, after checking that they follow each other without a gap and lie within the file, as ggml wants."""
    names: set[str] = set()
    expected = end = 0
    for tensor in infos:
        if tensor.name in names:
            invalid(f"the tensor {tensor.name!r} is there twice", window.position)
        names.add(tensor.name)
        if tensor.offset != expected:
            invalid(f"tensor {tensor.name!r} starts at {tensor.offset:,}, not at {expected:,}", data_offset)
        end = expected + tensor.nbytes
        expected = _pad(end, alignment)
        if expected > MAX_INT64:
            invalid("its tensors together are larger than any file", data_offset)
    if data_offset + end > window.file_bytes and infos:
        missing = data_offset + end - window.file_bytes
        invalid(
            f"it is cut off: {missing:,} of {data_offset + end:,} bytes are missing",
            window.file_bytes,
            "The download was interrupted; download the file again.",
        )
    return tuple(infos)


def _pad(size: int, alignment: int) -> int:
    return (size + alignment - 1) // alignment * alignment
