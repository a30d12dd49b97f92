"""Intervals and a test for shares of right answers. Pure; all at 95%."""

from __future__ import annotations

import math

import msgspec

Z = 1.959963984540054
"""The normal distribution's 97.5% quantile."""


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """Two ways on the same n items: `gained` only the first got right, `lost` only the second. `difference` is first
    minus second as a share of n, `low` to `high` its interval, `p` that of McNemar's exact test."""

    n: int
    gained: int
    lost: int
    difference: float
    low: float
    high: float
    p: float


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's score interval for a share; (0, 1) for n = 0. Source: Wilson 1927, JASA 22:209."""
    if n == 0:
        return 0.0, 1.0
    share, square = right / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return (0.0 if right == 0 else max(0.0, middle - half)), (1.0 if right == n else min(1.0, middle + half))


def paired(gained: int, lost: int, n: int) -> Paired:
    """Wald's interval for the difference of two matched shares, with half an item added to each of the four cells.
    Source: Agresti and Min 2005, Statistics in Medicine 24:729. It stays wide enough where the two hardly ever differ,
    which a bootstrap does not."""
    if n == 0:
        return Paired(n=0, gained=0, lost=0, difference=0.0, low=-1.0, high=1.0, p=1.0)
    b, c, total = gained + 0.5, lost + 0.5, n + 2
    middle = (b - c) / total
    half = Z * math.sqrt(b + c - (b - c) ** 2 / total) / total
    return Paired(
        n=n,
        gained=gained,
        lost=lost,
        difference=(gained - lost) / n,
        low=max(-1.0, middle - half),
        high=min(1.0, middle + half),
        p=mcnemar(gained, lost),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p: how likely a split at least as uneven would be if either way were as good."""
    n, fewer = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**n)
