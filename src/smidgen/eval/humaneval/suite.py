"""HumanEval as a suite: its items, and what counts as right."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from smidgen.eval import Bench, Checker, Item, Measured, Outcome, Prepared, Verdict
from smidgen.eval.given import DataFile, OfFile, json_lines, places, read
from smidgen.eval.humaneval.baseline import Alone
from smidgen.eval.patterned import ByPattern
from smidgen.patterns.micro import CodeWriter
from smidgen.tools.programs import Executed

NAME = "humaneval"
WANTED = 'a JSON object with "task_id", "prompt", "entry_point" and "test"'
TUNING = 20
"""The first problems may be looked at while the micro-agent is built."""
SECONDS = 10.0
"""For all tests of one answer."""

Python = Callable[[str, float], Awaitable[Executed]]
"""Runs a program in the sandbox, for so many seconds at most."""


class Problem(msgspec.Struct, frozen=True):
    task_id: str
    prompt: str
    entry_point: str
    test: str


class HumanEval(OfFile):
    name = NAME
    measures: Measured = "model"
    options: Mapping[str, Any] = MappingProxyType({})
    categories = default_categories = (NAME,)

    def __init__(self, file: DataFile) -> None:
        """Raises ConfigError for a file that isn't such data."""
        super().__init__(file)
        self._problems: dict[str, Problem] = {}
        for line, problem in json_lines(file, Problem, WANTED):
            if problem.task_id in self._problems:
                raise file.broken(line, f"{problem.task_id} was there before", "each problem once")
            self._problems[problem.task_id] = problem

    @classmethod
    def given(cls, path: Path) -> HumanEval:
        """Raises ConfigError."""
        return cls(read(path))

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        problems = list(self._problems.values())
        return [
            Item(
                id=problems[place].task_id,
                category=category,
                request=problems[place].prompt,
                expected=f"{problems[place].entry_point} passes its tests",
                tuning=place < TUNING,
            )
            for place in places(len(problems), skip, limit)
        ]

    async def prepare(self, bench: Bench) -> Prepared:
        pattern, name = (Alone(), "baseline") if bench.baseline else (CodeWriter(strict=False), "smidgen")
        solver = ByPattern(bench.runtime, pattern, name=name, seed=bench.seed)
        return Prepared(solver=solver, check=self.checker(bench.runtime.toolbox.programs.run))

    def checker(self, python: Python) -> Checker:
        """The publisher's tests, which nothing else sees."""

        async def check(item: Item, outcome: Outcome) -> Verdict:
            if not outcome.text:
                return Verdict(correct=False, reason="no program")
            mark = hashlib.sha256(outcome.text.encode()).hexdigest()
            done = await python(judging(outcome.text, self._problems[item.id], mark), SECONDS)
            correct = done.ok and done.output.rstrip().endswith(mark)
            return Verdict(correct=correct, reason="" if correct else _reason(done))

        return check


def judging(program: str, problem: Problem, mark: str) -> str:
    """mark: printed once all tests have passed; a text that the program itself can't print."""
    return f"{program}\n\n{problem.test}\n\ncheck({problem.entry_point})\nprint({mark!r})\n"


def _reason(done: Executed) -> str:
    if done.stopped:
        return f"stopped by {done.stopped}"
    lines = done.error.strip().splitlines()
    return lines[-1] if lines else "the tests came to no end"
