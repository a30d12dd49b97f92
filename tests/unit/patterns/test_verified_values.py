"""Numbers, quantities and dates as models write them: what may be read in two ways passes as none."""

from __future__ import annotations

from typing import Any, cast

import pytest

from smidgen.errors import InvalidRequest
from smidgen.patterns import Resources, task_of
from smidgen.patterns.verified import Checked, Date, Number, Quantity, Verifier
from smidgen.patterns.verified.days import dates_in
from smidgen.patterns.verified.numerals import numbers_in


async def checked(check: Verifier, text: str) -> Checked:
    return await check.check(text, task_of("?"), cast(Resources, None))


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("minus 7 degrees", -7, "-7"),
        ("minus seven", -7, "-7"),
        ("\u2212 7", -7, "-7"),
        ("It was \u20137 \u00b0C.", -7, "-7"),
        ("-$1,000", -1000, "-1000"),
        ("- 7", 7, "7"),  # in a list
        ("-0.0", 0, "0"),
        ("$1.5 million", 1_500_000, "1500000"),
        ("2 hundred thousand", 200_000, "200000"),
        ("3 dozen eggs", 36, "36"),
        ("5k", 5000, "5000"),
        ("$5B", 5_000_000_000, "5000000000"),
        ("5m", 5, "5"),
        (".5", 0.5, "0.5"),
        ("1\u00a0234", 1234, "1234"),
        ("1'234'567", 1_234_567, "1234567"),
        ("\u0661\u0662", 12, "12"),
        ("two hundred and fifty", 250, "250"),
        ("The answer is one.", 1, "1"),
        ("five months", 5, "5"),
        ("**12**", 12, "12"),
        ("30 (that is 15%)", 30, "30"),
        ("2 + 2 = 4", 4, "4"),
        ("17.5% of 2,340 = 409.5.", 409.5, "409.5"),
        ("3/4 = 0.75", 0.75, "0.75"),
        ("123456789012345678901234567890.50", 1.2345678901234568e29, "123456789012345678901234567890.5"),
    ],
)
async def test_one_number_is_what_it_says(text: str, value: float, shown: str):
    found = await checked(Number(), text)
    assert (found.ok, found.value, found.text) == (True, value, shown), found.reason
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "15 percent", "fifteen percent", "15 per cent", "1 001", "12 500", "1,25", "1.250,50", "2/3", "5/5", "10:10",
        "3-3", "2\u00b3", "2^2", "6.02\u00d710^23", "6.02\u00d710\u00b2\u00b3", "1\u00bd", "5 thousandths", "5M",
        "7 degrees below zero", "three quarters", "a third", "half a million", "five point five", "zero point five",
        "x = 4, y = 5", "a4 = 3, 5", "2 + 2 = 4, or 5", "2 + 2 = 4 = 4", "2 + 3 =",
        "one million two hundred thousand", "At first glance, none", "Sorry, I can't answer that one.",
        "No one knows.", "once upon a time", "one of the seven", "a couple of ideas", "1.2.3.4", "0x1F", "NaN", "inf",
    ],
)  # fmt: skip
async def test_what_may_be_read_in_two_ways_is_no_number(text: str):
    found = await checked(Number(), text)
    assert not found.ok and found.reason.startswith("it must say one number"), found


async def test_percentages_in_words_are_told_as_such():
    assert "without a percent sign" in (await checked(Number(), "15 per cent")).reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020/12/25", "2020-12-25"),
        ("2020.03.04", "2020-03-04"),
        ("12-25-2020", "2020-12-25"),
        ("2020-1-5", "2020-01-05"),
        ("the 25th of December 2026", "2026-12-25"),
        ("2026 December 25", "2026-12-25"),
        ("29 Feb 2020", "2020-02-29"),
        ("July 4, 1976 (1976-07-04)", "1976-07-04"),
        ("03/04/2020, the 3rd of April 2020", "2020-04-03"),
        ("2020-01-01T10:00", "2020-01-01"),
    ],
)
async def test_one_date_in_any_spelling(text: str, value: str):
    found = await checked(Date(), text)
    assert (found.ok, found.value, found.text) == (True, value, value), found.reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("May 2020", "must say a date"),
        ("a marvellous 2020", "must say a date"),
        ("12020-01-01", "must say a date"),
        ("2020-01-0123", "must say a date"),
        ("3-5 March 2020", "must say a date"),
        ("25/12/202", "must say a date"),
        ("25.12.20", "year in full"),
        ("4 July 76", "year in full"),
        ("29 Feb 2021", "'29 Feb 2021' is not a date"),
        ("31 April 2021", "is not a date"),
        ("0000-01-01", "is not a date"),
        ("1.10.2020", "two ways"),
        ("2020-01-01 or 2020-01-02", "one date only"),
        ("2020-01-01 or 2021-02-29", "'2021-02-29' is not a date"),
    ],
)
async def test_what_is_not_one_date(text: str, told: str):
    found = await checked(Date(), text)
    assert not found.ok and told in found.reason, found


@pytest.mark.parametrize(
    ("text", "value"),
    [("**5 km**", 5), ("1,500 m", 1.5), ("-5 km", -5), ("3/4 km", 0.75), ("5 km.", 5), ("1 km + 4 km = 5 km", 5)],
)
async def test_quantities(text: str, value: float):
    found = await checked(Quantity(unit="km"), text)
    assert (found.ok, found.value) == (True, value), found.reason
    assert type(found.value) is type(value)
    assert "*" not in found.text and "=" not in found.text


@pytest.mark.parametrize("text", ["km", "1e400 km", "5 km in miles", "about 40 km", "five km", "5 %", "5 km/h"])
async def test_what_is_no_quantity(text: str):
    assert not (await checked(Quantity(unit="km"), text)).ok


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Quantity(unit="km", min=5, max=1), "at least 5"),
        (lambda: Quantity(unit="km", max=float("nan")), "finite"),
        (lambda: Quantity(unit="km+1 m"), "more than a unit"),
        (lambda: Date(earliest="2021-01-01", latest="2020-01-01"), "No date"),
    ],
)
def test_bounds_that_nothing_is_within_are_refused(make: Any, told: str):
    with pytest.raises(InvalidRequest, match=told):
        make()


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Number(min=5, max=5), "5"),
        (Date(earliest="2020-01-01", latest="2020-01-01"), "2020-01-01"),
        (Quantity(unit="km", min=5, max=5), "5000 m"),
    ],
)
async def test_bounds_are_within(check: Verifier, text: str):
    assert (await checked(check, text)).ok


@pytest.mark.timeout(30)
def test_long_answers_are_read_in_linear_time():
    """Each took a minute or grew with the square of its length once."""
    for text in ("9" * 60_000 + "%", "minus " * 15_000, "1,111" * 15_000, "1" + " " * 60_000 + "x"):
        numbers_in(text)
    for text in ("jan" * 30_000, "jan " * 20_000, "may 1 " * 15_000, "1/" * 40_000):
        assert not dates_in(text)
