"""What a calculation in running text comes to: of "so she has 16 - 7" the number 9. Pure.

Models put arithmetic in words, in LaTeX, with units and with currency between the numbers; only what is surely all of
one calculation of numbers is computed.
"""

from __future__ import annotations

import re
from decimal import Decimal

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.arithmetic import compute

DECIMALS = 4
"""Of a result, and digits that it has at least: what a text would say, and enough to go on computing with."""
LONGEST = 300
"""Characters before an equals sign that are looked at."""

_SIGNS = {
    "\\times": "*", "\\cdot": "*", "\\div": "/", "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "\\%": "%",
    "\\left": "", "\\right": "", "\\$": "$", "\\,": "", "\\!": "", "\\ ": " ",
}  # fmt: skip
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
IN_WORDS = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}")
_OPENED = re.compile(r"\\[\[(]|\$\$")
_TIMES = re.compile(r"(?<=[\d)])\s*[xX]\s*(?=[\d$(.])")
_SHARE = re.compile(r"(?<=[\d%)])\s*of\s*(?=[\d$(.])")
_UNIT = re.compile(r"(?<=[\d%)])[ -]*[A-Za-z]{2,}(?:[ -][A-Za-z]+)*\.?(?=\s*(?:[-+*/)]|$))")
_PERCENT = re.compile(r"(\d[\d,]*(?:\.\d+)?|\.\d+)\s*%")
_CALCULATION = re.compile(r"(?:[\d(]|\.\d)[\d\s.,+*/()%-]*$")
_UNSURE = re.compile(r"[-+]\s*\d[\d,.]*\s*%|(?<![\d.,])0\d")
"""80 + 10% may mean two things, and 2020-01-05 is a date."""
_OPERATION = re.compile(r"[\d)%]\s*[-+*/]\s*[(\s-]*\.?\d")


def result(text: str) -> str:
    """What stands at the end of a text, before an equals sign, comes to; "" where that is no calculation."""
    line = text[-LONGEST:].rpartition("\n")[2].rpartition("=")[2]
    plain = plainly(line)
    match = _CALCULATION.search(plain)
    if match is None:
        return ""
    before = plain[: match.start()].rstrip()
    if before and (before[-1] in "+-*/^(,{\\" or plain[match.start() - 1].isalnum()):
        return ""  # a part of something that isn't understood
    expression = _balanced(match[0].strip())
    if not _OPERATION.search(expression) or _UNSURE.search(expression):
        return ""
    try:
        number = compute(_PERCENT.sub(r"(\1/100)", expression)).value.number
    except ToolFailed:
        return ""
    return written(number)


def plainly(text: str) -> str:
    """LaTeX and units as plain arithmetic, as far as they can be."""
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    text = IN_WORDS.sub(r" \1 ", text)
    text = _FRACTION.sub(r"((\1)/(\2))", text)
    text = _OPENED.sub(" ", text).replace("$", "").replace("€", "").replace("£", "")
    text = _SHARE.sub("*", _TIMES.sub("*", text))
    return _UNIT.sub("", text)


def written(number: Decimal) -> str:
    """With a few decimals at most; of what is near zero a few digits."""
    if not number:
        return "0"
    places = max(DECIMALS, DECIMALS - 1 - number.adjusted()) if abs(number) < 1 else DECIMALS
    return f"{round(number, places).normalize():f}"


def _balanced(expression: str) -> str:
    """Without brackets that were opened before it, or stand around all the text."""
    while expression.count(")") > expression.count("(") and expression.endswith(")"):
        expression = expression[:-1].rstrip()
    while expression.count("(") > expression.count(")") and expression.startswith("("):
        expression = expression[1:].lstrip()
    return expression
