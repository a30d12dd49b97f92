"""Numbers that a text says, in each reading."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.measures import converted
from smidgen.agent.numbers import has_number, known_numbers, readings, said_numbers, written


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
        ("between five and ten", ["5", "10"]),
        ("one, two and three", ["1", "2", "3"]),
        ("five hundred and twenty thousand", ["520000"]),
        ("three dozen eggs", ["36"]),
        ("the twenty-first", ["21"]),
        ("nineteen eighty-four", ["19", "84"]),
        ("the second of May", ["2"]),
        ("ten metres per second, in a second, 30-second", ["10", "30"]),
    ],
)
def test_readings(text: str, expected: list[str]) -> None:
    assert list(readings(text)) == [Decimal(number) for number in expected]


def test_numbers_stand_in_order_where_they_were_written() -> None:
    text = "three cats, 2 dogs"
    assert [text[said.start : said.end] for said in said_numbers(text)] == ["three", "2"]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("17.5% of 2,340", ["17.5", "0.175", "2340"]),
        ("two hundred", ["2", "100", "200"]),
        ("twenty five", ["20", "5", "25"]),
        ("-3k", ["3", "3000"]),
        ("half of it", ["0.5", "2"]),
        ("three quarters", ["3", "0.25", "4"]),
        ("two and three", ["2", "3"]),
        ("in a week", ["7"]),
        ("a few seconds", []),
    ],
)
def test_what_a_check_lets_pass(text: str, known: list[str]) -> None:
    assert known_numbers(text) == {Decimal(number) for number in known}


def test_numbers_as_they_are_written() -> None:
    assert list(written("80 - 15% + 2,340k * 1e-9 + .5")) == [Decimal(n) for n in ("80", "15", "2340", "1e-9", "0.5")]


@pytest.mark.parametrize("text", ["2 cats", "thirteen cats", "Dozens", "double it", "zero"])
def test_what_counts_as_a_number(text: str) -> None:
    assert has_number(text)


@pytest.mark.parametrize("text", ["the first president", "in a second", "once more", "someone", ""])
def test_what_does_not(text: str) -> None:
    assert not has_number(text)


def test_numbers_beyond_all_bounds_are_passed_over() -> None:
    assert list(written("9" * 1_000_001)) == list(readings("9" * 1_000_001)) == []


def test_a_long_text_with_many_numbers_is_read_in_passing() -> None:
    started = time.process_time()
    assert len(known_numbers(" ".join(map(str, range(20_000))))) == 20_000
    assert time.process_time() - started < 2


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    has_number(text), known_numbers(text), list(written(text))
    for said in said_numbers(text):
        assert said.readings and 0 <= said.start < said.end <= len(text)


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("an hour and a half", 1.5, "hour"),
        ("a pound and a half of rice", 1.5, "pound"),
        ("one hour and a half", 1.5, "hour"),
        ("two and a half hours", 2.5, ""),
        ("2 hours and a half", 2.5, "hours"),
        ("one and a quarter cups", 1.25, ""),
        ("half an hour", 0.5, "hour"),
        ("three quarters of an hour", 0.75, "hour"),
        ("a quarter of a mile", 0.25, "mile"),
        ("she is 1m80 tall", 1.8, "m"),
        ("1.000,50 euros", 1000.5, ""),
        ("1.234.567,8", 1234567.8, ""),
        ("1,5 km", 1.5, ""),
        ("12,5%", 12.5, ""),
    ],
)
def test_amounts_said_in_pieces_are_one_number(text: str, number: float, unit: str) -> None:
    (said,) = said_numbers(text)
    assert (float(said.readings[0]), said.unit) == (number, unit)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("the points 1,5 and 2,7", [1, 5, 2, 7]),
        ("a car and a half dozen eggs", [6]),
        ("between a friend and a half of the others", [0.5]),
        ("the last three quarters", [3]),
        ("100m and 200m", [100, 200]),
        ("5 m 30 cm", [5, 30]),
        ("5m30s", [5, 30]),
        ("1,000 km", [1000]),
    ],
)
def test_what_only_looks_like_one_amount_stays_apart(text: str, numbers: list[float]) -> None:
    assert [float(said.readings[0]) for said in said_numbers(text)] == numbers


def test_a_unit_within_an_amount_is_converted() -> None:
    minutes = "The duration in minutes"
    text = "set a timer for an hour and a half"
    assert converted(said_numbers(text)[0], text, minutes) == (90,)
    assert converted(said_numbers("for two and a half hours")[0], "for two and a half hours", minutes) == (150,)
