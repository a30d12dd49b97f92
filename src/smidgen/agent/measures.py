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
    "that", "which", "degrees", "people", "person", "second",
})  # fmt: skip
"""Words behind a number, or in a description, that are no unit, or one whose length differs."""
_ONE_LETTER = re.compile(r"(?<![A-Za-zµ°])[A-Za-z]$")
MOST_DIGITS = 12


def converted(said: Said, text: str, about: str) -> tuple[Decimal, ...] | None:
    """The number in the unit that a parameter's description asks for, () if its unit measures something else; None
    where no other unit is said. Never raises."""
    asked = next((m["unit"] for m in _ASKED.finditer(about) if m["unit"].lower() not in _NO_UNIT), None)
    if asked is None:
        return None
    feet = _FEET.match(text, said.end)
    if feet is not None:
        return _in(f"{said.readings[-1]} ft + {feet['inches']} inch", asked)
    if any(match.start("inches") == said.start for match in _FEET.finditer(text)):
        return ()  # went with its feet
    unit = _unit(text, said)
    if unit is None or unit.lower() == asked.lower():
        return None
    plain = min(said.readings, key=abs)
    return _in(f"{plain} {unit}", asked)


def _unit(text: str, said: Said) -> str | None:
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
    """Other units of the same kind that stand behind the text's numbers, in their order; [] for what is no unit."""
    from smidgen.errors import SmidgenError
    from smidgen.tools.builtin.arithmetic import compute

    found: list[str] = []
    for said in said_numbers(text):
        other = _unit(text, said)
        if other is None:
            continue
        try:
            if compute(f"(1 {other}) in {unit}").value.number != 1:
                found.append(other)
        except SmidgenError:
            continue
    return list(dict.fromkeys(found))
