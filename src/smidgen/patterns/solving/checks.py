"""What speaks for or against a number as the answer to a request. Pure.

Each is a factor of a vote's weight, and none is a veto but the first: a check that is wrong about a request then costs
a little and not the answer.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from decimal import Decimal

from smidgen.agent.compounds import Said
from smidgen.agent.numbers import reads_as, said_numbers
from smidgen.patterns.verified.programs import parsed

UNUSED = 0.7
"""For a program that leaves a number of the request out: it may be there to mislead."""
NEGATIVE = 0.25
"""For less than nothing where an amount is asked for."""
BROKEN = 0.4
"""For a fraction where things are counted: rounding may have been left to the reader."""

_AMOUNT = re.compile(r"\bhow\s+(?:many|much|long|far|old|tall|heavy|often)\b", re.IGNORECASE)
_COUNT = re.compile(r"\bhow\s+many\s+(?:more\s+|fewer\s+|other\s+|full\s+|whole\s+)?(?P<what>[a-z]+)", re.IGNORECASE)
_DIVISIBLE = re.compile(
    r"^(?:percent\w*|hours?|minutes?|seconds?|days?|weeks?|months?|years?|dollars?|euros?|pounds?|cents?|miles?|km"
    r"|kilomet\w+|met\w+|feet|foot|inch\w*|yards?|acres?|grams?|kilogra\w+|kg|ounces?|tons?|lit\w+|gallons?|cups?"
    r"|degrees?|calories|times|units?|square|cubic|points?)$",
    re.IGNORECASE,
)
"""What has halves."""


def plausible(value: float, request: str) -> tuple[float, str]:
    """The factor for a number as such, and why it is below 1. Not finite: 0."""
    if not math.isfinite(value):
        return 0.0, "it is no finite number"
    if value < 0 and _AMOUNT.search(request):
        return NEGATIVE, "it is negative, where an amount is asked for"
    counted = _COUNT.search(request)
    if counted and not _DIVISIBLE.match(counted["what"]) and abs(value - round(value)) > 1e-6:
        return BROKEN, f"it is no whole number of {counted['what'].lower()}"
    return 1.0, ""


def grounded(code: str, request: str) -> tuple[float, str]:
    """The factor for the numbers of the request that a program uses, and which it doesn't. Those that a reader may put
    in other words ("one", "a second") aren't missed."""
    tree = parsed(code)
    if isinstance(tree, str):
        return 0.0, tree
    constants = [
        float(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and _small(node.value)
    ]
    unused = [said for said in _asked(request) if not any(_means(said.readings, one) for one in constants)]
    if not unused:
        return 1.0, ""
    told = ", ".join(dict.fromkeys(request[said.start : said.end] for said in unused))
    return UNUSED, f"it doesn't use {told}"


def _asked(request: str) -> list[Said]:
    return [said for said in said_numbers(request) if not {Decimal(0), Decimal(1)} & set(said.readings)]


def _small(value: float) -> bool:
    return abs(value) < 1e300


def _means(readings: Sequence[Decimal], value: float) -> bool:
    """Also as a percentage, as what that leaves or adds (0.75 and 1.25 for 25%), and as a share (2 for a half)."""
    near = [value, value * 100, value / 100]
    if value and value.is_integer():
        near.append(1 / value)
    else:
        near += [1 - value, value - 1, (1 - value) * 100, (value - 1) * 100]
    return any(reads_as(readings, round(one, 9)) for one in near)
