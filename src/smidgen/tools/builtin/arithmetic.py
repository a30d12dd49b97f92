"""Arithmetic in the words people use, exact in decimals: a tokenizer and a Pratt parser that computes as it goes.

Nothing is ever handed to Python to evaluate. Every size is bounded: length, nesting, exponents, factorials; so every
expression ends within milliseconds with a number or an ArithmeticProblem that says where.
"""

from __future__ import annotations

import decimal
import re
from decimal import Decimal

import msgspec

from smidgen.tools.builtin.functions import FUNCTIONS, factorial
from smidgen.tools.builtin.quantity import PRECISION, ArithmeticProblem, Value

MAX_LENGTH = 500
MAX_DEPTH = 40
MAX_EXPONENT = 10_000

CONSTANTS = {
    "pi": Decimal(
        "3.141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117068"
    ),
    "e": Decimal(
        "2.718281828459045235360287471352662497757247093699959574966967627724076630353547594571382178525166427"
    ),
}


class Token(msgspec.Struct, frozen=True):
    """kind is number, word, sign or end. `joined`: no space stands before it."""

    kind: str
    text: str
    position: int
    joined: bool


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """`exact` is False if digits were lost on the way. `operations`: operators, functions and conversions applied."""

    value: Value
    exact: bool
    operations: int
    converted: bool


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:_\d+)*)(?:\.\d+)?(?:[eE][+-]?\d+(?![\w.]))?
                  |\.\d+(?:[eE][+-]?\d+(?![\w.]))?)
      | (?P<word>°?(?:(?![²³])[^\W\d_])+(?:_(?:(?![²³])[^\W\d_])+)*)
      | (?P<sign>\*\*|//|[-+*/^%!(),×÷−–·√²³$€£°|])""",
    re.VERBOSE,
)
_SIGNS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "**": "^", "π": "pi"}
_PHRASES = (
    (re.compile(r"\bdivided\s+by\b", re.I), "/"),
    (re.compile(r"\bmultiplied\s+by\b|\btimes\b", re.I), "*"),
    (re.compile(r"\bto\s+the\s+power\s+of\b", re.I), "^"),
    (re.compile(r"\b(?:the\s+)?square\s+root\s+of\b", re.I), "√"),
    (re.compile(r"\bplus\b", re.I), "+"),
    (re.compile(r"\bminus\b", re.I), "-"),
    (re.compile(r"\bsquared\b", re.I), "²"),
    (re.compile(r"\bcubed\b", re.I), "³"),
    (re.compile(r"\s*\bper\s?cent(?:age)?\b", re.I), "%"),
    (re.compile(r"(?<=[\d)\s])[xX](?=\s*[\d(])"), "*"),
    (re.compile(r"\bdegrees?\s+(?=[cfCF])"), "deg"),
)
_CONVERSIONS = {"in", "to", "as", "into"}
_INFIX_WORDS = {"of", "off", "mod", "per", *_CONVERSIONS}


def spell_out(expression: str) -> str:
    """Word operators turned into signs: "7 times 8" becomes "7 * 8"."""
    for pattern, sign in _PHRASES:
        expression = pattern.sub(sign, expression)
    return expression


def tokenize(expression: str) -> list[Token]:
    """Raises ArithmeticProblem at the first character that belongs to nothing."""
    tokens: list[Token] = []
    position, joined, depth_of_functions = 0, False, [False]
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise ArithmeticProblem(f"I can't read {expression[position]!r} here", position)
        kind, text = match.lastgroup or "", match.group()
        if kind == "space":
            joined = False
            position = match.end()
            continue
        if kind == "number" and "," in text and any(depth_of_functions):
            raise ArithmeticProblem("Inside a function write numbers without thousands separators", position)
        text = _SIGNS.get(text, text)
        if text == "(":
            depth_of_functions.append(
                bool(tokens) and tokens[-1].kind == "word" and tokens[-1].text.lower() in FUNCTIONS
            )
        elif text == ")" and len(depth_of_functions) > 1:
            depth_of_functions.pop()
        tokens.append(Token("word" if text == "pi" else kind, text, position, joined))
        joined = True
        position = match.end()
    tokens.append(Token("end", "", len(expression), joined))
    return tokens


def compute(expression: str) -> Computed:
    """Raises ArithmeticProblem.

    Binding powers: conversion 1, sum 10, product 20, sign 30, unit 35, power 40, percent and factorial 50.
    """
    if len(expression) > MAX_LENGTH:
        raise ArithmeticProblem(f"The expression is longer than {MAX_LENGTH} characters")
    context = decimal.Context(
        prec=PRECISION,
        Emax=MAX_EXPONENT,
        Emin=-MAX_EXPONENT,
        traps=[decimal.DivisionByZero, decimal.InvalidOperation, decimal.Overflow],
    )
    with decimal.localcontext(context) as active:
        parser = _Parser(tokenize(spell_out(expression)))
        try:
            value = parser.expression(0)
            parser.expect("end")
        except decimal.DivisionByZero:
            raise ArithmeticProblem("Division by zero", parser.position) from None
        except decimal.Overflow:
            raise ArithmeticProblem(f"The result has more than {MAX_EXPONENT} digits", parser.position) from None
        except decimal.InvalidOperation:
            raise ArithmeticProblem("That has no value in real numbers", parser.position) from None
        exact = not (active.flags[decimal.Inexact] or parser.approximate)
        return Computed(value=value, exact=exact, operations=parser.operations, converted=parser.converted)


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._depth = 0
        self._currency = ""
        self.operations = 0
        self.converted = False
        self.approximate = False

    @property
    def position(self) -> int:
        return self._tokens[max(0, self._index - 1)].position

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._index += 1
        return token

    def expect(self, text: str) -> None:
        token = self._take()
        if token.text != text and token.kind != text:
            wanted = "the end" if text == "end" else repr(text)
            raise ArithmeticProblem(f"I expected {wanted} but found {token.text or 'the end'!r}", token.position)

    def expression(self, power: int) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ArithmeticProblem(f"Nested more than {MAX_DEPTH} levels deep", self.position)
        left = self._operand(self._take())
        while (bound := self._binding(left)) > power:
            left = self._infix(left, bound)
        self._depth -= 1
        return left

    def _operand(self, token: Token) -> Value:
        if token.kind == "number":
            return self._literal(token)
        if token.kind == "word":
            return self._word(token)
        if token.text == "(":
            inner = self.expression(0)
            self.expect(")")
            return msgspec.structs.replace(inner, percent=False)
        if token.text in ("-", "+"):
            inner = self.expression(30)
            return msgspec.structs.replace(inner, number=-inner.number) if token.text == "-" else inner
        if token.text == "√":
            self.operations += 1
            return self._power(self.expression(39), Value(number=Decimal("0.5")), token)
        if token.text in "$€£" and token.text:
            if self._currency not in ("", token.text):
                raise ArithmeticProblem(f"I can't mix {self._currency} and {token.text}", token.position)
            self._currency = token.text
            return self._operand(self._take())
        found = repr(token.text) if token.text else "the end"
        raise ArithmeticProblem(f"I expected a number but found {found}", token.position)

    def _literal(self, token: Token) -> Value:
        """A number; also a fraction before a unit: "3/4 cup" is three quarters of a cup, unlike "3 / 4 cup"."""
        number = +Decimal(token.text.replace(",", "").replace("_", ""))
        slash, below, unit = self._peek(), self._peek(1), self._peek(2)
        fraction = slash.text == "/" and slash.joined and below.kind == "number" and below.joined
        if fraction and unit.kind == "word" and not unit.joined and unit.text.lower() not in _INFIX_WORDS:
            self._index += 2
            self.operations += 1
            return self._divide(Value(number=number), Value(number=+Decimal(below.text.replace(",", ""))))
        return Value(number=number)

    def _word(self, token: Token) -> Value:
        lower = token.text.lower()
        if lower in FUNCTIONS and self._peek().text == "(":
            return self._function(lower, token)
        if lower in CONSTANTS and token.text in (lower, lower.upper(), lower.title()):
            self.approximate = True
            return Value(number=CONSTANTS[lower])
        from smidgen.tools.builtin import units

        return Value(number=Decimal(1), unit=units.find(token.text, token.position))

    def _function(self, name: str, token: Token) -> Value:
        self.expect("(")
        arguments = [self.expression(0)]
        while self._peek().text == ",":
            self._take()
            arguments.append(self.expression(0))
        self.expect(")")
        self.operations += 1
        fewest, most, function = FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}" if most < 99 else f"at least {fewest}"
            raise ArithmeticProblem(f"{name} takes {wanted} numbers, not {len(arguments)}", token.position)
        try:
            value, exact = function(arguments)
        except (ValueError, OverflowError, TypeError) as error:
            raise ArithmeticProblem(f"{name}: {error}", token.position) from None
        self.approximate = self.approximate or not exact
        return value

    def _binding(self, left: Value) -> int:
        token, following = self._peek(), self._peek(1)
        if token.kind == "end":
            return 0
        if token.text in ("%", "!", "²", "³"):
            return 20 if token.text == "%" and self._is_modulo(token, following) else 50
        if token.kind == "sign":
            return {"+": 10, "-": 10, "*": 20, "/": 20, "//": 20, "^": 40, "(": 20}.get(token.text, 0)
        if token.kind == "number":
            raise ArithmeticProblem("Two numbers stand side by side without an operator", token.position)
        lower = token.text.lower()
        if (
            lower == "in"
            and left.unit is None
            and following.text.lower() not in CONSTANTS
            and not self._starts_unit(following)
        ):
            return 35
        if lower in _CONVERSIONS:
            return 1
        if lower in ("of", "off"):
            return 20
        if lower in ("mod", "per"):
            return 20
        return 35

    def _starts_unit(self, token: Token) -> bool:
        return token.text in ("%", "°") or (token.kind == "word" and token.text.lower() not in _CONVERSIONS)

    def _is_modulo(self, token: Token, following: Token) -> bool:
        starts = (
            following.kind == "number"
            or following.text == "("
            or (following.kind == "word" and following.text.lower() not in _INFIX_WORDS)
        )
        if not starts:
            return False
        if token.joined and not following.joined:
            raise ArithmeticProblem("After a percentage say 'of', or 'mod' for the remainder", following.position)
        return True

    def _infix(self, left: Value, bound: int) -> Value:
        token = self._peek()
        lower = token.text.lower()
        if bound == 35:
            unit = self.expression(35)
            return self._times(left, unit)
        if token.text == "(" or (token.kind == "word" and lower not in _INFIX_WORDS):
            self.operations += 1
            return self._multiply(left, self.expression(20))
        self._take()
        if token.text == "%" and bound == 50:
            return msgspec.structs.replace(left, number=left.number / 100, percent=True)
        self.operations += 1
        if token.text == "!":
            return Value(number=factorial(left))
        if token.text in ("²", "³"):
            return self._power(left, Value(number=Decimal(2 if token.text == "²" else 3)), token)
        if bound == 1:
            return self._convert(left, token)
        right = self.expression(39 if token.text == "^" else bound)
        if token.text == "^":
            return self._power(left, right, token)
        if token.text in ("+", "-"):
            return self._sum(left, right, token.text)
        if lower == "off":
            if not left.percent:
                raise ArithmeticProblem("'off' needs a percentage before it", token.position)
            return self._multiply(right, Value(number=1 - left.number))
        if token.text == "//" or token.text == "%" or lower == "mod":
            return self._remainder(left, right, token)
        if token.text == "/" or lower == "per":
            return self._divide(left, right)
        return self._multiply(left, right)

    def _times(self, left: Value, unit: Value) -> Value:
        if left.unit is None and unit.unit is not None and unit.number == 1:
            return Value(number=left.number, unit=unit.unit)
        self.operations += 1
        return self._multiply(left, unit)

    def _sum(self, left: Value, right: Value, sign: str) -> Value:
        factor = 1 if sign == "+" else -1
        if right.percent and not left.percent:
            return msgspec.structs.replace(left, number=left.number * (1 + factor * right.number))
        if left.unit is None and right.unit is None:
            return Value(number=left.number + factor * right.number, percent=left.percent and right.percent)
        from smidgen.tools.builtin import units

        return units.add(left, right, factor, self.position)

    def _multiply(self, left: Value, right: Value) -> Value:
        if left.unit is None and right.unit is None:
            return Value(number=left.number * right.number)
        from smidgen.tools.builtin import units

        return units.multiply(left, right, self.position)

    def _divide(self, left: Value, right: Value) -> Value:
        if left.unit is None and right.unit is None:
            if right.number == 0:
                raise ArithmeticProblem("Division by zero", self.position)
            return Value(number=left.number / right.number)
        from smidgen.tools.builtin import units

        return units.divide(left, right, self.position)

    def _remainder(self, left: Value, right: Value, token: Token) -> Value:
        if left.unit is not None or right.unit is not None:
            raise ArithmeticProblem(f"{token.text} works on plain numbers only", token.position)
        if right.number == 0:
            raise ArithmeticProblem("Division by zero", token.position)
        whole = (left.number / right.number).to_integral_value(rounding=decimal.ROUND_FLOOR)
        return Value(number=whole if token.text == "//" else left.number - whole * right.number)

    def _power(self, left: Value, right: Value, token: Token) -> Value:
        if right.unit is not None:
            raise ArithmeticProblem("An exponent has no unit", token.position)
        if left.unit is not None:
            from smidgen.tools.builtin import units

            return units.power(left, right.number, token.position)
        if left.number == 0 and right.number == 0:
            return Value(number=Decimal(1))
        if left.number == 0 and right.number < 0:
            raise ArithmeticProblem("Division by zero", token.position)
        if right.number == Decimal("0.5"):
            if left.number < 0:
                raise ArithmeticProblem("A negative number has no real square root", token.position)
            return Value(number=left.number.sqrt())
        return Value(number=left.number**right.number)

    def _convert(self, left: Value, token: Token) -> Value:
        self.converted = True
        if self._peek().text == "%":
            self._take()
            if left.unit is not None:
                raise ArithmeticProblem("Only a plain number can be a percentage", token.position)
            return Value(number=left.number, percent=True)
        target = self.expression(1)
        if target.unit is None or target.number != 1:
            raise ArithmeticProblem("I expected a unit to convert to", token.position)
        from smidgen.tools.builtin import units

        return units.convert(left, target.unit, token.position)
