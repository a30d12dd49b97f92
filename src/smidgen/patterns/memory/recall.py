"""Which facts a request is about: by words that few facts have, by nearness of meaning, and by recency."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from smidgen.patterns.memory.subjects import words_of
from smidgen.sessions.facts import Fact

Vector = Sequence[float]

WORDS, RECENCY = 0.6, 0.03
"""What sharing all words with the request is worth, and being the latest fact, against a cosine of 1."""

NEAR = 0.25
"""Cosine from which a fact is about a request with which it shares no word."""

K1, B = 1.2, 0.75
"""BM25's usual constants."""

_ASKING = frozenset(
    re.findall(
        r"\w+",
        "what who when where which why how do does did can could would should will i me you know tell remember say "
        "said told mention mentioned again any some there have has had call called name",
    )
)


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    fact: Fact
    score: float


def recall(
    request: str, facts: Sequence[Fact], asked: Vector | None = None, vectors: Mapping[int, Vector] | None = None
) -> list[Recalled]:
    """Those that a request is about, the likeliest first. asked: the request's vector; vectors: of facts by number, of
    length 1; without them, or where another embedder made them, words decide alone."""
    lexical = _lexical(request, facts)
    found: list[Recalled] = []
    for place, fact in enumerate(facts):
        vector = (vectors or {}).get(fact.number)
        near = (
            sum(a * b for a, b in zip(asked, vector, strict=True))
            if asked and vector and len(asked) == len(vector)
            else 0.0
        )
        if lexical[place] <= 0 and near < NEAR:
            continue
        score = near + WORDS * lexical[place] + RECENCY * (place + 1) / len(facts)
        found.append(Recalled(fact=fact, score=score))
    return sorted(found, key=lambda one: -one.score)


def _lexical(request: str, facts: Sequence[Fact]) -> list[float]:
    """BM25 of each fact, as a share of the most that the request could get."""
    if not facts:
        return []
    texts = [Counter(words_of(f"{fact.text} {fact.subject}")) for fact in facts]
    every = dict.fromkeys(words_of(request))
    wanted = [word for word in every if word not in _ASKING] or list(every)
    average = sum(sum(words.values()) for words in texts) / len(texts) or 1.0
    rare = {word: _rarity(sum(word in words for words in texts), len(texts)) for word in wanted}
    most = sum(rare.values()) * (K1 + 1) or 1.0
    scores: list[float] = []
    for words in texts:
        length = K1 * (1 - B + B * sum(words.values()) / average)
        scores.append(sum(rare[word] * words[word] * (K1 + 1) / (words[word] + length) for word in wanted) / most)
    return scores


def _rarity(having: int, of: int) -> float:
    return math.log(1 + (of - having + 0.5) / (having + 0.5))
