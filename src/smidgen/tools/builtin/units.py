"""Units for the calculator: pint with decimals, restricted to single words, in the spellings people use."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from smidgen.tools.builtin.quantity import ArithmeticProblem, Value

_EVERYDAY = {
    "f": "degF",
    "c": "degC",
    "°f": "degF",
    "°c": "degC",
    "degf": "degF",
    "degc": "degC",
    "degcelsius": "degC",
    "degfahrenheit": "degF",
    "celsius": "degC",
    "fahrenheit": "degF",
    "centigrade": "degC",
    "kelvin": "kelvin",
    "kph": "kilometer_per_hour",
    "kmh": "kilometer_per_hour",
    "lbs": "pound",
    "sec": "second",
    "secs": "second",
    "mins": "minute",
    "hrs": "hour",
    "hr": "hour",
    "yrs": "year",
    "litre": "liter",
    "litres": "liter",
    "°": "degree",
    "inches": "inch",
    "feet": "foot",
}
MAX_UNIT_POWER = 10


@cache
def _registry() -> Any:
    import pint

    make: Any = pint.UnitRegistry
    return make(non_int_type=Decimal)


@cache
def find(word: str, position: int = -1) -> Any:
    """The unit a word stands for; the exact spelling first, then lower case. Raises ArithmeticProblem."""
    import pint

    for spelling in (_EVERYDAY.get(word.lower(), word), word, word.lower()):
        try:
            return _registry().Unit(spelling)
        except (pint.PintError, ValueError, AttributeError, TypeError, AssertionError):  # its parser asserts, on "¼"
            continue
    raise ArithmeticProblem(f"I don't know {word!r}", position)


def convert(value: Value, unit: Any, position: int) -> Value:
    if value.unit is None:
        raise ArithmeticProblem(f"There is no unit to convert to {unit}", position)
    return _guarded(lambda: _quantity(value).to(unit), position)


def add(left: Value, right: Value, factor: int, position: int) -> Value:
    if left.unit is None or right.unit is None:
        raise ArithmeticProblem("I can't add a plain number to one with a unit", position)
    if factor > 0:
        return _guarded(lambda: _quantity(left) + _quantity(right), position)
    return _guarded(lambda: _quantity(left) - _quantity(right), position)


def multiply(left: Value, right: Value, position: int) -> Value:
    return _guarded(lambda: _quantity(left) * _quantity(right), position)


def divide(left: Value, right: Value, position: int) -> Value:
    if right.number == 0:
        raise ArithmeticProblem("Division by zero", position)
    return _guarded(lambda: _quantity(left) / _quantity(right), position)


def power(value: Value, exponent: Decimal, position: int) -> Value:
    whole = exponent == exponent.to_integral_value()
    if not (whole or exponent == Decimal("0.5")) or abs(exponent) > MAX_UNIT_POWER:
        raise ArithmeticProblem(f"A unit's exponent must be a whole number up to {MAX_UNIT_POWER}", position)
    return _guarded(lambda: _quantity(value) ** (int(exponent) if whole else exponent), position)


def radians(value: Value) -> Value:
    return convert(value, _registry().Unit("radian"), -1)


def name(value: Value) -> str:
    """The unit's short name: "km", "°F", "km/h"."""
    written = f"{value.unit:~P}"
    return {"Δ°C": "°C", "Δ°F": "°F"}.get(written, written)


def _quantity(value: Value) -> Any:
    return _registry().Quantity(value.number, value.unit) if value.unit is not None else value.number


def _guarded(operation: Any, position: int) -> Value:
    import pint

    try:
        result = operation()
        if result.dimensionless:
            return Value(number=Decimal(result.to("dimensionless").magnitude))
        return Value(number=Decimal(result.magnitude), unit=result.units)
    except pint.OffsetUnitCalculusError:
        raise ArithmeticProblem("Temperatures in °C or °F can only be converted or subtracted", position) from None
    except pint.DimensionalityError as error:
        raise ArithmeticProblem(f"{error.units1} and {error.units2} don't fit together", position) from None
    except (pint.PintError, ValueError, TypeError) as error:
        raise ArithmeticProblem(f"These units don't fit together: {error}", position) from None
