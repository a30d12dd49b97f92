"""The dates that an answer says, each with all its readings: 03/04/2020 is two days. Pure."""

from __future__ import annotations

import datetime as dt
import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<{0}>\d{{1,2}})(?:st|nd|rd|th)?"
_BEFORE, _AFTER = r"(?<![\w/.–-])", r"(?!\d|[/.–-]\d)"
_ISO = re.compile(_BEFORE + r"\d{4}-\d{2}-\d{2}" + _AFTER)
_DATE = re.compile(
    rf"{_BEFORE}(?:(?P<y1>\d{{4}})(?P<s1>[-/.])(?P<m1>\d{{1,2}})(?P=s1)(?P<d1>\d{{1,2}})"
    r"|(?P<first>\d{1,2})(?P<s2>[-/.])(?P<second>\d{1,2})(?P=s2)(?P<y2>\d{4})"
    rf"|{_DAY.format('d3')}\s+(?:of\s+)?{_MONTH.format('m3')}\s*,?\s+(?P<y3>\d{{4}})"
    rf"|{_MONTH.format('m4')}\s+{_DAY.format('d4')}(?:\s*,\s*|\s+)(?P<y4>\d{{4}})"
    rf"|(?P<y5>\d{{4}}),?\s+{_MONTH.format('m5')}\s+{_DAY.format('d5')}){_AFTER}",
    re.IGNORECASE,
)
_SHORT = re.compile(
    rf"{_BEFORE}(?:\d{{1,2}}([-/.])\d{{1,2}}\1\d{{2}}|{_DAY.format('d1')}\s+{_MONTH.format('m1')}\s*,?\s+['’]?\d{{2}}"
    rf"|{_MONTH.format('m2')}\s+{_DAY.format('d2')}\s*,\s*['’]?\d{{2}}){_AFTER}",
    re.IGNORECASE,
)


def dates_in(text: str, *, iso: bool = False) -> dict[str, frozenset[dt.date]]:
    """What a text says as dates, and the days that each may be: none where there is no such day. iso: only those that
    are written as 2026-12-25."""
    return {match[0]: _readings(match) for match in (_ISO if iso else _DATE).finditer(text)}


def has_short_year(text: str) -> bool:
    return _SHORT.search(text) is not None


def _readings(match: re.Match[str]) -> frozenset[dt.date]:
    if match.re is _ISO:
        year, month, day = map(int, match[0].split("-"))
        return _days((year, month, day))
    if match["y2"]:
        year, first, second = int(match["y2"]), int(match["first"]), int(match["second"])
        return _days((year, first, second), (year, second, first))
    place = next(number for number in "1345" if match[f"y{number}"])
    year, month, day = (match[f"{part}{place}"] for part in "ymd")
    return _days((int(year), int(month) if month.isdecimal() else _MONTHS.index(month[:3].lower()) + 1, int(day)))


def _days(*found: tuple[int, int, int]) -> frozenset[dt.date]:
    days: set[dt.date] = set()
    for year, month, day in found:
        try:
            days.add(dt.date(year, month, day))
        except ValueError:
            continue
    return frozenset(days)
