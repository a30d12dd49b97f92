"""Intervals against published figures and against their own definitions."""

from __future__ import annotations

import math

import pytest

from smidgen.eval.intervals import Z, mcnemar, paired, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_as_published(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_says_nothing_of_nothing_and_never_leaves_its_bounds() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    for n in (1, 3, 1000):
        assert wilson(0, n)[0] == 0.0
        assert wilson(n, n)[1] == 1.0


def test_mcnemar_is_the_two_sided_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 2**6)
    assert mcnemar(1, 9) == mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)


def test_a_paired_difference_is_first_minus_second() -> None:
    found = paired(gained=12, lost=4, n=100)
    assert found.difference == pytest.approx(0.08)
    middle = 8 / 102
    half = Z * math.sqrt((17 - 64 / 102) / 102**2)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
    turned = paired(gained=4, lost=12, n=100)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_equal_ways_are_not_known_to_be_equal() -> None:
    found = paired(gained=0, lost=0, n=50)
    assert found.low < 0 < found.high
    assert paired(gained=0, lost=0, n=0).p == 1.0


def test_the_paired_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Exact coverage for n = 40, 15% gained and 5% lost, over all outcomes."""
    n, up, down = 40, 0.15, 0.05
    held = 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            ways = math.comb(n, gained) * math.comb(n - gained, lost)
            chance = ways * up**gained * down**lost * (1 - up - down) ** (n - gained - lost)
            found = paired(gained, lost, n)
            held += chance if found.low <= up - down <= found.high else 0.0
    assert 0.94 <= held <= 0.97
