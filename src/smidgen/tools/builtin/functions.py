"""The calculator's functions: each takes values and says whether its result is exact."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal

import msgspec

from smidgen.tools.builtin.quantity import PRECISION, ArithmeticProblem, Value

MAX_FACTORIAL = 3_000


def factorial(value: Value) -> Decimal:
    import math

    number = value.number
    if value.unit is not None or number != number.to_integral_value() or not 0 <= number <= MAX_FACTORIAL:
        raise ArithmeticProblem(f"A factorial needs a whole number from 0 to {MAX_FACTORIAL}")
    return +Decimal(math.factorial(int(number)))


def _plain(values: list[Value]) -> list[Decimal]:
    if any(value.unit is not None for value in values):
        raise ValueError("works on plain numbers only")
    return [value.number for value in values]


def _on_float(name: str) -> Callable[[list[Value]], tuple[Value, bool]]:
    """Fifteen digits are enough for angles; Decimal has no trigonometry of its own."""

    def call(values: list[Value]) -> tuple[Value, bool]:
        import math

        value = values[0]
        if value.unit is not None:
            from smidgen.tools.builtin import units

            value = units.radians(value)
        result = getattr(math, name)(float(value.number))
        if abs(result) > 1e15:
            raise ValueError("has no value there")
        return Value(number=Decimal(repr(round(result, 14)))), result in (0.0, 1.0, -1.0)

    return call


def _rounded(values: list[Value]) -> tuple[Value, bool]:
    digits = _plain(values[1:])[0] if len(values) == 2 else Decimal(0)
    if digits != digits.to_integral_value() or not 0 <= digits <= 50:
        raise ValueError("digits must be a whole number from 0 to 50")
    step = Decimal(1).scaleb(-int(digits))
    return msgspec.structs.replace(values[0], number=_to_step(values[0].number, step, decimal.ROUND_HALF_UP)), True


def _to_step(number: Decimal, step: Decimal, rounding: str) -> Decimal:
    if number.adjusted() > PRECISION - 52:
        return number
    return number.quantize(step, rounding=rounding)


def _whole(rounding: str) -> Callable[[list[Value]], tuple[Value, bool]]:
    def call(values: list[Value]) -> tuple[Value, bool]:
        return msgspec.structs.replace(values[0], number=values[0].number.to_integral_value(rounding=rounding)), True

    return call


def _extreme(pick: Callable[[list[Decimal]], Decimal]) -> Callable[[list[Value]], tuple[Value, bool]]:
    def call(values: list[Value]) -> tuple[Value, bool]:
        return Value(number=pick(_plain(values))), True

    return call


def _logarithm(values: list[Value]) -> tuple[Value, bool]:
    numbers = _plain(values)
    if any(number <= 0 for number in numbers) or numbers[1:] == [Decimal(1)]:
        raise ValueError("needs numbers above 0, and a base other than 1")
    return Value(number=numbers[0].ln() / numbers[1].ln() if len(numbers) == 2 else numbers[0].log10()), True


def _root(values: list[Value]) -> tuple[Value, bool]:
    if values[0].unit is not None:
        from smidgen.tools.builtin import units

        return units.power(values[0], Decimal("0.5"), -1), True
    if values[0].number < 0:
        raise ValueError("a negative number has no real square root")
    return Value(number=values[0].number.sqrt()), True


def _mean(numbers: list[Decimal]) -> Decimal:
    return sum(numbers, Decimal(0)) / len(numbers)


def _total(numbers: list[Decimal]) -> Decimal:
    return sum(numbers, Decimal(0))


def _natural_log(values: list[Value]) -> tuple[Value, bool]:
    (number,) = _plain(values)
    if number <= 0:
        raise ValueError("needs a number above 0")
    return Value(number=number.ln()), True


FUNCTIONS: dict[str, tuple[int, int, Callable[[list[Value]], tuple[Value, bool]]]] = {
    "sqrt": (1, 1, _root),
    "abs": (1, 1, lambda v: (msgspec.structs.replace(v[0], number=abs(v[0].number)), True)),
    "round": (1, 2, _rounded),
    "floor": (1, 1, _whole(decimal.ROUND_FLOOR)),
    "ceil": (1, 1, _whole(decimal.ROUND_CEILING)),
    "exp": (1, 1, lambda v: (Value(number=_plain(v)[0].exp()), True)),
    "ln": (1, 1, _natural_log),
    "log": (1, 2, _logarithm),
    "min": (1, 99, _extreme(min)),
    "max": (1, 99, _extreme(max)),
    "sum": (1, 99, _extreme(_total)),
    "mean": (1, 99, _extreme(_mean)),
    "average": (1, 99, _extreme(_mean)),
    "factorial": (1, 1, lambda v: (Value(number=factorial(v[0])), True)),
    "sin": (1, 1, _on_float("sin")),
    "cos": (1, 1, _on_float("cos")),
    "tan": (1, 1, _on_float("tan")),
    "asin": (1, 1, _on_float("asin")),
    "acos": (1, 1, _on_float("acos")),
    "atan": (1, 1, _on_float("atan")),
}
