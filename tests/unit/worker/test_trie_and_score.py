"""Scoring over a token trie equals scoring candidates one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.messages import ScoreRequest, Segment
from smidgen.worker.score import Scoring
from smidgen.worker.trie import build, layouts, nodes_to_evaluate

VOCAB, END = 6, 5


def distribution(path: tuple[int, ...]) -> NDArray[np.float32]:
    """Logits after a path of tokens: fixed, and different for every path."""
    return np.random.default_rng(hash(path) % 2**32).normal(0, 1, VOCAB).astype(np.float32)


class Tree:
    """A backend that knows what every sequence holds and answers with `distribution`."""

    batch, outputs = 4, 2

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {99: []}
        self.rows: list[NDArray[np.float32]] = []

    def copy(self, source: int, target: int, length: int) -> None:
        assert target not in self.held
        self.held[target] = self.held[source][:length]

    def drop(self, sequence: int, start: int = 0) -> bool:
        del self.held[sequence]
        return True

    def decode(self, tokens: NDArray[np.int32], positions: NDArray[np.int32], sequences: object, wants: object) -> None:
        assert len(tokens) <= self.batch
        assert np.count_nonzero(wants) <= self.outputs  # pyright: ignore
        self.rows = []
        for token, position, owners in zip(tokens.tolist(), positions.tolist(), sequences, strict=True):  # pyright: ignore
            for owner in owners:
                assert len(self.held[owner]) == position
                self.held[owner].append(token)
            self.rows.append(distribution(tuple(self.held[owners[0]])))

    def logits(self, index: int) -> NDArray[np.float32]:
        return self.rows[index].copy()


def log_softmax(row: NDArray[np.float32]) -> NDArray[np.float64]:
    values = row.astype(np.float64)
    return values - np.log(np.exp(values).sum())


def score(candidates: list[list[int]], normalize: str, slots: int, cells: int = 100) -> tuple[float, ...]:
    request = ScoreRequest(prompt=(Segment("p"),), candidates=("x",), normalize=normalize)  # pyright: ignore
    scoring = Scoring(request, candidates, [END])
    backend = Tree()
    scoring.start(distribution(()))
    scoring.run(backend, 99, 0, list(range(slots)), cells, lambda _: None)  # pyright: ignore
    assert set(backend.held) == {99}, "every lent slot is dropped"
    return scoring.result(1, 0).logprobs


candidate_sets = st.lists(
    st.lists(st.integers(0, VOCAB - 2), min_size=1, max_size=4), min_size=1, max_size=8, unique_by=tuple
)


@settings(max_examples=150, deadline=None)
@given(candidates=candidate_sets, slots=st.integers(1, 4), cells=st.integers(1, 12))
def test_plain_scores_are_sums_of_token_log_probabilities(candidates: list[list[int]], slots: int, cells: int) -> None:
    expected = [
        sum(float(log_softmax(distribution(tuple(tokens[:i])))[token]) for i, token in enumerate(tokens))
        for tokens in candidates
    ]
    assert score(candidates, "none", slots, cells) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=150, deadline=None)
@given(candidates=candidate_sets, slots=st.integers(1, 4))
def test_scores_among_choices_are_probabilities_that_sum_to_one(candidates: list[list[int]], slots: int) -> None:
    total = sum(math.exp(value) for value in score(candidates, "choices", slots))
    assert total == pytest.approx(1.0, abs=1e-4)


def test_uncontested_tokens_are_not_evaluated() -> None:
    root = build([[1, 2, 3, 4], [2, 2, 2, 2]])
    assert nodes_to_evaluate(root, contested_only=True) == [root]
    assert len(nodes_to_evaluate(root, contested_only=False)) == 7
    assert layouts([root], 8, 99) == []


def test_shared_beginnings_are_decoded_once() -> None:
    root = build([[1, 2, 3], [1, 2, 4], [1, 3, 5]])
    (layout,) = layouts(nodes_to_evaluate(root, contested_only=False), 8, 99)
    assert [node.token for node in layout.nodes] == [1, 2, 3]
    assert layout.owners[0] == (0, 1)
