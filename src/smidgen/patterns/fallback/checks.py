"""When an answer is accepted: by its form, by a program, by what a model thinks of it, or by a function of yours."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from math import exp
from typing import Any, Protocol, cast, runtime_checkable

import msgspec

from smidgen.agent.conformity import schema_problems
from smidgen.agent.numbers import written
from smidgen.errors import SmidgenError
from smidgen.messages import Message
from smidgen.patterns.fallback.attempt import GRACE_S
from smidgen.patterns.run import Run
from smidgen.patterns.verified.checked import Verifier

PROGRAM_S = 5.0


@runtime_checkable
class Check(Protocol):
    @property
    def name(self) -> str: ...

    async def problem(self, text: str, run: Run) -> str:
        """What is wrong with an answer to `run.task`, in words; "" if nothing is. May raise typed errors."""
        ...


Said = bool | str | None
CheckLike = Check | Verifier | Callable[[str, str], Said | Awaitable[Said]]
"""A function gets the request and the answer, and returns what is wrong, or whether it is right; it may be async."""


async def problem_of(check: CheckLike, text: str, run: Run) -> str:
    """The same, where a check that fails itself accepts nothing; within the run's time limit."""
    try:
        return await run.resources.deadline.wait(lambda: as_check(check).problem(text, run), GRACE_S)
    except SmidgenError as error:
        return f"it could not be checked: {error.message}"
    except Exception as error:
        return f"it could not be checked: {type(error).__name__}: {error}"


def filled(template: str, **parts: str) -> str:
    """`{name}` replaced by each part, and nothing within the parts."""
    return re.sub(r"\{(" + "|".join(parts) + r")\}", lambda hole: parts[hole[1]], template)


def as_check(check: CheckLike) -> Check:
    if isinstance(check, Check):
        return check
    return Passes(verifier=check) if isinstance(check, Verifier) else Function(function=check)


class Passes(msgspec.Struct, frozen=True, kw_only=True):
    """What a verifier of `smidgen.patterns.verified` accepts."""

    verifier: Verifier

    @property
    def name(self) -> str:
        return self.verifier.name

    async def problem(self, text: str, run: Run) -> str:
        found = await self.verifier.check(text, run.task, run.resources)
        return "" if found.ok else found.reason or f"it doesn't pass {self.name}"


class Function(msgspec.Struct, frozen=True, kw_only=True):
    function: Callable[[str, str], Said | Awaitable[Said]]

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "check").strip("<>")

    async def problem(self, text: str, run: Run) -> str:
        said = self.function(run.task.request, text)
        if inspect.isawaitable(said):
            said = await said
        return said if isinstance(said, str) else "" if said in (True, None) else f"{self.name} says no"


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer, without space around it, matches a regular expression."""

    regex: str
    name: str = "regex"

    def __post_init__(self) -> None:
        try:
            re.compile(self.regex)
        except re.error as error:
            raise ValueError(f"the pattern {self.regex!r} can't be read: {error}") from None

    async def problem(self, text: str, run: Run) -> str:
        return "" if re.fullmatch(self.regex, text.strip(), re.DOTALL) else f"it doesn't match {self.regex!r}"


class Conforms(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is JSON that a JSON Schema allows: types, required keys, enums, ranges, lengths."""

    schema: dict[str, Any]
    name: str = "schema"

    async def problem(self, text: str, run: Run) -> str:
        try:
            value = json.loads(text)
        except ValueError as error:
            return f"it isn't JSON: {error}"
        return next(schema_problems(value, self.schema, "the answer"), "")


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """So many words."""

    least: int = 1
    most: int = 1000
    name: str = "words"

    async def problem(self, text: str, run: Run) -> str:
        count = len(text.split())
        return "" if self.least <= count <= self.most else f"it has {count} words, not {self.least} to {self.most}"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """Python that is run in the sandbox with `request` and `answer`. Its last expression is whether the answer is
    right, or what is wrong with it as a text; an exception says that something is wrong too."""

    code: str
    seconds: float = PROGRAM_S
    name: str = "python"

    async def problem(self, text: str, run: Run) -> str:
        code = f"request = {run.task.request!r}\nanswer = {text!r}\n{self.code}"
        done = await run.resources.python(code, self.seconds)
        if not done.ok:
            last = done.error.strip().splitlines()[-1:]
            return f"the check failed: {last[0] if last else done.stopped}"
        if done.value in ("True", "", "''"):
            return ""
        return f"the check says {done.value}"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A model finds the answer good: how likely it is to say Yes rather than No. question: with `{request}` and
    `{answer}` in it. sure: the least likelihood, from 0 to 1."""

    question: str = "Question: {request}\n\nAnswer: {answer}\n\nIs this answer right? Say Yes or No."
    sure: float = 0.5
    model: str = ""
    name: str = "question"

    async def problem(self, text: str, run: Run) -> str:
        likely = await self.likely(text, run)
        return "" if likely >= self.sure else f"it is likely to be right by {likely:.2f}, {self.sure:.2f} is needed"

    async def likely(self, text: str, run: Run) -> float:
        asking = run.asking(self.model)
        for notice in await asking.load():
            run.warn(notice.message)
        asked = filled(self.question, request=run.task.request, answer=text)
        yes, no = await asking.score((Message(role="user", content=asked),), ("Yes", "No"))
        return exp(yes) / (exp(yes) + exp(no))


class Every(msgspec.Struct, frozen=True, kw_only=True):
    """All of several, in their order; the first that finds something tells."""

    checks: tuple[Check, ...]

    @property
    def name(self) -> str:
        return ", ".join(check.name for check in self.checks)

    async def problem(self, text: str, run: Run) -> str:
        for check in self.checks:
            if found := await check.problem(text, run):
                return found
        return ""


def not_worse(before: str, after: str) -> str:
    """Why a rewritten text isn't to be trusted, whatever it is about: it must hold all numbers of the text before and
    no others, and be at most twice as long. "" if it may be. It can't see whether a word changed the meaning."""
    old, new = set(written(before)), set(written(after))
    if old - new:
        return f"it leaves out {min(old - new):f}"
    if new - old:
        return f"it says {min(new - old):f}, which wasn't there"
    return "it is more than twice as long" if len(after) > 2 * len(before) + 80 else ""


def every(checks: Sequence[Check]) -> Check | None:
    if not checks:
        return None
    return checks[0] if len(checks) == 1 else cast(Check, Every(checks=tuple(checks)))
