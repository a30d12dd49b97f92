"""SOLVING: word problems by arithmetic that isn't the model's. It writes programs, which the sandbox runs, and steps in
words, whose results are computed for it; several of them are voted on.

vote.py       votes for numbers, and when there are enough
checks.py     what speaks against a number, and against a program
equation.py   what a calculation in running text comes to
writing.py    what a try asks of a model
program.py    a try by a program
steps.py      a try by steps in words
tries.py      one try of any way, weighed
pattern.py    `Solving`: tries in rounds until one number leads
reading.py    the same from a TOML file
"""

from __future__ import annotations

from smidgen.patterns.solving.pattern import Solving

__all__ = ["Solving"]
