"""Which passages hold the words of a question: Okapi BM25 over stems. Pure.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with their k1 and b.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from smidgen.tools.lookup import Passage
from smidgen.tools.words import stems

K1, B = 1.2, 0.75
AROUND, ENOUGH = 1, 2
"""Lines that are read beside the one that holds most, unless it holds so many of the words asked for."""
CLOSE = 0.5
"""Share of the best passage's score below which others only distract."""
_QUESTIONS = frozenset(
    stems("when where who whom why much many did file files say says said about mention mentions look looking")
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
        order = self._order(asked)[:count]
        least = self._score(asked, order[0]) * CLOSE if order else 0.0
        return [
            self._narrowed(self._passages[number], asked) for number in order if self._score(asked, number) >= least
        ]

    def share(self, question: str, count: int) -> float:
        """How much of the question the best `count` passages hold together, rare words counting more; 0 to 1. A word
        that stands nowhere counts as one of middling rarity: it may be the question's own way to say it."""
        asked = content(question)
        known = {stem: self._rarity(stem) for stem in asked if self._holding[stem]}
        if not known:
            return 0.0
        strange = sum(known.values()) / len(known) * (len(asked) - len(known))
        held = {stem for number in self._order(asked)[:count] for stem in asked & self._words[number].keys()}
        return sum(known[stem] for stem in held) / (sum(known.values()) + strange)

    def _narrowed(self, passage: Passage, asked: frozenset[str]) -> Passage:
        """The lines that hold most of what is asked, with those beside them where that is little: a small model reads
        the first line for the answer if it is given many."""
        lines = passage.text.split("\n")
        held = [asked & set(_terms(line)) for line in lines]
        weights = [sum(self._rarity(term) for term in terms) for terms in held]
        best = max(range(len(lines)), key=lambda number: (weights[number], -number))
        if not weights[best] or len(lines) <= 2 * AROUND + 1:
            return passage
        around = 0 if len(held[best]) >= ENOUGH else AROUND
        kept = [number for number, weight in enumerate(weights) if weight >= weights[best]]
        first, last = max(0, kept[0] - around), min(len(lines), kept[-1] + around + 1)
        text = "\n".join(lines[first:last])
        return Passage(path=passage.path, line=passage.line + first, text=text, heading=passage.heading)

    def _order(self, asked: frozenset[str]) -> list[int]:
        scores = {number: self._score(asked, number) for number in range(len(self._passages))}
        return sorted((number for number in scores if scores[number] > 0), key=lambda number: -scores[number])

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
    """What a question is about: its words and numbers, without those that only ask."""
    return frozenset(_terms(question)) - _QUESTIONS


def _terms(text: str) -> list[str]:
    return [*stems(text), *re.findall(r"\d+", text)]


def _words(passage: Passage) -> list[str]:
    """The heading and the file's name say what a passage is about, even if it doesn't."""
    named = passage.path.rsplit(".", 1)[0].replace("/", " ").replace("-", " ")
    return [*stems(f"{passage.heading} {named}"), *(term for line in passage.text.split("\n") for term in _terms(line))]
