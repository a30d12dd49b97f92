"""Candidates against each other: all on a few tasks, the best on more; and the rule by which one replaces another."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from smidgen.eval.intervals import mcnemar

C = TypeVar("C")
CHANCE = 0.1
"""How often equals may differ as much as where one counts as better."""
TIE = 1.0
"""Standard errors by which a quicker one may be behind."""
QUICKER = 0.9
"""Share of the cost from which one is quicker."""
PROMPT_SHARE = 0.2
"""What a token of the prompt costs beside a new one: on two cores, Qwen2.5-Coder-0.5B reads 230 and writes 46 in a
second (docs/performance.md). Tokens are counted rather than seconds: they are the same in every run."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """right: the call was. cost: in new tokens; see PROMPT_SHARE."""

    right: bool
    cost: float


Ask = Callable[[C, int, int], Awaitable[Sequence[Outcome]]]
"""Measures a candidate on the tasks from one number up to another."""


class Entry(Generic[C]):
    """A candidate and what came out so far, by the task's number."""

    def __init__(self, candidate: C) -> None:
        self.candidate = candidate
        self.outcomes: list[Outcome] = []

    @property
    def right(self) -> int:
        return sum(outcome.right for outcome in self.outcomes)

    @property
    def cost(self) -> float:
        """Mean."""
        return sum(outcome.cost for outcome in self.outcomes) / max(1, len(self.outcomes))


async def race(
    candidates: Sequence[C],
    incumbent: C,
    ask: Ask[C],
    rounds: Sequence[tuple[int, int]],
    told: Callable[[Entry[C]], None] = lambda _: None,
    *,
    quicker: bool = True,
    least: int = 0,
) -> tuple[Entry[C], list[Entry[C]]]:
    """rounds: up to which task each goes, and how many candidates take part in it. The incumbent takes part in all.
    quicker: whether one that is as good and quicker wins too. least: right answers that the best of
    the first round must have; where even that one is hardly ever right, the incumbent stays. Returns the winner and all
    entries, those that went furthest first.

    Source of the procedure: successive halving, Karnin, Koren and Somekh 2013, with the incumbent kept so that the last
    comparison is between the same tasks.
    """
    entries = [Entry(candidate) for candidate in dict.fromkeys((incumbent, *candidates))]
    going = list(entries)
    for until, places in rounds:
        going = [going[0], *sorted(going[1:], key=lambda entry: (-entry.right, entry.cost))[: max(0, places - 1)]]
        for entry in going:
            start = len(entry.outcomes)
            if start < until:
                entry.outcomes += await ask(entry.candidate, start, until)
                told(entry)
        if max(entry.right for entry in going) < least:
            going = going[:1]
            break
    winner = going[0]
    for entry in sorted(going[1:], key=lambda entry: (-entry.right, entry.cost)):
        if replaces(entry.outcomes, winner.outcomes, quicker=quicker):
            winner = entry
    return winner, sorted(entries, key=lambda entry: (-len(entry.outcomes), -entry.right))


def replaces(new: Sequence[Outcome], old: Sequence[Outcome], *, quicker: bool = True) -> bool:
    """Is the new one better on the tasks that both had, or as good within the noise and quicker?"""
    pairs = list(zip(new, old, strict=False))
    gained = sum(one.right and not other.right for one, other in pairs)
    lost = sum(other.right and not one.right for one, other in pairs)
    if not pairs or is_better(gained, lost) or not quicker:
        return is_better(gained, lost)
    new_cost, old_cost = (sum(outcome.cost for outcome in outcomes) for outcomes in zip(*pairs, strict=True))
    return lost - gained <= TIE * math.sqrt(gained + lost) and new_cost < QUICKER * old_cost


def is_better(gained: int, lost: int) -> bool:
    """Of what only one of two ways got right: did the first gain more than noise? McNemar's exact test, one-sided."""
    return gained > lost and mcnemar(gained, lost) <= 2 * CHANCE
