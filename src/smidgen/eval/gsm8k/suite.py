"""GSM8K as a suite: its items, and what counts as right."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from smidgen.eval import Bench, Item, Measured, Outcome, Prepared, Verdict
from smidgen.eval.given import DataFile, OfFile, json_lines, places, read
from smidgen.eval.gsm8k.baseline import InWords
from smidgen.eval.gsm8k.numbers import number_in, same
from smidgen.eval.patterned import ByPattern
from smidgen.patterns.solving import Solving

NAME = "gsm8k"
WANTED = 'a JSON object with "question" and "answer", whose number stands behind "####"'
TUNING = 100
"""The first problems of the publisher's test file may be looked at while prompts are chosen; so it is here taken of any
file."""


class Problem(msgspec.Struct, frozen=True):
    question: str
    answer: str


class Gsm8k(OfFile):
    name = NAME
    measures: Measured = "model"
    options: Mapping[str, Any] = MappingProxyType({})
    categories = default_categories = (NAME,)

    def __init__(self, file: DataFile) -> None:
        """Raises ConfigError for a file that isn't such data."""
        super().__init__(file)
        self._problems = [(problem, _right(file, line, problem)) for line, problem in json_lines(file, Problem, WANTED)]

    @classmethod
    def given(cls, path: Path) -> Gsm8k:
        """Raises ConfigError."""
        return cls(read(path))

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        return [
            Item(
                id=f"{NAME}_{place}",
                category=category,
                request=self._problems[place][0].question,
                expected=self._problems[place][1],
                tuning=place < TUNING,
            )
            for place in places(len(self._problems), skip, limit)
        ]

    async def prepare(self, bench: Bench) -> Prepared:
        if bench.baseline:
            return Prepared(solver=InWords(bench.model, seed=bench.seed), check=check)
        return Prepared(solver=ByPattern(bench.runtime, Solving(), seed=bench.seed), check=check)


async def check(item: Item, outcome: Outcome) -> Verdict:
    """The publisher's rule: the number is the one behind the last "####"."""
    value = number_in(outcome.text)
    if value is None:
        return Verdict(correct=False, reason="no number")
    correct = same(value, item.expected)
    return Verdict(correct=correct, reason="" if correct else f"{value:.15g} is not {item.expected:.15g}")


def _right(file: DataFile, line: int, problem: Problem) -> float:
    _, mark, behind = problem.answer.rpartition("####")
    if not mark:
        raise file.broken(line, 'its answer has no "####"', WANTED)
    try:
        value = float(behind.replace(",", "").strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise file.broken(line, f"{behind.strip()!r} is no number", WANTED)
    return value
