"""Key terms of a text by code: words and names that say what it is about. Pure.

They are weighed by how often they stand there, and more where they are names or stand early. No other texts are looked
at, so a word that is frequent everywhere counts as much as a rare one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from smidgen.patterns.chain.sentences import sentences

_LISTED = """
    a about above after again against all almost also although always am among an and another any are as at be
    because been before being below between both but by can cannot could did do does doing done down during each either
    else enough even ever every few first for from further get gets give given had has have having he her here hers him
    his how however i if in into is it its itself just last less let like made make makes many may me might more most
    much must my near neither never next no nor not now of off often on once one only onto or other others our out over
    own per rather really same see seen several shall she should since so some such than that the their them themselves
    then there these they this those three through thus to too two under until up upon us use used uses using very was
    way we well were what when where whether which while who whose why will with within without would yet you your
    second new old good great long little still called example instead usually way ways kind part parts thing things
    number numbers case cases day days year years time times
"""
_FUNCTION_WORDS = frozenset(_LISTED.split())
_WORD = re.compile(r"[^\W\d_][\w]*(?:['’-][^\W\d_]\w*)*")
_ENDINGS = ("ations", "ation", "ing", "ies", "ied", "ed", "es", "s", "ly", "e", "y")
EARLY = 0.25
"""Of the sentences: a term of theirs weighs half as much again; so does a name."""


def candidates(text: str, most: int = 24) -> tuple[str, ...]:
    """Terms as they stand in the text, the weightiest first, each stem once."""
    weights: dict[str, float] = {}
    forms: dict[str, Counter[str]] = {}
    lines = sentences(text)
    for number, line in enumerate(lines):
        for term, is_name in _terms(line):
            key = stemmed(term)
            weight = 1.0 + 0.5 * is_name + (0.5 if number < max(1, len(lines) * EARLY) else 0.0)
            weights[key] = weights.get(key, 0.0) + weight * (1 + 0.5 * term.count(" "))
            forms.setdefault(key, Counter())[term] += 1
    taken: dict[str, frozenset[str]] = {}
    for key in sorted(weights, key=lambda key: -weights[key]):  # of equal weight, as they come in the text
        if len(taken) == most:
            break
        words = frozenset(key.split())
        if not any(words <= other for other in taken.values()):
            taken[key] = words
    return tuple(forms[key].most_common(1)[0][0] for key in taken)


def kept(terms: Iterable[str], text: str) -> tuple[str, ...]:
    """Those that stand in a text, in any of their forms, all words of each."""
    there = stems(text)
    return tuple(term for term in terms if stems(term) <= there)


def chosen(by_code: Sequence[str], by_model: Sequence[str], most: int) -> tuple[str, ...]:
    """Half of them the weightiest, then those that the model finds most important, then the weightiest again."""
    half = by_code[: -(-most // 2)]
    return tuple(dict.fromkeys((*half, *by_model, *by_code)))[:most]


def stemmed(text: str) -> str:
    return " ".join(_stem(word.lower()) for word in _WORD.findall(text))


def stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word.lower()) for word in _WORD.findall(text))


def _terms(sentence: str) -> Iterable[tuple[str, bool]]:
    """A sentence's words, and runs of capitalised words as one; whether each is a name."""
    run: list[str] = []
    end = -1
    begin = len(sentence) - len(sentence.lstrip("\"'(“‘[ "))
    for match in _WORD.finditer(sentence):
        word = match[0]
        is_first = match.start() <= begin
        is_name = word[0].isupper() and not is_first and len(word) > 1
        if run and not (is_name and sentence[end : match.start()] == " "):
            yield from _as_name(run)
            run = []
        if is_name:
            run.append(word)
        elif len(word) > 2 and word.lower() not in _FUNCTION_WORDS:
            yield word, False
        end = match.end()
    yield from _as_name(run)


def _as_name(run: Sequence[str]) -> Iterable[tuple[str, bool]]:
    """A function word may belong to a name, as in "New York", but is none alone."""
    if any(word.lower() not in _FUNCTION_WORDS for word in run):
        yield " ".join(run), True


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
