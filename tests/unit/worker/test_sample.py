"""Sampling as a function of (seed, position, logits)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.messages import Sampling
from smidgen.worker.sample import BadLogits, log_softmax_at, penalize, sample, top_indices, uniform


def logits(seed: int = 0, size: int = 3000) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, size).astype(np.float32)


@settings(max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 5000), st.integers(1, 200))
def test_top_indices_are_exact(seed: int, size: int, count: int) -> None:
    row = np.round(logits(seed, size), 1)  # rounding makes ties
    expected = sorted(range(size), key=lambda index: (-row[index], index))[:count]
    found = top_indices(row, count)
    assert row[found].tolist() == row[expected].tolist()


def test_greedy_takes_the_first_of_equal_maxima() -> None:
    row = np.zeros(1000, dtype=np.float32)
    row[[700, 300]] = 5.0
    assert sample(row, Sampling(), 0) == 300


def test_the_draw_depends_on_seed_and_position_only() -> None:
    warm = Sampling(temperature=1.0, seed=7)
    drawn = [sample(logits(1), warm, position) for position in range(50)]
    assert drawn == [sample(logits(1), warm, position) for position in range(50)]
    assert len(set(drawn)) > 5
    assert drawn != [sample(logits(1), Sampling(temperature=1.0, seed=8), position) for position in range(50)]


def test_uniform_numbers_are_uniform() -> None:
    numbers = [uniform(3, position) for position in range(4000)]
    assert min(numbers) >= 0 and max(numbers) < 1
    counts = np.histogram(numbers, bins=10, range=(0, 1))[0]
    assert counts.min() > 320 and counts.max() < 480


def test_the_distribution_drawn_is_the_softmax() -> None:
    row = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32))
    plain = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=1)
    counts = np.bincount([sample(row.copy(), plain, position) for position in range(6000)], minlength=3) / 6000
    assert counts == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        (Sampling(temperature=1, top_k=2, top_p=1, min_p=0), {0, 1}),
        (Sampling(temperature=1, top_k=0, top_p=0.75, min_p=0), {0, 1}),
        (Sampling(temperature=1, top_k=0, top_p=1, min_p=0.5), {0, 1}),
        (Sampling(temperature=1, top_k=0, top_p=0.01, min_p=0), {0}),
        (Sampling(temperature=1, top_k=0, top_p=1, min_p=0), {0, 1, 2, 3}),
    ],
)
def test_truncation_keeps_what_it_says(limits: Sampling, kept: set[int]) -> None:
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    assert {sample(row.copy(), limits, position) for position in range(800)} == kept


def test_only_allowed_tokens_are_drawn() -> None:
    row = logits(2)
    allowed = np.array([5, 17, 90])
    assert sample(row.copy(), Sampling(), 0, allowed=allowed) == max([5, 17, 90], key=lambda index: row[index])
    drawn = {sample(row.copy(), Sampling(temperature=2.0), p, allowed=allowed) for p in range(300)}
    assert drawn <= {5, 17, 90}


def test_penalties_lower_what_was_said_in_the_window() -> None:
    row = np.array([2.0, -2.0, 2.0, 2.0], dtype=np.float32)
    penalize(row, [3, 0, 0, 1], Sampling(repeat_penalty=2.0, repeat_last_n=3, frequency_penalty=0.1))
    assert row.tolist() == pytest.approx([1.0 - 0.2, -4.0 - 0.1, 2.0, 2.0])
    row = np.ones(3, dtype=np.float32)
    penalize(row, [0], Sampling(repeat_penalty=5.0, repeat_last_n=0))
    assert row.tolist() == [1, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_unusable_logits_are_a_typed_error(bad: float) -> None:
    row = np.full(10, bad, dtype=np.float32)
    with pytest.raises(BadLogits):
        sample(row, Sampling(), 0)
    with pytest.raises(BadLogits):
        log_softmax_at(row, [1])


def test_log_probabilities_sum_to_one() -> None:
    row = logits(4)
    assert np.exp(log_softmax_at(row, list(range(len(row))))).sum() == pytest.approx(1.0)
