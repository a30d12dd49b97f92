"""Votes for numbers, and when there are enough of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

SAME = 1e-6
"""Relative difference up to which two numbers are one: programs compute in floats."""
FEW = 3
"""Votes for a number before it can lead for good."""
SHARPNESS = 5.0
"""How much more a try weighs that the model was surer of. Of two tries at one problem, a right and a wrong one, the
mean log-probability was higher for the right one in 65 of 100 pairs of steps and in 61 of programs; 5 to 10 made votes
better by 1 to 3 points of 100 (docs/word-problems.md)."""
LEAST = 1e-9
"""Of what `surely` tells: a share of nothing can't be computed."""


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """value: None for a try that led to no number. weight: 0 and more. way: what kind of try it was. sure: how much
    more the model was sure of it than of another of the same way (see `surely`). text: the program, or the steps in
    words. problem: what a check says of it."""

    way: str
    value: float | None = None
    weight: float = 1.0
    sure: float = 1.0
    text: str = ""
    problem: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A number, what stands behind it, and that as a share of all weight."""

    value: float
    weight: float
    share: float
    votes: tuple[Vote, ...]


def surely(logprobs: Sequence[float]) -> float:
    """For the log-probabilities of a try's tokens; 1 where nothing is told of them. Only to be compared within a way:
    the tokens of programs are likelier than those of words, whether they are right or not."""
    return max(LEAST, math.exp(SHARPNESS * sum(logprobs) / len(logprobs))) if logprobs else 1.0


def standings(votes: Sequence[Vote]) -> tuple[Standing, ...]:
    """The numbers voted for, the one with the most weight first; of equals the one that was named first. What the
    model was sure of weighs more than the mean of its way, the rest less."""
    counted = [vote for vote in votes if vote.value is not None and vote.weight > 0]
    usual = {way: _mean([vote.sure for vote in counted if vote.way == way]) for way in {vote.way for vote in counted}}
    groups: list[list[Vote]] = []
    for vote in counted:
        group = next((one for one in groups if same(_value(one[0]), _value(vote))), None)
        if group is None:
            groups.append([vote])
        else:
            group.append(vote)
    weights = [sum(vote.weight * vote.sure / usual[vote.way] for vote in group) for group in groups]
    found = [
        Standing(value=_value(group[0]), weight=weight, share=weight / sum(weights), votes=tuple(group))
        for group, weight in zip(groups, weights, strict=True)
    ]
    return tuple(sorted(found, key=lambda standing: -standing.weight))


def decided(votes: Sequence[Vote], *, remaining: float, lead: float) -> bool:
    """Can the votes that are still to come, of this weight in all if the model is as sure of them as usual, no longer
    change who leads; or does the first number lead the second by such a share of all weight that they hardly would? A
    few votes for it are needed for that."""
    found = list(standings(votes))
    if not found:
        return False
    first, rest = found[0], found[1:]
    if first.weight - sum(one.weight for one in rest[:1]) > remaining:
        return True
    return len(first.votes) >= FEW and first.share - sum(one.share for one in rest[:1]) >= lead


def same(one: float, other: float) -> bool:
    """Whole numbers are exact."""
    if float(one).is_integer() and float(other).is_integer():
        return one == other
    return abs(one - other) <= SAME * max(1.0, abs(one), abs(other))


def _value(vote: Vote) -> float:
    if vote.value is None:
        raise ValueError("a vote for nothing")
    return vote.value


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
