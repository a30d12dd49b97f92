"""The same weights in blocks that this processor multiplies faster: which gain by it, and a copy of a file with those.

Only Q5_0 becomes Q8_0, because only that loses nothing. A block of either is 32 whole numbers and a 16-bit scale that
they are multiplied with. The numbers are -16 to 15 in the one and -128 to 127 in the other, so the copy has the same
scales and the same numbers. They take 8.5 bits each instead of 5.5, and the kernels need not put them together from two
places first. K-quants would lose: their scales are products of a 16-bit and a 6-bit number.

What it brings is less arithmetic, for more to read: much where many rows go through at once (prompts), nothing where
one does. Copy beside file, two threads, Qwen2.5-Coder-0.5B (35% of whose bytes gain): prefill 1.09 to 1.16 times as
fast with AVX-512 and 1.22 with AVX2 alone, one row 1.01, two rows 0.93, four 0.98, eight 1.00, 32 rows 1.04. The same
of Gemma-3-270M (17%): prefill 1.01, one row 1.03, two rows 0.89, four 0.93, 32 rows 1.02.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from smidgen.models.gguf import GGUF, LAYER, Tensor, Value
from smidgen.models.gguf.format import DEFAULT_ALIGNMENT, GGML_TYPES, invalid
from smidgen.models.gguf.writer import Sink, header_of, tensors
from smidgen.models.gguf.writer import write as write_gguf

VERSION = 1
"""Of what `plan` and `write` make of a file: another number makes the copies of before stale."""

Q5_0, Q8_0 = 6, 8
LEAST_SHARE = 0.25
"""Of a file's bytes: with less to gain it stays as it is. It lies between the two measured above."""

MOST_THREADS = 4
_PIECE_BYTES = GGML_TYPES[Q5_0].nbytes << 15


class Relayout(msgspec.Struct, frozen=True, kw_only=True):
    """A copy to be made: the headers of the file and of its copy, whose tensors are in the same order."""

    source: GGUF
    header: GGUF

    @property
    def bytes(self) -> int:
        """Of the copy."""
        return self.header.file_bytes


def helps(simd: Collection[str], threads: int) -> bool:
    """Whether a copy is expected to be faster, given flags of `Hardware.simd` and the threads that will be used.

    Measured on x86 with one and two threads. Not on ARM: its kernels for these types are others, and nobody has
    measured there. Not with many threads: they wait for memory more than for arithmetic, and of a copy there is more to
    read. Where that begins was not measured either.
    """
    return bool({"avx2", "avx512f"} & set(simd)) and threads <= MOST_THREADS


def plan(source: GGUF) -> Relayout | None:
    """The copy that is worth making of a file with this header, None if there is none."""
    tied = all(tensor.name != "output.weight" for tensor in source.tensors)
    gaining = {tensor.name for tensor in source.tensors if tensor.type == Q5_0 and _is_multiplied(tensor, tied)}
    gained = sum(tensor.nbytes for tensor in source.tensors if tensor.name in gaining)
    if gained < LEAST_SHARE * source.file_bytes or source.alignment != DEFAULT_ALIGNMENT:
        return None
    placed = tensors((item.name, item.dims, Q8_0 if item.name in gaining else item.type) for item in source.tensors)
    return Relayout(source=source, header=header_of(_metadata(source), placed))


def write(source: Path, relayout: Relayout, file: Sink) -> Iterator[int]:
    """Writes the copy of the file `source` to `file` from its start, and yields the bytes written so far. Raises
    OSError, and InvalidModelFile if the source became shorter."""
    with source.open("rb") as reading:
        contents = _contents(reading, relayout)
        yield from write_gguf(file, _metadata(relayout.source), relayout.header.tensors, contents)


def _is_multiplied(tensor: Tensor, tied: bool) -> bool:
    """Whether it is a matrix that activations are multiplied with. A table of embeddings whose rows are only looked up
    isn't; where the output uses it too (`tied`) it is."""
    in_layer = LAYER.match(tensor.name) is not None and tensor.name.endswith(".weight")
    is_output = tensor.name == ("token_embd.weight" if tied else "output.weight")
    return len(tensor.dims) == 2 and (in_layer or is_output)


def _metadata(header: GGUF) -> dict[str, tuple[int, Value]]:
    return {key: (header.value_types[key], value) for key, value in header.metadata.items()}


def _contents(file: BinaryIO, relayout: Relayout) -> Iterator[Iterator[bytes]]:
    for old, new in zip(relayout.source.tensors, relayout.header.tensors, strict=True):
        file.seek(relayout.source.data_offset + old.offset)
        yield _pieces(file, old.nbytes) if old.type == new.type else _widened(_pieces(file, old.nbytes))


def _pieces(file: BinaryIO, count: int) -> Iterator[bytes]:
    """Read, not mapped: who looks at a mapped file that somebody cuts off is killed."""
    while count:
        piece = file.read(min(count, _PIECE_BYTES))
        if not piece:
            invalid("it became shorter while it was copied", file.tell())
        count -= len(piece)
        yield piece


def _widened(pieces: Iterator[bytes]) -> Iterator[bytes]:
    from smidgen.models.convert.quantize import q8_0_of_q5_0

    return map(q8_0_of_q5_0, pieces)
