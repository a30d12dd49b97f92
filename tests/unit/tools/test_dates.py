"""Date tools with a clock that stands still."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.tools import ToolOutcome
from smidgen.tools.builtin.dates import date_tools, parse_date
from smidgen.tools.function import BadArguments

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
TOOLS = {tool.spec.name: tool for tool in date_tools(lambda: NOON)}


async def use(name: str, **arguments: Any) -> ToolOutcome:
    return await TOOLS[name].call(arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-25", "2026-12-25"),
        ("today", "2026-11-23"),
        ("Tomorrow", "2026-11-24"),
        ("25 December 2026", "2026-12-25"),
        ("Dec 25", "2026-12-25"),
        ("25/12/2026", "2026-12-25"),
        ("12/25/2026", "2026-12-25"),
        ("2026-W52-5", "2026-12-25"),
        ("friday", "2026-11-27"),
        ("monday", "2026-11-30"),
        ("last friday", "2026-11-20"),
        ("last monday", "2026-11-16"),
        ("Christmas", "2026-12-25"),
        ("New Year's Day", "2027-01-01"),
        ("christmas 2030", "2030-12-25"),
    ],
)
def test_usual_ways_to_write_a_date_are_read(text: str, expected: str) -> None:
    assert parse_date(text, lambda: NOON).isoformat() == expected


@pytest.mark.parametrize(
    "text", ["03/04/2026", "banana", "", "2026-02-30", "2026-W60", "christmas 0000", "99999999999999"]
)
def test_what_is_no_date_or_has_two_readings_is_refused(text: str) -> None:
    with pytest.raises(BadArguments):
        parse_date(text, lambda: NOON)


async def test_the_weekday_of_a_date() -> None:
    outcome = await use("weekday", date="2026-12-25")
    assert outcome.answer == "2026-12-25 is a Friday."
    assert outcome.value["iso_week"] == "2026-W52"


async def test_days_between_dates_in_both_directions() -> None:
    assert (await use("days_between", start="today", end="2026-12-25")).value["days"] == 32
    assert (await use("days_between", start="2026-12-25", end="today")).value["days"] == -32


async def test_a_month_after_the_last_of_january_is_the_last_of_february() -> None:
    assert (await use("date_add", date="2026-01-31", amount=1, unit="months")).value == {"date": "2026-02-28"}


async def test_a_sum_beyond_the_calendar_fails_as_data() -> None:
    outcome = await use("date_add", date="2026-01-31", amount=99999, unit="years")
    assert not outcome.ok and "9999" in outcome.text


async def test_time_in_a_zone_by_city_name() -> None:
    assert (await use("current_time", timezone="Tokyo")).value["iso"] == "2026-11-23T21:00:00+09:00"
    assert not (await use("current_time", timezone="Atlantis")).ok


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_a_bad_argument(text: str) -> None:
    try:
        assert isinstance(parse_date(text, lambda: NOON), dt.date)
    except BadArguments:
        pass
