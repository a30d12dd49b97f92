"""Numbers that a text says, in each reading."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.numbers import readings, said_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5,10 and 15", ["5", "10", "15"]),
        ("17.5% of 2,340", ["17.5", "0.175", "2340"]),
        ("two hundred and fifty dollars", ["250"]),
        ("twenty-five", ["25"]),
        ("8.5 million", ["8500000", "8.5"]),
        ("3k", ["3000", "3"]),
        ("11 PM", ["11", "23"]),
        ("12am", ["12", "0"]),
        ("1e-9 and 2e-9", ["1e-9", "2e-9"]),
        ("minus 4", ["-4", "4"]),
        ("from -79.38", ["-79.38", "79.38"]),
        ("1/2 cup", ["1", "0.5", "2"]),
        ("x-3", ["3"]),
        ("no number here", []),
    ],
)
def test_readings(text: str, expected: list[str]) -> None:
    assert list(readings(text)) == [Decimal(number) for number in expected]


def test_numbers_stand_in_order_where_they_were_written() -> None:
    text = "three cats, 2 dogs"
    assert [text[said.start : said.end] for said in said_numbers(text)] == ["three", "2"]


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    for said in said_numbers(text):
        assert said.readings and 0 <= said.start < said.end <= len(text)
