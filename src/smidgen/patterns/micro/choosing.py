"""Which of several drafts of a function to believe: what passes the examples, and does what most others do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from smidgen.patterns.micro.trials import Trial


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A draft's body, how often it was drafted, and how it fared: first the examples, then asserts that the model
    wrote, then calls of which nothing is expected. way: by which it was drafted first."""

    body: str
    way: str
    trial: Trial
    count: int = 1


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """agreement: the share of the other drafts' outcomes that are this one's too, over the calls, from 0 to 1. asserts:
    the share of the model's own that it passes. passed: examples."""

    candidate: Candidate
    passed: int
    agreement: float
    asserts: float

    @property
    def order(self) -> tuple[int, float]:
        return self.passed, self.agreement + ASSERTS * self.asserts


ASSERTS = 0.5
"""What the model's own asserts weigh, beside agreement."""


def weighed(candidates: Sequence[Candidate], examples: int, asserts: int) -> list[Weighed]:
    """The best first. examples, asserts: how many of the outcomes are theirs."""
    usable = [one for one in candidates if not one.trial.error]
    best = max((_passed(one, examples) for one in usable), default=0)
    voters = [one for one in usable if _passed(one, examples) == best]
    votes = _votes(voters, examples)
    found = [
        Weighed(
            candidate=one,
            passed=_passed(one, examples),
            agreement=_agreement(one, votes, examples),
            asserts=sum(outcome.ok is True for outcome in one.trial.outcomes[examples : examples + asserts])
            / max(asserts, 1),
        )
        for one in usable
    ]
    return sorted(found, key=lambda one: one.order, reverse=True)


def _passed(one: Candidate, examples: int) -> int:
    return sum(outcome.ok is True for outcome in one.trial.outcomes[:examples])


Votes = list[tuple[Counter[str], int]]


def _votes(voters: Sequence[Candidate], examples: int) -> Votes:
    """Of each call: the values that it gave and how often. Calls that most drafts can't deal with are left out: what is
    asked of them there is nobody's intention."""
    if not voters:
        return []
    votes: Votes = []
    for place in range(examples, len(voters[0].trial.outcomes)):
        count: Counter[str] = Counter()
        for one in voters:
            outcome = one.trial.outcomes[place]
            count[outcome.shown if outcome.kind == "value" else ""] += one.count
        total = sum(count.values())
        failed = count.pop("", 0)
        votes.append((count if failed * 2 <= total else Counter(), total))
    return votes


def _agreement(one: Candidate, votes: Votes, examples: int) -> float:
    counted = [(vote, total, place) for place, (vote, total) in enumerate(votes) if vote]
    if not counted:
        return 0.0
    outcomes = one.trial.outcomes[examples:]
    return sum(
        vote[outcomes[place].shown] / total for vote, total, place in counted if outcomes[place].kind == "value"
    ) / len(counted)
