"""Dates, durations, time zones, files, quantities and quoted texts that stand in a request, as the tools read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache

import msgspec

from smidgen.agent.numbers import WORDS
from smidgen.errors import SmidgenError

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_HOLIDAY = r"(?:christmas(?:\s+(?:eve|day))?|xmas|new\s+year['’]?s?(?:\s+(?:eve|day))?|halloween|valentine['’]?s\s+day)"
_DATE = re.compile(
    rf"(?<![\w/.-])(?:\d{{4}}-\d{{1,2}}-\d{{1,2}}|\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{MONTH}(?:,?\s+\d{{4}})?"
    rf"|{MONTH}\s+(?:the\s+)?\d{{1,2}}(?:st|nd|rd|th)?(?!\d|[.,]\d)(?:,?\s+\d{{4}})?"
    rf"|today|tomorrow|yesterday|(?:(?:next|last|this)\s+)?{WEEKDAY}|{_HOLIDAY}(?:,?\s+\d{{4}})?)(?![\w/-]|[.,]\d)",
    re.IGNORECASE,
)
_COUNT = rf"(?:\d+|an?|{'|'.join(word for word, value in WORDS.items() if isinstance(value, int) and value)})"
_DURATION = re.compile(
    rf"(?<![\w.,-])(?P<counts>{_COUNT}(?:(?:,\s*|\s+and\s+|,\s+and\s+){_COUNT})*)\s+(?P<unit>day|week|month|year)s?\b",
    re.IGNORECASE,
)
_FILE = re.compile(r"(?<![\w.@/-])(?:[\w-]+/)*[\w-][\w.-]*\.[A-Za-z]\w{0,5}(?![\w/]|\.\w)")
_NO_FILE = re.compile(r"^[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|gov|edu)$|^(?:e\.g|i\.e|a\.m|p\.m)$", re.IGNORECASE)
"""Addresses and abbreviations."""
_QUOTED = re.compile(r"(?<!\w)(?:'(?P<a>[^'\n]+)'|\"(?P<b>[^\"\n]+)\"|‘(?P<c>[^’\n]+)’|“(?P<d>[^”\n]+)”)(?!\w)")
UNITS = (
    r"(?:km/h|kmh|kph|mph|kilomet(?:re|er)s?|met(?:re|er)s?|centimet(?:re|er)s?|millimet(?:re|er)s?|km|cm|mm|miles?"
    r"|yards?|feet|foot|ft|inch(?:es)?|kilograms?|kilos?|kg|grams?|milligrams?|mg|pounds?|lbs?|ounces?|oz|stones?|tons?|tonnes?"
    r"|lit(?:re|er)s?|millilit(?:re|er)s?|ml|cl|gallons?|pints?|quarts?|cups?|tablespoons?|tbsp|teaspoons?|tsp"
    r"|°\s?[CF]|degrees\s+(?:celsius|fahrenheit)|celsius|fahrenheit|seconds?|minutes?|hours?|acres?|hectares?"
    r"|bytes?|kilobytes?|megabytes?|gigabytes?|kb|mb|gb|tb|g|m|l)"
)
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_QUANTITY = re.compile(rf"(?<![\w.,$€£-])(?P<number>{NUMBER})\s?(?P<unit>{UNITS})(?![\w°/])", re.IGNORECASE)
_RACE = re.compile(r"(?<![\w.,])(?P<number>\d+)\s?k\s+(?=run|race|walk|jog|ride|swim)", re.IGNORECASE)


class Span(msgspec.Struct, frozen=True):
    """What stands from `start` to `end`; `text` is how a tool reads it."""

    text: str
    start: int
    end: int


class Duration(msgspec.Struct, frozen=True):
    """`counts` of one unit: "30, 60 and 90 days" has three."""

    counts: tuple[int, ...]
    unit: str
    start: int
    end: int


class Quantity(msgspec.Struct, frozen=True):
    number: str
    unit: str
    start: int
    end: int


def dates(text: str) -> tuple[Span, ...]:
    """Those that the date tools can read, in their order. Never raises."""
    from smidgen.tools.builtin.dates import parse_date

    found: list[Span] = []
    for match in _DATE.finditer(text):
        written = re.sub(r"\bxmas\b", "Christmas", match[0].strip(), flags=re.IGNORECASE)
        try:
            parse_date(written)
        except SmidgenError:
            continue
        found.append(Span(written, match.start(), match.end()))
    return tuple(found)


def durations(text: str) -> tuple[Duration, ...]:
    """The year of a date is none: "since 5 May 2026, 40 weeks" are 40."""
    found: list[Duration] = []
    for match in _DURATION.finditer(_without_dates(text)):
        words = re.split(r",\s*(?:and\s+)?|\s+and\s+", match["counts"].lower())
        counts = tuple(_count(word) for word in words)
        found.append(Duration(counts, match["unit"].lower() + "s", match.start(), match.end()))
    return tuple(found)


def _without_dates(text: str) -> str:
    """Dates with a year, blotted out."""
    for match in _DATE.finditer(text):
        if re.search(r"\d{4}", match[0]):
            text = text[: match.start()] + "#" * len(match[0]) + text[match.end() :]
    return text


def _count(word: str) -> int:
    return int(word) if word.isdigit() else 1 if word in ("a", "an") else int(WORDS[word])


def files(text: str) -> tuple[Span, ...]:
    """File names and paths with an ending, outside of quotes too; no web addresses."""
    named = (match for match in _FILE.finditer(text) if not _NO_FILE.search(match[0]))
    found = [Span(match[0], match.start(), match.end()) for match in named]
    return tuple(span for span in found if not re.search(r"(?:www\.|://)\S*$", text[: span.end]))


def quoted(text: str) -> tuple[Span, ...]:
    """Texts in quotes that don't serve as apostrophes, without the quotes."""
    return tuple(
        Span(next(group for group in match.groups() if group), match.start(), match.end())
        for match in _QUOTED.finditer(text)
    )


def quantities(text: str) -> tuple[Quantity, ...]:
    """Numbers with a unit that the calculator converts; "a 10k run" has ten kilometres."""
    found = [Quantity(m["number"], m["unit"], m.start(), m.end()) for m in _QUANTITY.finditer(text)]
    races = [Quantity(m["number"], "km", m.start(), m.end()) for m in _RACE.finditer(text)]
    return tuple(sorted([*found, *races], key=lambda quantity: quantity.start))


def zones(text: str) -> tuple[Span, ...]:
    """Cities and zones that the clock knows, after "in" or "at", or joined to such by "and"."""
    found: list[Span] = []
    for lead in re.finditer(r"\b(?:in|at|for)\s+", text, re.IGNORECASE):
        start = lead.end()
        while (span := _zone_at(text, start)) is not None:
            found.append(span)
            joined = re.match(r"(?:,\s*(?:and\s+)?|\s+and\s+)(?:in\s+)?", text[span.end :], re.IGNORECASE)
            if joined is None:
                break
            start = span.end + joined.end()
    return tuple({span.start: span for span in found}.values())


def _zone_at(text: str, start: int) -> Span | None:
    """The longest name of up to three words."""
    words = [match.end() for match in re.finditer(r"[^\W\d_]+(?:[-/'’_][^\W\d_]+)*", text[start : start + 60])][:3]
    for end in reversed(words):
        name = text[start : start + end]
        if re.match(r"[^\W\d_]", name) and _plain(name) in _zone_names():
            return None if _is_longer(name, text[start + end :]) else Span(name, start, start + end)
    return None


_AREAS = frozenset({
    "south", "north", "east", "west", "central", "pacific", "eastern", "western", "mountain", "atlantic", "general",
    "continental", "samoa", "easter", "island", "act", "universal", "greenwich",
})  # fmt: skip
"""Ends of names of zones that are no places by themselves."""


def _is_longer(name: str, rest: str) -> bool:
    """Does the place's name go on: "South Africa", "Paris, Texas"? Then it may be another place."""
    if name.lower() == "new york" and re.match(r"\s+City\b", rest):
        return False
    following = re.match(r"\s+([A-Z][a-z]+)|,\s+([A-Z][^\W\d_]+(?:\s+[A-Z][^\W\d_]+)?)", rest)
    if following is None or following[1] in ("Time", "And", "Is", "Please"):
        return False
    return not (following[2] and {_plain(following[2]), _plain(following[2].split()[0])} & _zone_names())


@cache
def _zone_names() -> frozenset[str]:
    import zoneinfo

    names = zoneinfo.available_timezones()
    cities = {name.rsplit("/", 1)[-1] for name in names if "/" in name and not name.startswith("Etc/")}
    plain = {_plain(name) for name in [*cities, *(name for name in names if "/" in name), "UTC", "GMT"]}
    return frozenset(plain - _AREAS)


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).lower()


def amounts(text: str) -> Iterator[tuple[Decimal, int, int]]:
    """Numbers in digits, with where they stand; no parts of dates, words or longer numbers."""
    for match in re.finditer(rf"(?<![\w.,/:-]){NUMBER}(?![\d/:]|[.,]\d|-\d)", text):
        yield Decimal(match[0].replace(",", "")), match.start(), match.end()
