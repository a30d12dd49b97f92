"""Writes a GGUF file (version 3, little-endian): the counterpart of the reader, with the same data types."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from smidgen.models.gguf.format import (
    ARRAY,
    DEFAULT_ALIGNMENT,
    GGML_TYPES,
    GGUF,
    MAGIC,
    MAX_NAME_BYTES,
    SCALARS,
    STRING,
    Array,
    Tensor,
    Value,
)

VERSION = 3

Content = bytes | memoryview | Iterable[bytes | memoryview]
"""A tensor's bytes, whole or in pieces."""


class Sink(Protocol):
    """What is written to: a file, or what stands for one."""

    def write(self, data: bytes | memoryview, /) -> object: ...


def array(kind: int, values: Sequence[Any]) -> Array:
    """A metadata array of elements of one type. Raises ValueError for a value that the type can't hold."""
    if kind == STRING:
        data = b"".join(_text(value) for value in values)
    else:
        try:
            data = struct.pack(f"<{len(values)}{SCALARS[kind].format[1:]}", *values)
        except struct.error as error:
            raise ValueError(f"an array element can't be written: {error}") from error
    return Array(kind, len(values), data)


def tensors(described: Iterable[tuple[str, tuple[int, ...], int]]) -> tuple[Tensor, ...]:
    """Tensors one behind the other, from (name, dims with the row length first, type number). Raises ValueError for a
    row that isn't whole blocks and for names that are too long or there twice."""
    placed: list[Tensor] = []
    names: set[str] = set()
    offset = 0
    for name, dims, number in described:
        kind = GGML_TYPES[number]
        if dims[0] % kind.block:
            raise ValueError(f"rows of {name} have {dims[0]} elements, not a multiple of {kind.name}'s {kind.block}")
        if name in names or len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"{name!r} can't be a tensor's name: it is too long or there twice")
        names.add(name)
        elements = 1
        for size in dims:
            elements *= size
        nbytes = elements // kind.block * kind.nbytes
        placed.append(Tensor(name=name, dims=dims, type=number, offset=offset, nbytes=nbytes))
        offset = _padded(offset + nbytes)
    return tuple(placed)


def header_of(metadata: Mapping[str, tuple[int, Value]], tensors: Sequence[Tensor]) -> GGUF:
    """The header of the file that `write` makes of these."""
    data_offset = _padded(sum(map(len, _header(metadata, tensors))))
    return GGUF(
        version=VERSION,
        alignment=DEFAULT_ALIGNMENT,
        metadata={key: value for key, (_, value) in metadata.items()},
        value_types={key: kind for key, (kind, _) in metadata.items()},
        tensors=tuple(tensors),
        data_offset=data_offset,
        file_bytes=data_offset + sum(_padded(tensor.nbytes) for tensor in tensors),
    )


def write(
    file: Sink,
    metadata: Mapping[str, tuple[int, Value]],
    tensors: Sequence[Tensor],
    data: Iterable[Content],
) -> Iterator[int]:
    """Writes the file to `file` from its start, and yields the bytes written so far after the header and each piece.

    metadata: (type number, value) by key. data: the tensors' bytes, in their order, taken one at a time. Raises
    ValueError if these don't fit `tensors`, and OSError.
    """
    header = b"".join(_header(metadata, tensors))
    header += bytes(_padded(len(header)) - len(header))
    file.write(header)
    written = len(header)
    yield written
    for tensor, content in zip(tensors, data, strict=True):
        start = written
        for piece in (content,) if isinstance(content, bytes | memoryview) else content:
            view = memoryview(piece).cast("B")
            file.write(view)
            written += len(view)
            yield written
        if written - start != tensor.nbytes or tensor.offset != start - len(header):
            raise ValueError(f"{tensor.name} has {written - start} bytes at {start - len(header)}, not as announced")
        file.write(bytes(_padded(tensor.nbytes) - tensor.nbytes))
        written = start + _padded(tensor.nbytes)
    yield written


def _header(metadata: Mapping[str, tuple[int, Value]], tensors: Sequence[Tensor]) -> Iterator[bytes]:
    yield MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata))
    for key, (kind, value) in metadata.items():
        yield _text(key) + struct.pack("<I", kind)
        if isinstance(value, Array):
            if kind != ARRAY:
                raise ValueError(f"{key} is an array, not of type {kind}")
            yield struct.pack("<IQ", value.kind, len(value)) + value.data
        elif isinstance(value, str):
            yield _text(value)
        else:
            yield SCALARS[kind].pack(value)
    for tensor in tensors:
        yield _text(tensor.name) + struct.pack("<I", len(tensor.dims))
        yield struct.pack(f"<{len(tensor.dims)}QIQ", *tensor.dims, tensor.type, tensor.offset)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _padded(size: int) -> int:
    return -(-size // DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT
