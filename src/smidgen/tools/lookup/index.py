"""Which passages hold the words of a question: Okapi BM25 over stems. Pure.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with their k1 and b.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from smidgen.tools.lookup import Passage
from smidgen.tools.words import stems

K1, B = 1.2, 0.75
_QUESTIONS = frozenset(
    {"when", "where", "who", "whom", "why", "much", "many", "did", "file", "say", "said", "about", "mention", "look"}
)
"""Stems that say that something is asked, not what."""


class Index:
    """passages: in the order in which they are to be preferred where nothing else tells."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = tuple(passages)
        self._words = [Counter(_words(passage)) for passage in self._passages]
        self._lengths = [sum(words.values()) for words in self._words]
        self._mean = sum(self._lengths) / max(1, len(self._lengths))
        self._holding = Counter(stem for words in self._words for stem in words)

    def best(self, question: str, count: int) -> list[Passage]:
        """Those that share a word with the question, the best first."""
        asked = content(question)
        scores = [self._score(asked, number) for number in range(len(self._passages))]
        order = sorted(range(len(scores)), key=lambda number: -scores[number])
        return [self._passages[number] for number in order[:count] if scores[number] > 0]

    def share(self, question: str) -> float:
        """How much of the question the passage that holds most of it holds, rare words counting more; 0 to 1."""
        asked = content(question)
        total = sum(self._rarity(stem) for stem in asked)
        if not total:
            return 0.0
        held = (sum(self._rarity(stem) for stem in asked if stem in words) for words in self._words)
        return max(held, default=0.0) / total

    def _score(self, asked: frozenset[str], number: int) -> float:
        words, length = self._words[number], self._lengths[number]
        score = 0.0
        for stem in asked & words.keys():
            often = words[stem]
            score += self._rarity(stem) * often * (K1 + 1) / (often + K1 * (1 - B + B * length / self._mean))
        return score

    def _rarity(self, stem: str) -> float:
        holding = self._holding[stem]
        return math.log(1 + (len(self._passages) - holding + 0.5) / (holding + 0.5))


def content(question: str) -> frozenset[str]:
    return frozenset(stems(question) - _QUESTIONS)


def _words(passage: Passage) -> list[str]:
    """The heading and the file's name say what a passage is about, even if it doesn't."""
    named = passage.path.rsplit(".", 1)[0].replace("/", " ").replace("-", " ")
    return [*stems(f"{passage.heading} {named}"), *(stem for line in passage.text.split("\n") for stem in stems(line))]
