"""The words of texts as a second view of them: how alike two are by their words, word pairs and pieces of words.

A sentence embedder tells meanings apart, and is vague about single words, names and misspelt ones; these are seen here.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

_TOKEN = re.compile(r"\w+|[^\w\s]")
PIECES = (3, 4)
"""Characters of the pieces of a word."""


def grams(text: str) -> Counter[str]:
    """Words and pairs of them, pieces of words with their bounds, and how often each is there."""
    words = _TOKEN.findall(text.lower())
    found = Counter(words)
    found.update(f"{one} {other}" for one, other in pairwise(words))
    for word in words:
        bounded = f"<{word}>"
        for size in PIECES:
            found.update(f"#{bounded[start : start + size]}" for start in range(len(bounded) - size + 1))
    return found


class Lexicon:
    """The grams of some texts, weighed by how rare they are (TF-IDF); each text's weights have the length 1."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [grams(text) for text in texts]
        in_texts = Counter(gram for counts in counted for gram in counts)
        self._size = len(texts)
        self._rarity = {gram: math.log((1 + len(texts)) / (1 + number)) + 1 for gram, number in in_texts.items()}
        postings: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
        for index, counts in enumerate(counted):
            for gram, weight in self._weights(counts):
                postings[gram][0].append(index)
                postings[gram][1].append(weight)
        self._counted = counted
        self._postings = {
            gram: (np.asarray(places, np.int64), np.asarray(weights, np.float32))
            for gram, (places, weights) in postings.items()
        }

    def likeness(self, texts: Sequence[str]) -> Matrix:
        """(texts, texts of the lexicon): cosines from 0 to 1."""
        return self._likeness([grams(text) for text in texts])

    def among(self) -> Matrix:
        """The same of its own texts."""
        return self._likeness(self._counted)

    def _likeness(self, counted: Sequence[Counter[str]]) -> Matrix:
        found = np.zeros((len(counted), self._size), np.float32)
        for row, counts in zip(found, counted, strict=True):
            for gram, weight in self._weights(counts):
                places, weights = self._postings[gram]
                row[places] += weight * weights
        return found

    def _weights(self, counts: Counter[str]) -> list[tuple[str, float]]:
        known = [
            (gram, (1 + math.log(number)) * self._rarity[gram])
            for gram, number in counts.items()
            if gram in self._rarity
        ]
        length = math.sqrt(sum(weight * weight for _, weight in known)) or 1.0
        return [(gram, weight / length) for gram, weight in known]
