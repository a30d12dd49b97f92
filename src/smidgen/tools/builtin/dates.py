"""Dates and times: now, weekdays, differences and sums, by the calendar. The clock can be given, so tests are fixed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, Literal

from smidgen.tools import ToolOutcome
from smidgen.tools.function import BadArguments, FunctionTool, tool

Clock = Callable[[], dt.datetime]
"""The current moment as an aware datetime."""

Unit = Literal["days", "weeks", "months", "years"]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_RELATIVE = {"today": 0, "now": 0, "tomorrow": 1, "yesterday": -1}
_HOLIDAYS = {
    "new year": (1, 1),
    "new years day": (1, 1),
    "valentines day": (2, 14),
    "halloween": (10, 31),
    "christmas eve": (12, 24),
    "christmas": (12, 25),
    "christmas day": (12, 25),
    "new years eve": (12, 31),
}
"""Those that fall on the same date each year."""
_ISO_WEEK = re.compile(r"(\d{4})-?W(\d{2})(?:-?([1-7]))?", re.IGNORECASE)
_SLASHES = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{2,4})")


def system_clock() -> dt.datetime:
    return dt.datetime.now().astimezone()


def parse_date(text: str, clock: Clock = system_clock) -> dt.date:
    """ISO dates and weeks, "today", "tomorrow", "yesterday", weekday names (the next such day, "last friday" the one
    before), "25 December 2026", "Dec 25" (this year), "Christmas". Day and month as numbers only where one
    reading is possible.

    Raises BadArguments with what was wrong.
    """
    from dateutil import parser

    written = text.strip().strip("?.,")
    lower = written.lower()
    today = clock().date()
    if lower in _RELATIVE:
        return today + dt.timedelta(days=_RELATIVE[lower])
    week = _ISO_WEEK.fullmatch(written)
    if week:
        try:
            return dt.date.fromisocalendar(int(week[1]), int(week[2]), int(week[3] or 1))
        except ValueError as error:
            raise BadArguments(f"{text!r} is not a date: {error}.") from None
    holiday = re.fullmatch(r"([a-z ]+?)(?:,? (\d{4}))?", lower.replace("'", "").replace("’", ""))
    if holiday and holiday[1] in _HOLIDAYS:
        return _holiday(_HOLIDAYS[holiday[1]], int(holiday[2]) if holiday[2] else None, today)
    named = re.fullmatch(r"(?:(next|last|this|on)\s+)?([a-z]+)", lower)
    if named and named[2].title() in WEEKDAYS:
        ahead = (WEEKDAYS.index(named[2].title()) - today.weekday()) % 7
        if named[1] == "last":
            return today + dt.timedelta(days=(ahead or 7) - 7 if ahead else -7)
        return today + dt.timedelta(days=ahead or 7)
    slashes = _SLASHES.search(written)
    day_first = False
    if slashes:
        first, second = int(slashes[1]), int(slashes[2])
        if first <= 12 and second <= 12 and first != second:
            raise BadArguments(f"{text!r} can be read in two ways.", hint="Write the year first, as in 2026-12-25.")
        day_first = first > 12
    if not re.search(r"\d", written):
        raise BadArguments(f"{text!r} is not a date.", hint="Write it as in 2026-12-25.")
    try:
        start = dt.datetime(today.year, today.month, 1)
        return parser.parse(written, default=start, dayfirst=day_first).date()
    except (ValueError, OverflowError, TypeError):
        raise BadArguments(f"{text!r} is not a date.", hint="Write it as in 2026-12-25.") from None


def _holiday(day: tuple[int, int], year: int | None, today: dt.date) -> dt.date:
    """In that year; without one the next to come, today included."""
    if year == 0:
        raise BadArguments("There is no year 0.")
    found = dt.date(year or today.year, *day)
    return found if year or found >= today else found.replace(year=today.year + 1)


def _zone(name: str) -> dt.tzinfo | None:
    import zoneinfo

    if name.strip().lower() in ("", "local", "here"):
        return None
    known = {key.lower(): key for key in zoneinfo.available_timezones()}
    wanted = name.strip().lower().replace(" ", "_")
    match = known.get(wanted) or next((key for low, key in sorted(known.items()) if low.endswith("/" + wanted)), None)
    if match is None:
        raise BadArguments(f"I know no time zone {name!r}.", hint="Write it as in Europe/Vienna or UTC.")
    return zoneinfo.ZoneInfo(match)


def _said(day: dt.date) -> str:
    return f"{WEEKDAYS[day.weekday()]}, {day.isoformat()}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if abs(number) == 1 else f"{number} {noun}s"


def date_tools(clock: Clock = system_clock) -> tuple[FunctionTool, ...]:
    @tool
    def current_time(timezone: str = "local") -> ToolOutcome:
        """Tell the current date, weekday and time.

        Args:
            timezone: for example "local", "UTC" or "Asia/Tokyo"
        """
        zone = _zone(timezone)
        now = clock() if zone is None else clock().astimezone(zone)
        where = f" in {timezone}" if zone is not None else ""
        said = f"{_said(now.date())} {now:%H:%M:%S}"
        value = {"iso": now.isoformat(timespec="seconds"), "weekday": WEEKDAYS[now.weekday()]}
        return ToolOutcome(ok=True, value=value, text=said, answer=f"It is {said}{where}.")

    @tool
    def weekday(date: str) -> ToolOutcome:
        """Tell which day of the week a date is.

        Args:
            date: for example "2024-03-14" or "today"
        """
        day = parse_date(date, clock)
        year, week, _ = day.isocalendar()
        name = WEEKDAYS[day.weekday()]
        value = {"date": day.isoformat(), "weekday": name, "iso_week": f"{year}-W{week:02d}"}
        return ToolOutcome(ok=True, value=value, text=f"{day} is a {name}.", answer=f"{day} is a {name}.")

    @tool
    def days_between(start: str, end: str) -> ToolOutcome:
        """Count the days from one date to another.

        Args:
            start: for example "2024-01-31" or "today"
            end: for example "2024-03-14" or "today"
        """
        from dateutil.relativedelta import relativedelta

        first, last = parse_date(start, clock), parse_date(end, clock)
        days = (last - first).days
        apart = relativedelta(last, first)
        parts = [("year", apart.years), ("month", apart.months), ("day", apart.days)]
        spelled = ", ".join(_count(number, noun) for noun, number in parts if number)
        also = f" ({spelled})" if apart.years or apart.months else ""
        said = f"From {first} to {last}: {_count(days, 'day')}{also}."
        value = {"days": days, "years": apart.years, "months": apart.months, "rest_days": apart.days}
        return ToolOutcome(ok=True, value=value, text=said, answer=said)

    @tool
    def date_add(date: str, amount: int, unit: Unit = "days") -> ToolOutcome:
        """Add days, weeks, months or years to a date, or take them away.

        Args:
            date: for example "2024-01-31" or "today"
            amount: how many; negative to go back
            unit: days, weeks, months or years
        """
        from dateutil.relativedelta import relativedelta

        first = parse_date(date, clock)
        steps: dict[str, Any] = {unit: amount}
        try:
            day = first + relativedelta(**steps)
        except (ValueError, OverflowError):
            raise BadArguments("That is beyond the calendar's years 1 to 9999.") from None
        direction = "after" if amount >= 0 else "before"
        said = f"{_count(abs(amount), unit.rstrip('s'))} {direction} {first} is {_said(day)}."
        return ToolOutcome(ok=True, value={"date": day.isoformat()}, text=said, answer=said)

    return current_time, weekday, days_between, date_add
