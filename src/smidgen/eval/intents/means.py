"""The nearest mean: what embeddings tell of intents without anything learnt from them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.eval import Item, Outcome, as_messages, switched_off
from smidgen.eval.intents.data import OUTSIDE, Said
from smidgen.runtime.runtime import Runtime

Matrix = NDArray[np.float32]

BATCH = 64


class NearestMean:
    """The intent whose mean is nearest by cosine. vectors: (texts, width) of length 1. labels: from 0 on, each of them
    at least once."""

    def __init__(self, vectors: Matrix, labels: Sequence[int]) -> None:
        of = np.asarray(labels)
        sums = np.stack([vectors[of == label].sum(axis=0) for label in range(int(of.max()) + 1)])
        self._means = unit(sums)
        cosines: Matrix = vectors @ self._means.T
        left_out = unit(sums[of] - vectors)
        cosines[np.arange(len(of)), of] = (left_out * vectors).sum(axis=1)
        self._usual: Matrix = np.sort(np.max(cosines, axis=1))

    def nearest(self, vector: Matrix) -> tuple[int, float]:
        """And the share of the examples, each left out of its own mean, that are less near to any."""
        near = self._means @ vector
        best = int(near.argmax())
        shares = np.linspace(0, 1, len(self._usual))
        return best, float(np.interp([near[best]], self._usual, shares, left=0.0)[0])


def unit(rows: Matrix) -> Matrix:
    """Rows of length 1; one of zeros, which is an intent's only example left out, stays."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return (rows / lengths).astype(np.float32)


class ByMeans:
    """A `Solver` without steps. rejects: the share of what is in scope that may be taken for nothing. Tokens of an
    embedder are counted nowhere."""

    name = "baseline"
    steps: tuple[str, ...] = ()

    def __init__(self, runtime: Runtime, embedder: str, examples: Sequence[Said], rejects: float) -> None:
        self._runtime, self._embedder, self._rejects = runtime, embedder, rejects
        self._examples = examples
        self._intents = sorted({said.intent for said in examples})
        self._nearest: NearestMean | None = None

    def with_steps(self, off: Collection[str]) -> ByMeans:
        switched_off(self.steps, off)
        return self

    async def solve(self, item: Item) -> Outcome:
        means = self._nearest = self._nearest or await self._prepared()
        started = time.perf_counter()
        embedded = await self._runtime.aembed(as_messages(item.request)[-1].content, model=self._embedder)
        best, typical = means.nearest(np.asarray(embedded.vectors[0], np.float32))
        return Outcome(
            text=self._intents[best] if typical >= self._rejects else OUTSIDE,
            seconds=time.perf_counter() - started,
            notes={"trace": [f"nearest is {self._intents[best]}, nearer than {typical:.0%} of the examples"]},
        )

    async def _prepared(self) -> NearestMean:
        texts = [said.text for said in self._examples]
        vectors: list[tuple[float, ...]] = []
        for start in range(0, len(texts), BATCH):
            some = await self._runtime.aembed(texts[start : start + BATCH], model=self._embedder)
            vectors += some.vectors
        labels = [self._intents.index(said.intent) for said in self._examples]
        return NearestMean(np.asarray(vectors, np.float32), labels)
