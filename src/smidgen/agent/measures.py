"""Amounts that a request says in one unit and a parameter asks for in another: "100 µF" for a capacitance in farads.

Only where both units are written out: the request's behind its number, the parameter's in its description. Conversion
is the calculator's, exact in decimals.
"""

from __future__ import annotations

import re
from decimal import Decimal

from smidgen.agent.numbers import Said, said_numbers

_UNIT = re.compile(r"\s?(?P<unit>[µμ°]?[A-Za-z]{1,14}(?:/[a-z]{1,4})?)(?![\w/^²³])")
_FEET = re.compile(
    r"\s?(?:ft|feet|foot|['′])\s?(?P<inches>\d{1,2}(?:\.\d+)?)\s?(?:in\b|inch(?:es)?\b|[\"″])", re.IGNORECASE
)
_ASKED = re.compile(r"\b(?:in|units?:)\s+(?:units?\s+of\s+)?(?P<unit>[µ°]?[A-Za-z]+(?:/[a-z]+)?)\b(?!\s+(?:or|and)\b)")
_NO_UNIT = frozenset({
    "a", "am", "an", "and", "as", "at", "by", "for", "from", "if", "in", "is", "it", "of", "on", "or", "per", "pm",
    "so", "the", "then", "to", "x", "year", "years", "month", "months", "format", "order", "total", "case", "this",
    "that", "which", "degrees", "people", "person", "second", "unit", "units",
})  # fmt: skip
"""Words behind a number, or in a description, that are no unit, or one whose length differs."""
_METRES = re.compile(r"(?<![$€£\d.,])[\d.,]+\s?m$")
_WANTED = re.compile(r"\b(?:in|to|into)\s+(?:units?\s+of\s+)?(?P<unit>[A-Za-z]{2,14}(?:/[a-z]{1,4})?)\b", re.IGNORECASE)
"""The unit that a result shall have."""
_ONE_LETTER = re.compile(r"(?<![A-Za-zµ°])[A-Za-z]$")
MOST_DIGITS = 12
NEAR = 24
"""Characters between feet and their inches at most."""


def converted(said: Said, text: str, about: str) -> tuple[Decimal, ...] | None:
    """The number in the unit that a parameter's description asks for, () if its unit measures something else; None
    where no other unit is said. Never raises."""
    asked = next((m["unit"] for m in _ASKED.finditer(about) if m["unit"].lower() not in _NO_UNIT), None)
    if asked is None:
        return None
    feet = _FEET.match(text, said.end)
    if feet is not None:
        return _in(f"{said.readings[-1]} ft + {feet['inches']} inch", asked)
    if any(
        match.start("inches") == said.start
        for match in _FEET.finditer(text, max(0, said.start - NEAR), said.end + NEAR)
    ):
        return ()  # went with its feet
    unit = _unit(text, said)
    if unit is None or unit.lower() == asked.lower():
        return None
    plain = min(said.readings, key=abs)
    return _in(f"{plain} {unit}", asked)


def _unit(text: str, said: Said) -> str | None:
    if said.unit:
        return None if said.unit.lower() in _NO_UNIT else said.unit
    if _METRES.search(text, said.start, said.end):
        return "m"  # taken for millions as well
    found = _UNIT.match(text, said.end)
    if found is None or found["unit"].lower() in _NO_UNIT:
        return None
    return found["unit"].replace("μ", "µ")


def _in(amount: str, unit: str) -> tuple[Decimal, ...] | None:
    from smidgen.errors import SmidgenError
    from smidgen.tools.builtin.arithmetic import compute

    for spelled in (unit, re.sub(r"ies$", "y", unit)):
        try:
            one, given = compute(f"1 {spelled}").value, compute(amount).value
        except SmidgenError:
            continue
        if one.unit is None or given.unit is None:
            return None
        try:
            found = compute(f"({amount}) in {spelled}").value.number
        except SmidgenError:
            return None if _ONE_LETTER.search(amount) else ()  # "5 C" may be coulombs
        return None if found == given.number else (_rounded(found),)
    return None


def _rounded(number: Decimal) -> Decimal:
    return Decimal(f"{number:.{MOST_DIGITS}g}").normalize() if number else Decimal(0)


def units_like(unit: str, text: str) -> list[str]:
    """Other units of the same kind that a text names, behind its numbers or as what it wants ("in miles"), in their
    order; [] for what is no unit."""
    behind = ((said.end, _unit(text, said)) for said in said_numbers(text))
    wanted = ((match.start(), match["unit"]) for match in _WANTED.finditer(text))
    found = [other for _, other in sorted((at, other) for at, other in (*behind, *wanted) if other)]
    return list(dict.fromkeys(other for other in found if _factor(other, unit) not in (None, 1)))


def measures_other(unit: str, other: str) -> bool:
    """Are they units of different kinds, as km and km/h, or is only one of them a unit?"""
    return unit.lower() != other.lower() and _factor(unit, other) is None


def _factor(unit: str, other: str) -> Decimal | None:
    """How many of the other one of a unit is; None if they are not of one kind, or no units."""
    from smidgen.errors import SmidgenError
    from smidgen.tools.builtin.arithmetic import compute

    if unit.lower() in _NO_UNIT or other.lower() in _NO_UNIT:
        return None
    try:
        return compute(f"(1 {unit}) in {other}").value.number
    except SmidgenError:
        return None
