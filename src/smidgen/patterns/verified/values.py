"""Answers that are one value: a number, a quantity with its unit, a date."""

from __future__ import annotations

import datetime as dt
import math
from functools import reduce
from typing import Any

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.patterns.verified.checked import Checked, held, wrong
from smidgen.patterns.verified.days import dates_in, has_short_year
from smidgen.patterns.verified.numerals import DIGITS, as_number, decimals, has_percentage, numbers_in, plain, result_in

_AROUND = " \t\r\n*_`"
"""What may stand around a quantity: space, and marks that make it bold or code."""
_WRITTEN = "written as in 2026-12-25"


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """One number, in digits or in words, that is in the range and has at most `decimals` digits after the point.
    Other words may stand around it, and where there are digits only these count; the number alone is the answer, and
    the value: an int, or a float."""

    min: float | None = None
    max: float | None = None
    integer: bool = False
    decimals: int | None = None

    def __post_init__(self) -> None:
        _bounded(self.min, self.max)
        if self.decimals is not None and not 0 <= self.decimals <= DIGITS:
            raise InvalidRequest(f"decimals is {self.decimals}; it can be 0 to {DIGITS}.")

    @property
    def name(self) -> str:
        return "number"

    @property
    def constraint(self) -> Constraint | None:
        sign = "" if self.min is not None and self.min >= 0 else "-?"
        places = 0 if self.integer else DIGITS if self.decimals is None else self.decimals
        fraction = rf"(\.[0-9]{{1,{places}}})?" if places else ""
        bounds = (self.min, self.max)
        ends = [abs(bound) for bound in bounds if bound is not None]
        digits = min(DIGITS, len(str(int(max(ends))))) if len(ends) == len(bounds) else DIGITS
        return Constraint(kind="regex", source=rf"{sign}(0|[1-9][0-9]{{0,{digits - 1}}}){fraction}")

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        numbers = numbers_in(text)
        if not numbers:
            percent = " without a percent sign" if has_percentage(text) else ""
            return wrong(f"it must say one number{percent}")
        if len(numbers) > 1:
            return wrong(f"it must say one number only, not {len(numbers)}")
        number = numbers[0]
        if not math.isfinite(float(number)):
            return wrong("the number is too large")
        if self.integer and number != number.to_integral_value():
            return wrong(f"{plain(number)} is no whole number")
        if self.decimals is not None and decimals(number) > self.decimals:
            return wrong(f"{plain(number)} has more than {self.decimals} decimals")
        if self.min is not None and float(number) < self.min:
            return wrong(f"{plain(number)} is less than {self.min:g}")
        if self.max is not None and float(number) > self.max:
            return wrong(f"{plain(number)} is more than {self.max:g}")
        return held(plain(number), as_number(number))


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """A number with a unit of the same dimension as `unit` ("km/h"), as in "90 minutes" for "s". Of a calculation
    ("2 km + 300 m = 2300 m") the result is the answer, which stays as it was written. The value is the number in
    `unit`, which the range is in too."""

    unit: str
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        _unit_of(self.unit)
        _bounded(self.min, self.max)

    @property
    def name(self) -> str:
        return "unit"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        from smidgen.tools.builtin.quantity import ArithmeticProblem
        from smidgen.tools.builtin.units import convert

        written = result_in(text).strip(_AROUND).rstrip(".").strip(_AROUND)
        told = f'it must be a number with its unit, and be nothing else, as in "12 {self.unit}"'
        try:
            found = _computed(written)
        except ArithmeticProblem:
            return wrong(told)
        if found.converted or not any(letter.isdecimal() for letter in written):
            return wrong(told)
        if found.value.unit is None:
            return wrong(f'it has no unit; write it as in "12 {self.unit}"')
        try:
            number = float(convert(found.value, _unit_of(self.unit), -1).number)
        except (ArithmeticProblem, OverflowError):
            return wrong(f"{written} is nothing that {self.unit} measures")
        if not math.isfinite(number):
            return wrong("the number is too large")
        if self.min is not None and number < self.min:
            return wrong(f"{written} is less than {self.min:g} {self.unit}")
        if self.max is not None and number > self.max:
            return wrong(f"{written} is more than {self.max:g} {self.unit}")
        return held(written, int(number) if number.is_integer() and abs(number) < 2**53 else number)


class Date(msgspec.Struct, frozen=True, kw_only=True):
    """One date in any usual spelling that has one reading, or only as 2026-12-25 with `iso`. earliest, latest: days
    within which it is, as 2026-12-25. The answer is the date in ISO 8601, and so is the value."""

    earliest: str = ""
    latest: str = ""
    iso: bool = False

    def __post_init__(self) -> None:
        for day in filter(None, (self.earliest, self.latest)):
            try:
                dt.date.fromisoformat(day)
            except ValueError:
                raise InvalidRequest(f"{day!r} is no date.", hint="Write it as in 2026-12-25.") from None
        earliest, latest = self._bounds()
        if earliest > latest:
            raise InvalidRequest(f"No date is from {earliest} on and up to {latest}.", hint="Let earliest be first.")

    def _bounds(self) -> tuple[dt.date, dt.date]:
        return (
            dt.date.fromisoformat(self.earliest) if self.earliest else dt.date.min,
            dt.date.fromisoformat(self.latest) if self.latest else dt.date.max,
        )

    @property
    def name(self) -> str:
        return "date"

    @property
    def constraint(self) -> Constraint | None:
        return Constraint(kind="regex", source="[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        dates = dates_in(text, iso=self.iso)
        if not dates:
            year = ", with its year in full" if has_short_year(text) else ""
            return wrong(f"it must say a date{year}, {_WRITTEN}")
        none = next((said for said, days in dates.items() if not days), None)
        if none is not None:
            return wrong(f"{none!r} is not a date; it must be one, {_WRITTEN}")
        days = reduce(frozenset[dt.date].__and__, dates.values())
        if not days:
            return wrong(f"it must say one date only, {_WRITTEN}")
        if len(days) > 1:
            return wrong(f"{next(iter(dates))!r} can be read in two ways; it must be {_WRITTEN}")
        day, (earliest, latest) = next(iter(days)), self._bounds()
        if day < earliest:
            return wrong(f"{day} is before {earliest}")
        if day > latest:
            return wrong(f"{day} is after {latest}")
        return held(day.isoformat())


def _bounded(least: float | None, most: float | None) -> None:
    """Raises InvalidRequest."""
    if not all(math.isfinite(bound) for bound in (least, most) if bound is not None):
        raise InvalidRequest("min and max must be finite numbers.", hint="Leave out the one that there isn't.")
    if least is not None and most is not None and least > most:
        raise InvalidRequest(f"No number is at least {least:g} and at most {most:g}.", hint="Let min be less.")


def _computed(text: str) -> Any:
    from smidgen.tools.builtin.arithmetic import compute

    return compute(text)


def _unit_of(text: str) -> Any:
    """Raises InvalidRequest."""
    from smidgen.tools.builtin.quantity import ArithmeticProblem

    hint = 'Write it as in "km/h".'
    try:
        value = _computed(f"1 {text}").value
    except ArithmeticProblem as error:
        raise InvalidRequest(f"{text!r} is no unit: {error.message}.", hint=hint) from error
    if value.unit is None:
        raise InvalidRequest(f"{text!r} has no dimension.", hint="Use the check for numbers.")
    if value.number != 1:
        raise InvalidRequest(f"{text!r} is more than a unit.", hint=hint)
    return value.unit
