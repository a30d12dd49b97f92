"""What the writer writes is what the reader reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from smidgen.models.gguf import Array, read_header
from smidgen.models.gguf.format import ARRAY, BOOL, FLOAT32, INT32, STRING, UINT32
from smidgen.models.gguf.writer import array, tensors, write


def test_a_model_that_was_read_is_written_back_byte_for_byte(tiny_model: Any, saved: Any) -> None:
    path: Path = saved(tiny_model)
    header = read_header(path)
    data = path.read_bytes()
    contents = [
        data[header.data_offset + tensor.offset :][: tensor.nbytes] for tensor in header.tensors
    ]  # zeros, but of the right sizes
    out = io.BytesIO()
    metadata = {key: (header.value_types[key], value) for key, value in header.metadata.items()}
    steps = list(write(out, metadata, header.tensors, contents))
    assert out.getvalue() == data
    assert steps == sorted(steps) and steps[-1] == len(data)


def test_values_and_tensors_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    placed = tensors([("a", (32, 3), 8), ("b", (5,), 0), ("c", (2, 1), 1)])
    contents = [bytes(range(102)), bytes(range(20)), b"abcd"]
    metadata = {
        "text": (STRING, "Grüße"),
        "yes": (BOOL, True),
        "number": (UINT32, 7),
        "half": (FLOAT32, 0.5),
        "words": (ARRAY, array(STRING, ["a", "", "深"])),
        "numbers": (ARRAY, array(INT32, [-1, 2])),
    }
    with path.open("wb") as file:
        for _ in write(file, metadata, placed, contents):
            pass
    header = read_header(path)
    assert {key: (header.value_types[key], value) for key, value in header.metadata.items()} == metadata
    words = header.metadata["words"]
    assert isinstance(words, Array) and words.values() == ("a", "", "深")
    assert header.tensors == placed
    data = path.read_bytes()[header.data_offset :]
    assert [data[tensor.offset :][: tensor.nbytes] for tensor in placed] == contents


@pytest.mark.parametrize(
    "described",
    [[("a", (33,), 8)], [("a", (1,), 0), ("a", (1,), 0)], [("n" * 64, (1,), 0)]],
    ids=["half a block", "twice", "long name"],
)
def test_tensors_that_could_not_be_read_are_not_written(described: Any) -> None:
    with pytest.raises(ValueError, match=r"rows|name"):
        tensors(described)


@pytest.mark.parametrize("contents", [[b"123"], [b"12345"], [], [b"1234", b"1234"]])
def test_contents_of_another_size_or_number_are_refused(contents: list[bytes]) -> None:
    with pytest.raises(ValueError):
        list(write(io.BytesIO(), {}, tensors([("a", (1,), 0)]), contents))


def test_an_array_element_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be written"):
        array(INT32, [1 << 40])
