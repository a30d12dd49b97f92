"""VERIFIED ANSWERS: what a model says counts only when code has checked it.

checked.py    what a check says, the protocol `Verifier`, and functions of a user's own
values.py     a number, a quantity with its unit, a date
numerals.py   the numbers that an answer says; days.py the dates: neither is ever guessed
shapes.py     a regular expression, a JSON schema, a quote of a text
schemas.py    which JSON schemas can be checked in full
programs.py   SQL that runs, Python that parses, Python whose tests pass
pattern.py    `Verified`: way after way, each asked again with the reason
reading.py    the same from a TOML file

A check decides by code alone and never asks a model. What passes is told without anything around it that was not
checked: of "That would be 12 euros in all." a check for numbers leaves "12".
"""

from __future__ import annotations

from smidgen.patterns.verified.checked import Checked, Own, Verifier
from smidgen.patterns.verified.pattern import Verified
from smidgen.patterns.verified.programs import PythonCode, Sql, Tests
from smidgen.patterns.verified.shapes import Json, Quote, Regex
from smidgen.patterns.verified.values import Date, Number, Quantity

__all__ = [
    "Checked",
    "Date",
    "Json",
    "Number",
    "Own",
    "PythonCode",
    "Quantity",
    "Quote",
    "Regex",
    "Sql",
    "Tests",
    "Verified",
    "Verifier",
]
