"""Answers that are one value: a number, a quantity with its unit, a date."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any

import msgspec

from smidgen.agent.numbers import said_numbers
from smidgen.errors import InvalidRequest
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.patterns.verified.checked import Checked, held, wrong
from smidgen.tools.function import BadArguments

DIGITS = 15
"""Of a number that a grammar lets a model write, on either side of the point."""
_NUMBER = re.compile(
    r"(?<![\w.,])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?![\w]*\d)(?!\s*[%‰])(?!\.\d|,\d)"
)
_PERCENT = re.compile(r"\d\s*[%‰]")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATES = re.compile(
    r"\d{4}-\d{2}-\d{2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}"
    r"|(?:\d{1,2}(?:st|nd|rd|th)?\s+)?(?:of\s+)?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
    r"(?:\s+\d{1,2}(?:st|nd|rd|th)?)?,?\s+\d{4}",
    re.IGNORECASE,
)


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """One number, in digits or in words, that is in the range and has at most `decimals` digits after the point.
    Other words may stand around it; the number alone is the answer, and the value: an int, or a float."""

    min: float | None = None
    max: float | None = None
    integer: bool = False
    decimals: int | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(bound) for bound in (self.min, self.max) if bound is not None):
            raise InvalidRequest("min and max must be finite numbers.", hint="Leave out the one that there isn't.")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidRequest(f"No number is at least {self.min:g} and at most {self.max:g}.")
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
            percent = " without a percent sign" if _PERCENT.search(text) else ""
            return wrong(f"it must say one number{percent}")
        if len(numbers) > 1:
            return wrong(f"it must say one number only, not {len(numbers)}")
        number = numbers[0]
        if not math.isfinite(float(number)):
            return wrong("the number is too large")
        if self.integer and number != number.to_integral_value():
            return wrong(f"{plain(number)} is no whole number")
        if self.decimals is not None and -_exponent(number) > self.decimals:
            return wrong(f"{plain(number)} has more than {self.decimals} decimals")
        if self.min is not None and float(number) < self.min:
            return wrong(f"{plain(number)} is less than {self.min:g}")
        if self.max is not None and float(number) > self.max:
            return wrong(f"{plain(number)} is more than {self.max:g}")
        return held(plain(number), as_number(number))


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """A number with a unit of the same dimension as `unit` ("km/h"), as in "90 minutes" for "s". The value is the
    number in `unit`, which the range is in too; the text stays as it was written."""

    unit: str
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        _unit_of(f"1 {self.unit}")

    @property
    def name(self) -> str:
        return "unit"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        from smidgen.tools.builtin.quantity import ArithmeticProblem
        from smidgen.tools.builtin.units import convert

        written = text.strip().rstrip(".")
        try:
            found = _computed(written)
        except ArithmeticProblem:
            return wrong(f'it must be a number with its unit, as in "12 {self.unit}"')
        if found.value.unit is None:
            return wrong(f'it has no unit; write it as in "12 {self.unit}"')
        try:
            number = float(convert(found.value, _unit_of(f"1 {self.unit}"), -1).number)
        except (ArithmeticProblem, OverflowError):
            return wrong(f"{written} is nothing that {self.unit} measures")
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

    @property
    def name(self) -> str:
        return "date"

    @property
    def constraint(self) -> Constraint | None:
        return Constraint(kind="regex", source="[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        from smidgen.tools.builtin.dates import parse_date

        dates = list(dict.fromkeys(match[0] for match in (_ISO if self.iso else _DATES).finditer(text)))
        if len(dates) != 1:
            few = "must say a date" if not dates else "must say one date only"
            return wrong(f"it {few}, written as in 2026-12-25")
        try:
            day = parse_date(dates[0])
        except BadArguments as error:
            return wrong(f"{error.message} Write it as in 2026-12-25".replace("..", "."))
        if self.earliest and day < dt.date.fromisoformat(self.earliest):
            return wrong(f"{day} is before {self.earliest}")
        if self.latest and day > dt.date.fromisoformat(self.latest):
            return wrong(f"{day} is after {self.latest}")
        return held(day.isoformat())


def numbers_in(text: str) -> list[Decimal]:
    """The different numbers that a text says, in digits, or in words where there are no digits. Percentages are none:
    whether 15% is 15 or 0.15 isn't to be guessed."""
    if re.search(r"\d", text):
        found = [Decimal(match[0].replace(",", "").replace("−", "-")) for match in _NUMBER.finditer(text)]
    else:
        found = [said.readings[0] for said in said_numbers(text)]
    return list(dict.fromkeys(found))


def plain(number: Decimal) -> str:
    """In digits, without zeros that say nothing and without an exponent where it stays readable."""
    if not number:
        return "0"
    number = number.normalize()
    return f"{number:f}" if -DIGITS <= number.adjusted() <= DIGITS else str(number)


def as_number(number: Decimal) -> int | float:
    """int where it is one that every JSON reader keeps."""
    return int(number) if number == number.to_integral_value() and abs(number) < 2**53 else float(number)


def _exponent(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _computed(text: str) -> Any:
    from smidgen.tools.builtin.arithmetic import compute

    return compute(text)


def _unit_of(text: str) -> Any:
    """Raises InvalidRequest."""
    from smidgen.tools.builtin.quantity import ArithmeticProblem

    try:
        unit = _computed(text).value.unit
    except ArithmeticProblem as error:
        raise InvalidRequest(f"{text[2:]!r} is no unit: {error.message}.", hint='Write it as in "km/h".') from error
    if unit is None:
        raise InvalidRequest(f"{text[2:]!r} has no dimension.", hint="Use the check for numbers.")
    return unit
