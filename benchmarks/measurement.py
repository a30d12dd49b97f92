"""Figures as ratios of alternating pairs within one run, because a shared machine's absolute speed drifts."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Timed = Callable[[int], Awaitable[float]]


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: list[float]) -> Spread:
        return Spread(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True)
class Measurement:
    """One line of the table. `ratio` is what the target speaks of; `ours` and `theirs` are in `unit`.

    target: bound of the ratio (or of `ours`, where nothing stands beside it); at_least says which side of it is good.
    """

    name: str
    unit: str
    ours: Spread
    against: str = ""
    theirs: Spread | None = None
    ratio: Spread | None = None
    target: float | None = None
    at_least: bool = True
    pairs: list[tuple[float, float]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def judged(self) -> float:
        return (self.ratio or self.ours).median

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.judged >= self.target if self.at_least else self.judged <= self.target


async def alternate(ours: Timed, theirs: Timed, pairs: int, warm_up: int = 1) -> list[tuple[float, float]]:
    """Both sides by turns, the first one changing from pair to pair; never both at once. The argument is the pair's
    number, for a workload that differs between pairs but not within one; warm-up pairs have negative numbers."""
    found: list[tuple[float, float]] = []
    for number in range(-warm_up, pairs):
        if number % 2:
            b = await theirs(number)
            a = await ours(number)
        else:
            a = await ours(number)
            b = await theirs(number)
        if number >= 0:
            found.append((a, b))
    return found


def compared(
    name: str,
    unit: str,
    against: str,
    pairs: list[tuple[float, float]],
    target: float | None,
    notes: dict[str, Any] | None = None,
) -> Measurement:
    """ratio: how many times as good as `against` we are; figures in seconds are turned round."""
    seconds = unit == "s"
    ratios = [theirs / ours if seconds else ours / theirs for ours, theirs in pairs]
    return Measurement(
        name=name,
        unit=unit,
        ours=Spread.of([a for a, _ in pairs]),
        against=against,
        theirs=Spread.of([b for _, b in pairs]),
        ratio=Spread.of(ratios),
        target=target,
        pairs=pairs,
        notes=notes or {},
    )


def alone(
    name: str, unit: str, values: list[float], target: float | None = None, notes: dict[str, Any] | None = None
) -> Measurement:
    """A figure of ours with nothing beside it; the target is an upper bound."""
    return Measurement(name=name, unit=unit, ours=Spread.of(values), target=target, at_least=False, notes=notes or {})
