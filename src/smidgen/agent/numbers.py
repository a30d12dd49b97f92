"""Numbers that a text says, in every reading that a tool may ask for: 15% as 15 and 0.15, 11 PM as 11 and 23."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import msgspec

_WRITTEN = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?![\w]))?|(?<![\d\w])\.\d+)"
)
_SIGN = re.compile(r"(?:(?<![\w)\d])[-−]\s?|\b(?:minus|negative)\s+)$", re.IGNORECASE)
_PERCENT = re.compile(r"\s*(?:%|per\s?cent\b|percent\b|percentage\b)", re.IGNORECASE)
_SCALE = re.compile(r"\s*-?(k|m|bn|thousand|million|billion|trillion|dozen|hundred)\b", re.IGNORECASE)
_CLOCK = re.compile(r"(?::(?P<minutes>\d\d))?\s*(?P<half>[ap])\.?m\b", re.IGNORECASE)
_RATIO = re.compile(r"\s*/\s*(\d+(?:\.\d+)?)(?![\d/])")
SCALES = {
    "k": 1000, "m": 1_000_000, "bn": 10**9, "hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 10**9,
    "trillion": 10**12, "dozen": 12,
}  # fmt: skip
WORDS: dict[str, int | str] = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "thousand": 1000, "million": 1_000_000,
    "billion": 10**9, "dozen": 12, "half": "0.5", "quarter": "0.25", "third": 3, "twice": 2, "double": 2, "triple": 3,
    "pair": 2, "couple": 2, "once": 1, "single": 1, "first": 1, "second": 2, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "decade": 10, "century": 100, "fortnight": 14,
}  # fmt: skip


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a text: its readings, the likeliest first, and where it stands."""

    readings: tuple[Decimal, ...]
    start: int
    end: int


def said_numbers(text: str) -> tuple[Said, ...]:
    """Numbers in digits and in words, in the order in which they stand. Never raises."""
    found = [*_in_digits(text), *_in_words(text)]
    return tuple(sorted(found, key=lambda said: said.start))


def readings(text: str) -> tuple[Decimal, ...]:
    """Every reading of every number said, once each."""
    return tuple(dict.fromkeys(reading for said in said_numbers(text) for reading in said.readings))


def _in_digits(text: str) -> Iterator[Said]:
    for match in _WRITTEN.finditer(text):
        try:
            number = Decimal(match["number"].replace(",", ""))
        except InvalidOperation:
            continue
        after = text[match.end() :]
        end = match.end()
        found = [number]
        if percent := _PERCENT.match(after):
            found.append(number / 100)
            end += percent.end()
        elif scale := _SCALE.match(after):
            found.insert(0, number * SCALES[scale[1].lower()])
            end += scale.end()
        elif (clock := _CLOCK.match(after)) and number <= 12:
            hour = number % 12 + (12 if clock["half"].lower() == "p" else 0)
            found.append(hour)
            end += clock.end()
        elif (ratio := _RATIO.match(after)) and Decimal(ratio[1]):
            found.append(number / Decimal(ratio[1]))
        if _SIGN.search(text[: match.start()]):
            found = [-reading for reading in found] + found
        yield Said(readings=tuple(dict.fromkeys(map(_plain, found))), start=match.start(), end=end)


def _in_words(text: str) -> Iterator[Said]:
    """Runs such as "two hundred and fifty"; each run's value, and that of its words alone where it is one word."""
    total = current = Decimal(0)
    start = end = -1
    for match in [*re.finditer(r"[A-Za-z]+", text), None]:
        word = match[0].lower() if match else ""
        value = WORDS.get(word) if match else None
        joined = (
            start >= 0 and match is not None and re.fullmatch(r"[\s-]+(?:and\s+)?", text[end : match.start()] or "!")
        )
        if match is not None and word == "and" and start >= 0:
            continue
        if value is None or (start >= 0 and not joined):
            if start >= 0:
                yield Said(readings=(_plain(total + current),), start=start, end=end)
            total = current = Decimal(0)
            start = end = -1
        if match is None or value is None:
            continue
        number = Decimal(value)
        if start < 0 and text[: match.start()].rstrip()[-1:].isdigit():
            continue  # "2.5 million" was read with its digits
        start = match.start() if start < 0 else start
        end = match.end()
        if number >= 1000:
            total, current = (total + (current or 1)) * number, Decimal(0)
        elif number == 100:
            current = (current or 1) * number
        else:
            current += number


def _plain(number: Decimal) -> Decimal:
    """Without trailing zeros, so that equal readings are the same."""
    return number.normalize() if number else Decimal(0)
