"""What a GGUF file is made of: value types, quantisation blocks, limits, and the frozen data that reading yields.

The format is described at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; block sizes and type numbers are
those of ggml.h and ggml-common.h in llama.cpp as of llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, overload

import msgspec

from smidgen.errors import InvalidModelFile

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32

# Limits. Each is several times what the largest known file needs, and low enough that reading stays quick and small.
MAX_HEADER_BYTES = 256 << 20
MAX_KEYS = 16_384
MAX_TENSORS = 65_536
MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 64 << 20
MAX_ARRAY_ELEMENTS = 1 << 24
MAX_NAME_BYTES = 63
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 65_536
MAX_INT64 = (1 << 63) - 1

# Numbers of the value types in a file.
UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)

SCALARS: Mapping[int, struct.Struct] = {
    UINT8: struct.Struct("<B"),
    INT8: struct.Struct("<b"),
    UINT16: struct.Struct("<H"),
    INT16: struct.Struct("<h"),
    UINT32: struct.Struct("<I"),
    INT32: struct.Struct("<i"),
    FLOAT32: struct.Struct("<f"),
    BOOL: struct.Struct("<?"),
    UINT64: struct.Struct("<Q"),
    INT64: struct.Struct("<q"),
    FLOAT64: struct.Struct("<d"),
}

VALUE_TYPE_NAMES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "float32",
    "bool",
    "string",
    "array",
    "uint64",
    "int64",
    "float64",
)


class Array(Sequence[Any]):
    """An array of the metadata, kept as the file's bytes and decoded when first looked at.

    `kind` is the number of the element type. Bounds were checked when the file was read, so decoding can't fail; a
    string that isn't UTF-8 is decoded with U+FFFD in place of the broken bytes.
    """

    __slots__ = ("_count", "_data", "_values", "kind")

    def __init__(self, kind: int, count: int, data: bytes) -> None:
        self.kind = kind
        self._count = count
        self._data = data
        self._values: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.values()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and (self.kind, self._data) == (other.kind, other._data)

    def __hash__(self) -> int:
        return hash((self.kind, self._count, self._data[:64]))

    def __repr__(self) -> str:
        return f"Array({VALUE_TYPE_NAMES[self.kind]} x {self._count})"

    def values(self) -> tuple[Any, ...]:
        """All elements, decoded once."""
        if self._values is None:
            if self.kind == STRING:
                self._values = tuple(raw.decode("utf-8", "replace") for raw in self.raw_strings())
            else:
                code = SCALARS[self.kind].format[1:]
                self._values = struct.unpack(f"<{self._count}{code}", self._data)
        return self._values

    def raw_strings(self) -> Iterator[bytes]:
        """The strings as the file has them. Only for arrays of strings."""
        data, position = self._data, 0
        for _ in range(self._count):
            start = position + 8
            position = start + int.from_bytes(data[position:start], "little")
            yield data[start:position]

    @property
    def data(self) -> bytes:
        """The elements as the file has them."""
        return self._data

    @property
    def nbytes(self) -> int:
        return len(self._data)


Value = bool | int | float | str | Array


class GgmlType(msgspec.Struct, frozen=True):
    """A tensor's element type: `block` elements take `nbytes` bytes. `weights`: ggml can multiply with it."""

    name: str
    block: int
    nbytes: int
    weights: bool = True


GGML_TYPES: Mapping[int, GgmlType] = {
    0: GgmlType("F32", 1, 4),
    1: GgmlType("F16", 1, 2),
    2: GgmlType("Q4_0", 32, 18),
    3: GgmlType("Q4_1", 32, 20),
    6: GgmlType("Q5_0", 32, 22),
    7: GgmlType("Q5_1", 32, 24),
    8: GgmlType("Q8_0", 32, 34),
    9: GgmlType("Q8_1", 32, 36, False),
    10: GgmlType("Q2_K", 256, 84),
    11: GgmlType("Q3_K", 256, 110),
    12: GgmlType("Q4_K", 256, 144),
    13: GgmlType("Q5_K", 256, 176),
    14: GgmlType("Q6_K", 256, 210),
    15: GgmlType("Q8_K", 256, 292, False),
    16: GgmlType("IQ2_XXS", 256, 66),
    17: GgmlType("IQ2_XS", 256, 74),
    18: GgmlType("IQ3_XXS", 256, 98),
    19: GgmlType("IQ1_S", 256, 50),
    20: GgmlType("IQ4_NL", 32, 18),
    21: GgmlType("IQ3_S", 256, 110),
    22: GgmlType("IQ2_S", 256, 82),
    23: GgmlType("IQ4_XS", 256, 136),
    24: GgmlType("I8", 1, 1, False),
    25: GgmlType("I16", 1, 2, False),
    26: GgmlType("I32", 1, 4, False),
    27: GgmlType("I64", 1, 8, False),
    28: GgmlType("F64", 1, 8, False),
    29: GgmlType("IQ1_M", 256, 56),
    30: GgmlType("BF16", 1, 2),
    34: GgmlType("TQ1_0", 256, 54),
    35: GgmlType("TQ2_0", 256, 66),
    39: GgmlType("MXFP4", 32, 17),
    40: GgmlType("NVFP4", 64, 36),
    41: GgmlType("Q1_0", 128, 18),
    42: GgmlType("Q2_0", 64, 18),
}
REMOVED_GGML_TYPES = frozenset({4, 5, 31, 32, 33, 36, 37, 38})


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """`dims` with the row length first, as ggml has it; `offset` from the start of the data section; sizes in bytes."""

    name: str
    dims: tuple[int, ...]
    type: int
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        count = 1
        for size in self.dims:
            count *= size
        return count

    @property
    def type_name(self) -> str:
        return GGML_TYPES[self.type].name


class GGUF(msgspec.Struct, frozen=True, kw_only=True):
    """A header. `data_offset` is where the tensors' data starts; `value_types` has each key's type number."""

    version: int
    alignment: int
    metadata: Mapping[str, Value]
    value_types: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_bytes: int


def invalid(reason: str, offset: int = 0, hint: str = "Download the file again.") -> NoReturn:
    """Raises InvalidModelFile. `offset` is where in the file the trouble is, in bytes."""
    raise InvalidModelFile(f"Not a usable model file: {reason}.", hint=hint, reason=reason, offset=offset)
