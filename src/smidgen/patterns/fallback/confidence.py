"""How sure a cheap answer is, from 0 to 1, by one of several tests."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Awaitable, Callable
from functools import cached_property
from math import exp
from typing import Literal, Protocol

import msgspec

from smidgen.agent.numbers import written
from smidgen.patterns import Task
from smidgen.patterns.fallback.checks import Asked, Check, CheckLike, as_check
from smidgen.patterns.run import Run

_NUMBER = re.compile(r"((?<!\w)[-\u2212]?\d+(?:[.,]\d+)*)")


class Sure(msgspec.Struct, frozen=True, kw_only=True):
    """confidence: from 0 to 1. reason: in words, for the trace."""

    confidence: float
    reason: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a test may look at. text: the answer, "" before there is one. logprobs: of each text that models wrote for
    it, in their order. again: the same answerer's text with another seed, "" if it gave none."""

    task: Task
    run: Run
    text: str = ""
    logprobs: tuple[tuple[float, ...], ...] = ()
    again: Callable[[int], Awaitable[str]]


class Confidence(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def before(self) -> bool:
        """Is it told by the request alone, before there is an answer?"""
        ...

    async def sure(self, draft: Draft) -> Sure:
        """May raise typed errors, which count as not sure at all."""
        ...


class _After(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    @property
    def before(self) -> bool:
        return False


class Logprob(_After, frozen=True, kw_only=True):
    """By the likelihood of the tokens of the text that was written last: their geometric mean, or the least likely one.
    Not at all sure of what no model of a supply wrote, such as an agent's answer."""

    of: Literal["mean", "least"] = "mean"
    name: str = "logprob"

    async def sure(self, draft: Draft) -> Sure:
        found = next((one for one in reversed(draft.logprobs) if one), None)
        if found is None:
            return Sure(confidence=0.0, reason="no likelihood is known of its tokens")
        value = exp(min(found) if self.of == "least" else sum(found) / len(found))
        return Sure(
            confidence=value, reason=f"the {'least' if self.of == 'least' else 'mean'} likelihood of its tokens"
        )


class Agreement(_After, frozen=True, kw_only=True):
    """By the share of further samples that say the same. samples: in all. by: "number" compares the last number of
    each, "text" all but case, space and punctuation. The answerer must not be greedy, or it agrees with itself."""

    samples: int = 2
    by: Literal["text", "number"] = "text"
    name: str = "agreement"

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError("an agreement needs at least 2 samples")

    async def sure(self, draft: Draft) -> Sure:
        others = await asyncio.gather(*(draft.again(number) for number in range(1, self.samples)))
        same = sum(bool(other) and _key(other, self.by) == _key(draft.text, self.by) for other in others)
        return Sure(confidence=same / len(others), reason=f"{same} of {len(others)} further samples say the same")


class YesNo(_After, frozen=True, kw_only=True):
    """By how likely a model is to say Yes when it is asked whether the answer is right. question: with `{request}` and
    `{answer}` in it. model: "" for the task's."""

    question: str = Asked().question
    model: str = ""
    name: str = "yes/no"

    async def sure(self, draft: Draft) -> Sure:
        value = await Asked(question=self.question, model=self.model).likely(draft.text, draft.run)
        return Sure(confidence=value, reason="how likely Yes is, asked whether it is right")


class Checked(_After, frozen=True, kw_only=True):
    """Sure of what passes a check, and of nothing else."""

    check: CheckLike
    name: str = "check"

    @cached_property
    def _check(self) -> Check:
        return as_check(self.check)

    async def sure(self, draft: Draft) -> Sure:
        found = await self._check.problem(draft.text, draft.run)
        return Sure(confidence=0.0 if found else 1.0, reason=found or f"{self._check.name} is passed")


class Nearness(msgspec.Struct, frozen=True, kw_only=True):
    """By the request alone, before anything is written: is it nearer to examples of what the first answerer does well
    than to examples of what it doesn't? Needs the embedder; without one it isn't sure. nearest: so many examples of
    each side count. slope: how fast a difference in nearness (of cosines) turns into confidence."""

    easy: tuple[str, ...]
    hard: tuple[str, ...]
    nearest: int = 3
    slope: float = 10.0
    name: str = "nearness"

    def __post_init__(self) -> None:
        if not self.easy or not self.hard:
            raise ValueError("nearness needs examples of both easy and hard requests")
        if self.nearest < 1:
            raise ValueError("nearest can't be below 1")

    @property
    def before(self) -> bool:
        return True

    async def sure(self, draft: Draft) -> Sure:
        vectors = await draft.run.embed((draft.task.request, *self.easy, *self.hard))
        if vectors is None:
            return Sure(confidence=0.0, reason="there is no embedder to tell by")
        asked, easy, hard = vectors[0], vectors[1 : 1 + len(self.easy)], vectors[1 + len(self.easy) :]
        difference = self._near(asked, easy) - self._near(asked, hard)
        return Sure(confidence=1 / (1 + exp(-self.slope * difference)), reason="nearness to examples it does well")

    def _near(self, asked: tuple[float, ...], examples: list[tuple[float, ...]]) -> float:
        cosines = sorted((sum(a * b for a, b in zip(asked, one, strict=True)) for one in examples), reverse=True)
        best = cosines[: self.nearest]
        return sum(best) / len(best)


def _key(text: str, by: Literal["text", "number"]) -> object:
    if by == "number" and (numbers := list(written(text))):
        return numbers[-1]
    return _said(text)


def _said(text: str) -> str:
    """Without case, space and punctuation, but with the signs and points of numbers, and the symbols and vowel signs of
    all scripts."""
    pieces = _NUMBER.split(unicodedata.normalize("NFKC", text).casefold())
    words = ["".join(sign if _tells(sign) else " " for sign in piece) for piece in pieces[::2]]
    pieces[::2] = words
    return " ".join(" ".join(pieces).replace("\u2212", "-").split())


def _tells(sign: str) -> bool:
    category = unicodedata.category(sign)
    return category[0] in "LMNS" and category != "Sk"
