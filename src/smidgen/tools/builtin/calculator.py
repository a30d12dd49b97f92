"""The calculator tool: an expression in, exact decimals out, told when rounded."""

from __future__ import annotations

import decimal
from decimal import Decimal

from smidgen.tools import ToolOutcome
from smidgen.tools.builtin.arithmetic import Computed, compute
from smidgen.tools.builtin.quantity import PRECISION
from smidgen.tools.function import FunctionTool, tool

SIGNIFICANT_DIGITS = 12
LONGEST_PLAIN = 45


def format_number(number: Decimal, exact: bool = True) -> tuple[str, bool]:
    """Plain decimal digits, and whether they were rounded. All digits of an exact number of up to 45; else 12
    significant ones, but never fewer than its whole part. Beyond 45 digits: "1.5 × 10^60"."""
    if not number:
        return "0", False
    with decimal.localcontext(decimal.Context(prec=PRECISION)):
        digits = len(number.normalize().as_tuple().digits)
        shown = number
        if not exact or digits > LONGEST_PLAIN:
            keep = max(SIGNIFICANT_DIGITS, min(number.adjusted() + 1, LONGEST_PLAIN if exact else 30))
            shown = decimal.Context(prec=keep).plus(number)
        rounded = abs(shown - number) > abs(number).scaleb(-LONGEST_PLAIN)
        shown = shown.normalize()
        if -20 <= shown.adjusted() <= LONGEST_PLAIN:
            return f"{shown:f}", rounded
        mantissa = decimal.Context(prec=SIGNIFICANT_DIGITS).plus(shown.scaleb(-shown.adjusted())).normalize()
        rounded = rounded or mantissa.scaleb(shown.adjusted()) != number
        return f"{mantissa:f} × 10^{shown.adjusted()}", rounded


def format_value(computed: Computed) -> str:
    """The number with its unit, and "(rounded)" if digits were left out."""
    value = computed.value
    number, rounded = format_number(value.number * 100 if value.percent else value.number, computed.exact)
    unit = "%" if value.percent else ""
    if value.unit is not None:
        from smidgen.tools.builtin import units

        unit = " " + units.name(value)
    return f"{number}{unit}{' (rounded)' if rounded else ''}"


def calculate(expression: str) -> ToolOutcome:
    """Work out arithmetic, percentages and unit conversions exactly.

    Args:
        expression: for example "12.5 * 8", "15% of 80", "80 - 15%", "5 miles in km"
    """
    written = expression.strip().rstrip("=?").strip()
    result = format_value(compute(written))
    return ToolOutcome(ok=True, value=result, text=f"{written} = {result}", answer=f"{written} = {result}")


def calculator() -> FunctionTool:
    return tool(name="calculator")(calculate)
