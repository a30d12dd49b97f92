"""Safetensors: a JSON header of names, types, shapes and places, then the tensors' bytes without gaps.

Format: https://github.com/huggingface/safetensors. The file is read once from front to back, so that it may come out
of an archive; every figure of the header is checked before a tensor is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, TypeGuard, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from smidgen.models.convert.package import parse_object, unusable

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 65_536
MAX_DIMENSIONS = 8
MAX_CHUNK_BYTES = 1 << 20

WIDTHS = (
    dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1)
    | dict.fromkeys(("U16", "I16", "F16", "BF16"), 2)
    | dict.fromkeys(("U32", "I32", "F32"), 4)
    | dict.fromkeys(("U64", "I64", "F64"), 8)
)
"""Bytes of an element."""

FLOATS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor in the file. `start` and `end` are bytes from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(file: BinaryIO, file_bytes: int) -> tuple[Stored, ...]:
    """The tensors in the order of their places; `file` is left at the first one's bytes. Raises InvalidModelFile."""
    if file_bytes < 8:
        unusable("its safetensors file is shorter than a header")
    length = int.from_bytes(_exactly(file, 8), "little")
    if not 2 <= length <= min(MAX_HEADER_BYTES, file_bytes - 8):
        unusable(f"its safetensors file claims a header of {length:,} bytes")
    header = parse_object(_exactly(file, length), "the safetensors header")
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        unusable(f"its safetensors file claims {len(header):,} tensors")
    stored = sorted((_stored(name, entry) for name, entry in header.items()), key=lambda item: (item.start, item.end))
    expected = 0
    for tensor in stored:
        if tensor.start != expected:
            unusable(f"tensor {tensor.name!r} starts at {tensor.start:,}, not at {expected:,}")
        expected = tensor.end
    if expected != file_bytes - 8 - length:
        unusable(f"its tensors end at {expected:,} of {file_bytes - 8 - length:,} bytes")
    return tuple(stored)


def _stored(name: str, entry: object) -> Stored:
    if not isinstance(entry, dict):
        unusable(f"the entry of tensor {name!r} isn't an object")
    fields = cast(dict[str, Any], entry)
    dtype, shape, places = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        unusable(f"tensor {name!r} is of the unknown type {dtype!r}")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        unusable(f"tensor {name!r} has the shape {shape!r}")
    if not _are_sizes(places) or len(places) != 2:
        unusable(f"tensor {name!r} has the offsets {places!r}")
    elements = 1
    for size in shape:
        elements *= size
    if places[1] - places[0] != elements * WIDTHS[dtype]:
        unusable(f"tensor {name!r} has {places[1] - places[0]:,} bytes for {elements:,} elements of {dtype}")
    return Stored(name=name, dtype=dtype, shape=tuple(shape), start=places[0], end=places[1])


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    if not isinstance(value, list):
        return False
    entries = cast(list[object], value)
    return all(isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < 1 << 62 for entry in entries)


def read_floats(
    file: BinaryIO, stored: tuple[Stored, ...], wanted: Collection[str]
) -> Iterator[tuple[Stored, NDArray[np.float32]]]:
    """The wanted tensors in the order of their places, one in memory at a time. To be called right after `read_header`.
    Raises InvalidModelFile for one that isn't of a floating-point type or holds a number that isn't finite."""
    for tensor in stored:
        if tensor.name not in wanted:
            _skip(file, tensor.end - tensor.start)
            continue
        if tensor.dtype not in FLOATS:
            unusable(f"tensor {tensor.name!r} is of type {tensor.dtype}, not of floating-point numbers")
        raw = np.frombuffer(_exactly(file, tensor.end - tensor.start), dtype=FLOATS[tensor.dtype])
        if tensor.dtype == "BF16":
            values = (raw.astype("<u4") << 16).view("<f4")
        else:
            with np.errstate(over="ignore"):  # a double that is too large becomes infinite, and is refused for that
                values = raw.astype("<f4", copy=False)
        if not np.isfinite(values).all():
            unusable(f"tensor {tensor.name!r} holds a number that isn't finite")
        yield tensor, values.reshape(tensor.shape)


def _exactly(file: BinaryIO, count: int) -> bytes:
    """Read in pieces: a size that isn't true must not become an allocation."""
    pieces = bytearray()
    while len(pieces) < count:
        piece = file.read(min(count - len(pieces), MAX_CHUNK_BYTES))
        if not piece:
            unusable(f"its safetensors file ends {count - len(pieces):,} bytes early")
        pieces += piece
    return bytes(pieces)


def _skip(file: BinaryIO, count: int) -> None:
    while count:
        piece = file.read(min(count, MAX_CHUNK_BYTES))
        if not piece:
            unusable(f"its safetensors file ends {count:,} bytes early")
        count -= len(piece)
