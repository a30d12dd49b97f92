"""Logistic regression towards weights that were written by hand, and whether it is worth it. Plain Python, pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import msgspec

STRENGTH = 4.0
"""Of the pull towards what was written by hand: a weight that has moved by as much as changes the log-odds by 1 for a
feature that is one standard deviation larger costs half of this, in units of log loss."""
FEWEST = 8
"""Examples of either kind; with fewer nothing is fitted."""
FOLDS = 5
NOISE = 1.28
"""Standard errors by which the mean log loss must fall in cross-validation."""
_STEPS = 50
_ENOUGH = 1e-9

Vector = Sequence[float]


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """rows: features of each example, a last or first column of ones where an intercept is wanted. labels: what is to
    be told. groups: examples of one group stay in one fold. offsets: added to the log-odds as they are."""

    rows: tuple[tuple[float, ...], ...]
    labels: tuple[bool, ...]
    groups: tuple[Hashable, ...]
    offsets: tuple[float, ...]

    def part(self, numbers: Sequence[int]) -> Examples:
        return Examples(
            rows=tuple(self.rows[i] for i in numbers),
            labels=tuple(self.labels[i] for i in numbers),
            groups=tuple(self.groups[i] for i in numbers),
            offsets=tuple(self.offsets[i] for i in numbers),
        )

    @property
    def enough(self) -> bool:
        return min(sum(self.labels), len(self.labels) - sum(self.labels)) >= FEWEST


def fit(examples: Examples, towards: Vector, strength: float = STRENGTH) -> tuple[float, ...]:
    """The weights with the least log loss plus `strength` / 2 times the squared distance from `towards`, each in
    standard deviations of its feature. Finite also for examples that a plane parts. `towards` itself if there are too
    few examples. Newton's method, each step halved until the loss falls."""
    if not examples.enough:
        return tuple(towards)
    scales = [strength * _spread([row[j] for row in examples.rows]) for j in range(len(towards))]
    weights = list(towards)
    loss = _objective(examples, weights, towards, scales)
    for _ in range(_STEPS):
        step = _newton(examples, weights, towards, scales)
        length = 1.0
        while True:
            tried = [weight - length * change for weight, change in zip(weights, step, strict=True)]
            new = _objective(examples, tried, towards, scales)
            if new <= loss or length < 1e-6:
                break
            length /= 2
        done = loss - new < _ENOUGH
        if new <= loss:
            weights, loss = tried, new
        if done:
            break
    return tuple(weights)


def losses(examples: Examples, weights: Vector) -> list[float]:
    """Log loss of each example, in natural-log units."""
    return [
        _softplus(-odds if label else odds)
        for odds, label in zip(_log_odds(examples, weights), examples.labels, strict=True)
    ]


def cross_validated(examples: Examples, towards: Vector, strength: float = STRENGTH) -> list[float]:
    """Log loss of each example by weights that were fitted without its fold."""
    if not examples.enough:
        return losses(examples, towards)
    order = {group: number for number, group in enumerate(dict.fromkeys(examples.groups))}
    fold_of = [order[group] % FOLDS for group in examples.groups]
    found = [0.0] * len(examples.labels)
    for fold in range(FOLDS):
        inside = [i for i, its in enumerate(fold_of) if its == fold]
        weights = fit(examples.part([i for i, its in enumerate(fold_of) if its != fold]), towards, strength)
        for i, loss in zip(inside, losses(examples.part(inside), weights), strict=True):
            found[i] = loss
    return found


def is_less(new: Sequence[float], old: Sequence[float], noise: float = NOISE) -> bool:
    """Is the mean of paired losses less by more than noise?"""
    n = len(new)
    if n < 2:
        return False
    gains = [before - after for after, before in zip(new, old, strict=True)]
    mean = sum(gains) / n
    error = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (n - 1) / n)
    return mean > max(noise * error, _ENOUGH)


def _log_odds(examples: Examples, weights: Vector) -> list[float]:
    return [
        offset + sum(weight * value for weight, value in zip(weights, row, strict=True))
        for row, offset in zip(examples.rows, examples.offsets, strict=True)
    ]


def _objective(examples: Examples, weights: Vector, towards: Vector, scales: Vector) -> float:
    pull = sum(s * (w - t) ** 2 for s, w, t in zip(scales, weights, towards, strict=True))
    return sum(losses(examples, weights)) + pull / 2


def _newton(examples: Examples, weights: Vector, towards: Vector, scales: Vector) -> list[float]:
    size = len(weights)
    slope = [s * (w - t) for s, w, t in zip(scales, weights, towards, strict=True)]
    curve = [[scales[i] if i == j else 0.0 for j in range(size)] for i in range(size)]
    for row, label, odds in zip(examples.rows, examples.labels, _log_odds(examples, weights), strict=True):
        chance = _logistic(odds)
        bend = chance * (1 - chance)
        for i in range(size):
            slope[i] += (chance - label) * row[i]
            for j in range(size):
                curve[i][j] += bend * row[i] * row[j]
    return _solved(curve, slope)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss-Jordan with the largest pivot. The matrix is positive definite: every scale is above zero."""
    size = len(right)
    rows = [[*matrix[i], right[i]] for i in range(size)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda i: abs(rows[i][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for i in range(size):
            if i != column:
                factor = rows[i][column] / rows[column][column]
                rows[i] = [value - factor * other for value, other in zip(rows[i], rows[column], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]


def _spread(values: Sequence[float]) -> float:
    """Variance; 1 for a column of ones and for one that never changes."""
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / len(values)
    return spread if spread > 1e-9 else 1.0


def _softplus(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
