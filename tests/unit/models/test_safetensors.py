"""The safetensors reader: what is right comes back, everything else is one typed error."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import InvalidModelFile
from smidgen.models.convert.safetensors import read_floats, read_header
from smidgen.testing.tiny_bert import safetensors

GOOD = safetensors({"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.ones(2, dtype="<f4")})


def read(data: bytes, wanted: set[str] | None = None) -> dict[str, Any]:
    file = io.BytesIO(data)
    stored = read_header(file, len(data))
    names = {tensor.name for tensor in stored} if wanted is None else wanted
    return {tensor.name: values for tensor, values in read_floats(file, stored, names)}


def with_header(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(head) if length is None else length).to_bytes(8, "little") + head + body


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


def test_tensors_come_back_in_order_of_their_places() -> None:
    found = read(GOOD)
    assert list(found) == ["a", "b"]
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read(GOOD, {"b"})["b"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("dtype", "raw"),
    [
        ("F16", np.array([1.5, -2.0], dtype="<f2")),
        ("F64", np.array([1.5, -2.0], dtype="<f8")),
        ("BF16", np.array([0x3FC0, 0xC000], dtype="<u2")),
    ],
)
def test_other_floats_become_floats_of_32_bits(dtype: str, raw: Any) -> None:
    found = read(safetensors({"a": raw}, dtype))["a"]
    assert found.dtype == np.float32 and found.tolist() == [1.5, -2.0]


def test_integers_may_be_there_but_not_wanted() -> None:
    data = safetensors({"a": np.arange(2, dtype="<i8")}, "I64")
    assert read(data, set()) == {}
    with pytest.raises(InvalidModelFile, match="I64"):
        read(data)


@pytest.mark.parametrize(
    "value", [np.array([np.nan], "<f4"), np.array([np.inf], "<f4")], ids=["not a number", "infinite"]
)
def test_numbers_that_are_not_finite_are_refused(value: Any) -> None:
    with pytest.raises(InvalidModelFile, match="finite"):
        read(safetensors({"a": value}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        GOOD[:-1],
        GOOD + b"x",
        with_header({}, b"", length=1 << 60),
        with_header({}, b"", length=0),
        with_header(b"[1]"),
        with_header(b"{"),
        with_header(b'{"a":' + b"[" * 100_000),
        with_header(b"\xff\xfe{}"),
        with_header(b'{"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "a": {}}', bytes(4)),
        with_header({"a": 1}),
        with_header(entry(dtype="F31"), bytes(8)),
        with_header(entry(dtype=["F32"]), bytes(8)),
        with_header(entry(shape=[3]), bytes(8)),
        with_header(entry(shape=[-2, -1]), bytes(8)),
        with_header(entry(shape=[2.0]), bytes(8)),
        with_header(entry(shape=[True, 2]), bytes(8)),
        with_header(entry(shape=[1] * 8 + [2]), bytes(8)),
        with_header(entry(shape=[1 << 61, 1 << 61]), bytes(8)),
        with_header(entry(shape=None), bytes(8)),
        with_header(entry(data_offsets=[0]), bytes(8)),
        with_header(entry(data_offsets=[8, 0]), bytes(8)),
        with_header(entry(data_offsets=[4, 12]), bytes(12)),
        with_header({**entry(), "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12)),
        with_header({**entry(), "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}}, bytes(16)),
    ],
    ids=range(26),
)
def test_a_file_that_breaks_a_rule_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidModelFile) as caught:
        read(data)
    assert caught.value.details["reason"]


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    try:
        read(bytes(data))
    except InvalidModelFile:
        return


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for content in (data, with_header(data), with_header(b"{" + data + b"}", data)):
        try:
            read(content)
        except InvalidModelFile:
            continue
