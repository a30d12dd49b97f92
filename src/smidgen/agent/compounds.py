"""Amounts said in pieces: "two hours and a half", "an hour and a half", "three quarters of an hour", "1m80"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

_PARTS = {"half": Decimal("0.5"), "quarter": Decimal("0.25")}
_OTHER = r"(?:dozen|an?|the|of\s+(?:his|its|the|my|h?er|them|their|it|our|your))"
_AND_A_PART = rf"\s+and\s+(?:a|one)[\s-]+(?P<part>half|quarter)\b(?!\s+{_OTHER}\b)"
_MORE = re.compile(rf"(?:\s+(?P<unit>[A-Za-z]+))?{_AND_A_PART}", re.IGNORECASE)
_ONE_AND_MORE = re.compile(rf"\b(?:an?|one)\s+(?P<unit>[A-Za-z]+){_AND_A_PART}", re.IGNORECASE)
_SHARE_OF = re.compile(r"(?:\s+(?P<quarters>quarters))?(?:\s+of)?\s+an?\s+(?P<unit>[A-Za-z]+)", re.IGNORECASE)
_METRES = re.compile(r"(?<![\d.,])(?P<metres>\d)m(?P<hundredths>\d\d)(?![\d.,]*\d|[a-z])")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a text: its readings, the likeliest first, and where it stands. unit: what stands within it ("two
    hours and a half"); a unit behind it is not told here."""

    readings: tuple[Decimal, ...]
    start: int
    end: int
    unit: str = ""


def joined(text: str, found: Sequence[Said]) -> list[Said]:
    """Numbers as they are meant, where pieces of them were found one by one; the others as they are."""
    whole = list({(said.start, said.end): said for said in _joined(text, found)}.values())
    return [said for said in found if not any(_overlap(said, other) for other in whole)] + whole


def _joined(text: str, found: Sequence[Said]) -> Iterator[Said]:
    for match in _METRES.finditer(text):
        number = Decimal(f"{match['metres']}.{match['hundredths']}")
        yield Said(readings=(number,), start=match.start(), end=match.end(), unit="m")
    for match in _ONE_AND_MORE.finditer(text):
        number = 1 + _PARTS[match["part"].lower()]
        yield Said(readings=(number,), start=match.start(), end=match.end(), unit=match["unit"])
    for said in found:
        first = said.readings[0]
        if (more := _MORE.match(text, said.end)) and first == int(first):
            number = first + _PARTS[more["part"].lower()]
            yield Said(readings=(number,), start=said.start, end=more.end(), unit=more["unit"] or "")
        elif share := _SHARE_OF.match(text, said.end):
            if share["quarters"] and first in (1, 2, 3):
                first *= _PARTS["quarter"]
            elif share["quarters"] or text[said.start : said.end].lower() not in _PARTS:
                continue
            yield Said(readings=(first,), start=said.start, end=share.end(), unit=share["unit"])


def _overlap(one: Said, other: Said) -> bool:
    return one.start < other.end and other.start < one.end
