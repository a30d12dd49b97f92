"""A number with its unit, and what goes wrong with numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from smidgen.tools.function import BadArguments

PRECISION = 100
"""Digits that are computed with."""


class ArithmeticProblem(BadArguments):
    """An expression that can't be computed. details: position (characters from the start)."""

    code = "arithmetic"

    def __init__(self, message: str, position: int = -1, **details: Any) -> None:
        where = f" (at character {position + 1})" if position >= 0 else ""
        super().__init__(message + where, position=position, **details)


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A number, with a unit (a pint Unit) or None. `percent`: it was written with a percent sign, `number` being the
    plain fraction. `bare`: a literal number or such with a unit, not yet part of a sum."""

    number: Decimal
    unit: Any = None
    percent: bool = False
