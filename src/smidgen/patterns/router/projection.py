"""A change of the embeddings that moves each intent's examples together and the intents apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.patterns.router.ridge import Labels, one_of

Matrix = NDArray[np.float32]

STEPS, RATE, SHARPNESS, NOISE = 30, 1e-3, 8.0, 0.03
"""Few and small: the embedder's own space is good, and ten examples bend it only so far. NOISE: standard deviation of
what is added to each component, so that it isn't the examples alone that are learnt."""
_MEAN, _SQUARE = 0.9, 0.99


def learned(vectors: Matrix, labels: Labels, classes: int) -> Matrix:
    """vectors: (examples, width), of length 1. The matrix (width, width) by which they are multiplied: the identity
    plus what Adam learns in STEPS full batches, where each example is to have a larger cosine with a learnt prototype
    of its intent than with any other's. Deterministic."""
    drawn = np.random.default_rng(0)
    size, width = vectors.shape
    prototypes = unit(_means(vectors, labels, classes))
    change = np.zeros((width, width), np.float32)
    targets = one_of(labels, classes).astype(np.float32)
    adams = Adam(change), Adam(prototypes)
    for _ in range(STEPS):
        noise = np.float32(NOISE) * drawn.standard_normal(vectors.shape, dtype=np.float32)
        seen = unit((vectors + noise).astype(np.float32))
        moved = seen + seen @ change
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        far = np.linalg.norm(prototypes, axis=1, keepdims=True)
        a, b = moved / lengths, prototypes / far
        error = (softmax(SHARPNESS * (a @ b.T)) - targets) * np.float32(SHARPNESS / size)
        of_a, of_b = error @ b, error.T @ a
        of_moved = (of_a - a * (of_a * a).sum(axis=1, keepdims=True)) / lengths
        of_prototypes = (of_b - b * (of_b * b).sum(axis=1, keepdims=True)) / far
        adams[0].step(seen.T @ of_moved)
        adams[1].step(of_prototypes)
    return np.eye(width, dtype=np.float32) + change


class Adam:
    """The usual optimiser, of one array, which it changes in place."""

    def __init__(self, values: Matrix) -> None:
        self._values = values
        self._mean, self._square = np.zeros_like(values), np.zeros_like(values)
        self._steps = 0

    def step(self, gradient: Matrix) -> None:
        self._steps += 1
        self._mean += (1 - _MEAN) * (gradient - self._mean)
        self._square += (1 - _SQUARE) * (gradient * gradient - self._square)
        mean = self._mean / (1 - _MEAN**self._steps)
        spread = np.sqrt(self._square / (1 - _SQUARE**self._steps)) + 1e-8
        self._values -= np.float32(RATE) * mean / spread


def unit(vectors: Matrix) -> Matrix:
    """Each row of length 1; those of zeros as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def softmax(scores: NDArray[np.floating]) -> Matrix:
    """Of each row."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def _means(vectors: Matrix, labels: Labels, classes: int) -> Matrix:
    sums = np.zeros((classes, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return sums / np.bincount(labels, minlength=classes)[:, None].astype(np.float32)
