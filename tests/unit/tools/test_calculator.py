"""The calculator: exact, tolerant of how people write, bounded, and clear about what it can't read."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.tools.builtin.arithmetic import MAX_LENGTH, compute
from smidgen.tools.builtin.calculator import calculator, format_number, format_value
from smidgen.tools.builtin.quantity import ArithmeticProblem


def say(expression: str) -> str:
    return format_value(compute(expression))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0.1 + 0.2", "0.3"),
        ("17.5% of 2,340", "409.5"),
        ("200 + 15%", "230"),
        ("200 - 15%", "170"),
        ("15% off 80", "68"),
        ("15% + 5%", "20%"),
        ("15% * 80", "12"),
        ("20 / 80 in %", "25%"),
        ("20% of 50% of 200", "20"),
        ("-2^2", "-4"),
        ("2^3^2", "512"),
        ("2 ** 10", "1024"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("√16", "4"),
        ("2π", "6.28318530718 (rounded)"),
        ("2(3+4)", "14"),
        ("7 times 8", "56"),
        ("10 divided by 4", "2.5"),
        ("3 squared", "9"),
        ("the square root of 1764", "42"),
        ("12 x 4", "48"),
        ("1,234,567 * 2", "2469134"),
        ("$80 - 15%", "68"),
        ("17 % 5", "2"),
        ("-7 // 2", "-4"),
        ("1/3", "0.333333333333 (rounded)"),
        ("2/3*3", "2"),
        ("round(2.675, 2)", "2.68"),
        ("log(1000)", "3"),
        ("ln(e)", "1"),
        ("sin(pi)", "0"),
        ("max(1, 2, 3) + min(4, 2)", "5"),
        ("5!", "120"),
        ("0^0", "1"),
        ("10^60", "1 × 10^60"),
    ],
)
def test_numbers_come_out_exact(expression: str, expected: str) -> None:
    assert say(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5 miles in km", "8.04672 km"),
        ("3 GB / 2 MB", "1500"),
        ("100 F to C", "37.7777777778 °C (rounded)"),
        ("-40 °F in °C", "-40 °C"),
        ("100 degrees fahrenheit to celsius", "37.7777777778 °C (rounded)"),
        ("5 ft + 3 in in cm", "160.02 cm"),
        ("12 in in cm", "30.48 cm"),
        ("240 km / 3 hours", "80 km/h"),
        ("60 miles per hour in km/h", "96.56064 km/h"),
        ("5 m^2 in cm^2", "50000 cm²"),
        ("3/4 cup in ml", "177.441177375 ml"),
        ("50% of 3 kg", "1.5 kg"),
        ("sin(30 degrees)", "0.5"),
    ],
)
def test_units_convert_exactly(expression: str, expected: str) -> None:
    assert say(expression) == expected


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("1/0", "Division by zero"),
        ("(1+2", "expected ')'"),
        ("1+", "expected a number"),
        ("2 3", "side by side"),
        ("hello", "don't know 'hello'"),
        ("__import__('os')", "can't read"),
        ("sqrt(1,234)", "without thousands separators"),
        ("sqrt(-1)", "no real square root"),
        ("$5 + €5", "can't mix"),
        ("3 kg + 2 m", "don't fit"),
        ("20 C + 5 C", "Temperatures"),
        ("15% 80", "say 'of'"),
        ("tan(pi/2)", "no value"),
        ("", "expected a number"),
    ],
)
def test_what_cannot_be_computed_is_said_clearly(expression: str, part: str) -> None:
    with pytest.raises(ArithmeticProblem) as caught:
        compute(expression)
    assert part in str(caught.value)


def test_an_error_names_the_position() -> None:
    with pytest.raises(ArithmeticProblem) as caught:
        compute("2 + ?")
    assert caught.value.details["position"] == 4


@pytest.mark.parametrize(
    "expression",
    ["9**9**9", "9^9^9^9", "99999999!", "1e99999", "(" * 200 + "1" + ")" * 200, "-" * 400 + "1", "√" * 400 + "2",
     "2^" * 200 + "2", "1" * (MAX_LENGTH + 1)],
)  # fmt: skip
def test_absurd_sizes_are_refused_in_bounded_time(expression: str) -> None:
    started = time.monotonic()
    with pytest.raises(ArithmeticProblem):
        compute(expression)
    assert time.monotonic() - started < 5


@given(st.text(alphabet="0123456789.,+-*/^%!()×÷√ πeinofkmsqrt$°_²\n", max_size=60))
def test_any_text_gives_a_number_or_an_arithmetic_problem(expression: str) -> None:
    try:
        assert isinstance(compute(expression).value.number, Decimal)
    except ArithmeticProblem:
        pass


@given(st.decimals(-(10**9), 10**9, places=4), st.decimals(-(10**9), 10**9, places=4))
def test_sums_equal_decimal_sums(a: Decimal, b: Decimal) -> None:
    assert compute(f"({a:f}) + ({b:f})").value.number == a + b


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6))
def test_formatting_never_shows_an_exponent_mark_and_reads_back(number: Decimal) -> None:
    text, rounded = format_number(number)
    assert "e" not in text.lower()
    assert rounded or Decimal(text) == number


async def test_the_tool_answers_in_words_and_fails_as_data() -> None:
    tool = calculator()
    good = await tool.call({"expression": "2 + 2 ="})
    assert (good.ok, good.value, good.answer) == (True, "4", "2 + 2 = 4")
    bad = await tool.call({"expression": "1/0"})
    assert (bad.ok, bad.fault) == (False, "arguments")
