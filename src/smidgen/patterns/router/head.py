"""The trained head: of texts and their embeddings, which intent, how probable, and whether it is any of them.

Two kernel ridge regressions over the examples. One sees the embeddings as they are, and the words: it says how much a
text is like anything here. The other sees them through a learnt projection: it says which intent. What the first says
of each example when it is left out sets how sure scores make us; no examples of what is out of scope are needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from smidgen.patterns.router.lexical import Lexicon
from smidgen.patterns.router.projection import learned, softmax, unit
from smidgen.patterns.router.ridge import Labels, Ridge, solved

Matrix = NDArray[np.float32]
Array = NDArray[np.float64]

WORDS, SHARPNESS = 0.1, 2.0
"""Share of the words' view in a kernel; of the embeddings' it is exp(SHARPNESS * (cosine - 1))."""
NEAREST = 0.5
"""How much the nearest example counts beside the best score in how much a text is like anything here."""
USUAL_TEMPERATURE, FEW, BROADER = 0.05, 20, 1.2
"""Of scores; how much it counts beside the examples; and by how much more they spread after the projection, which no
example can be left out of cheaply (1.0 to 1.35 times on both sets that the benchmark measures)."""
FEWEST, ENOUGH, FAINT = 3, 8, 0.4
"""Examples of an intent from which on one of them can be left out; how many such examples say what is usual; and the
likeness from which on a text counts as usual where there are fewer."""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """probabilities: (texts, intents and, last, what is outside of them, if the head has examples of that), of each if
    the text is one of these. typical: (texts,), the share of what is in scope that looks less so."""

    probabilities: Matrix
    typical: Array


class Head:
    """texts: examples. vectors: (texts, width) of length 1, None where there is no embedder and the words must do.
    labels: from 0 to intents - 1, each at least once; `intents` for examples of what is outside.

    Training takes two seconds of one core for 150 intents of ten examples, and gives the same each time."""

    def __init__(self, texts: Sequence[str], vectors: Matrix | None, labels: Sequence[int], intents: int) -> None:
        self._labels: Labels = np.asarray(labels, np.int64)
        self._inside = self._labels < intents
        self._intents = intents
        classes = int(self._labels.max()) + 1
        self._lexicon = Lexicon(texts)
        words = self._lexicon.among()
        self._centre = np.zeros(0, np.float32) if vectors is None else vectors.sum(axis=0) / (len(texts) + FEW)
        self._vectors = None if vectors is None else unit(vectors - self._centre)
        cosines = words if self._vectors is None else self._vectors @ self._vectors.T
        self._plain = Ridge(self._kernel(cosines, words), self._labels, classes)
        self._projection: Matrix | None = None
        self._projected, self._sorting = self._vectors, self._plain.weights
        if self._vectors is not None and classes > 1:
            self._projection = learned(self._vectors, self._labels, classes)
            self._projected = unit(self._vectors @ self._projection)
            self._sorting = solved(self._kernel(self._projected @ self._projected.T, words), self._labels, classes)
        self._temperature = _temperature(self._plain.left_out, self._labels)
        others = cosines - 2 * np.eye(len(texts), dtype=np.float32)
        self._usual = _usual(self._likeness(self._plain.left_out, others)[self._inside], self._labels[self._inside])

    def scores(self, texts: Sequence[str], vectors: Matrix | None) -> Scores:
        """vectors: None exactly where the head has none."""
        words = self._lexicon.likeness(texts)
        if self._vectors is None or vectors is None:
            cosines = projected = words
        else:
            seen = unit(vectors - self._centre)
            cosines = projected = seen @ self._vectors.T
            if self._projection is not None and self._projected is not None:
                projected = unit(seen @ self._projection) @ self._projected.T
        plain = self._kernel(cosines, words) @ self._plain.weights
        sorting = self._kernel(projected, words) @ self._sorting
        return Scores(
            probabilities=softmax(sorting / self._temperature),
            typical=self._typical(self._likeness(plain, cosines)),
        )

    def _kernel(self, cosines: Matrix, words: Matrix) -> Matrix:
        if cosines is words:
            return words
        kernel = (1 - WORDS) * np.exp(np.float32(SHARPNESS) * (cosines - 1)) + WORDS * words
        return kernel.astype(np.float32)

    def _likeness(self, scores: NDArray[np.floating], cosines: Matrix) -> Array:
        """(texts,): how much each is like anything that is in scope. Some 0.3 for what isn't, 1 for what is."""
        best = scores[:, : self._intents].max(axis=1)
        return (best + NEAREST * cosines[:, self._inside].max(axis=1)).astype(np.float64)

    def _typical(self, likeness: Array) -> Array:
        if not len(self._usual):
            return (likeness >= FAINT).astype(np.float64)
        return np.interp(likeness, self._usual, np.linspace(0, 1, len(self._usual)), left=0.0, right=1.0)


def _temperature(left_out: Array, labels: Labels) -> float:
    """What scores are divided by before they are probabilities: the one that makes the examples' own intents likeliest
    when each is left out. Where there are few, what is usual counts too."""
    rows = np.arange(len(labels))

    def surprise(temperature: float) -> float:
        scores = left_out / temperature
        top = scores.max(axis=1, keepdims=True)
        logs = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
        return float(-logs[rows, labels].sum()) + FEW * float(np.log(temperature / USUAL_TEMPERATURE)) ** 2

    return min((float(one) for one in np.geomspace(0.01, 0.5, 40)), key=surprise) * BROADER


def _usual(likeness: Array, labels: Labels) -> Array:
    """In order, how like anything the examples are when each is left out: of those that others of their intent can
    stand for. Empty where that is too few to go by."""
    found = np.sort(likeness[np.bincount(labels)[labels] >= FEWEST])
    return found if len(found) >= ENOUGH else np.zeros(0)
