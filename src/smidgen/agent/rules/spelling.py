"""Misspelt and abbreviated words that rules know, put right; texts in quotes, names of files and numbers stay."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import msgspec

WORDS = "spelling.json"
"""Beside this module."""


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """short: abbreviations and what they stand for. known: words that rules look for. right: words that are right,
    though one letter away from one of those."""

    short: dict[str, str]
    known: frozenset[str]
    right: frozenset[str]


@cache
def words() -> Words:
    return msgspec.json.decode(resources.files("smidgen.agent.rules").joinpath(WORDS).read_bytes(), type=Words)


_KEPT = re.compile(
    r"'[^'\n]*'(?!\w)|\"[^\"\n]*\"|‘[^’\n]*’|“[^”\n]*”|\S*[\w-]\.[A-Za-z]\w*\S*|\S*[/\\@_]\S*|[^\W\d_]+(?:['’][^\W\d_]+)?",
    re.UNICODE,
)
SHORTEST = 4


def corrected(text: str) -> str:
    """The same text where nothing is misspelt that a rule would need."""
    return _KEPT.sub(_word, _decimal_commas(text))


def _word(match: re.Match[str]) -> str:
    word = match[0]
    if not re.fullmatch(r"[A-Za-z]+", word):
        return word
    lower, listed = word.lower(), words()
    if lower in listed.short:
        return listed.short[lower]
    if lower in listed.known or lower in listed.right or len(lower) < SHORTEST or word[0].isupper():
        return word
    return _nearest(lower) or word


@cache
def _nearest(word: str) -> str | None:
    """The only known word that is one slip away: a letter left out, doubled, wrong, or two in the wrong order; and
    begins alike, or ends alike."""
    near = [known for known in words().known if abs(len(known) - len(word)) <= 1 and _one_slip(word, known)]
    return near[0] if len(near) == 1 else None


def _one_slip(word: str, known: str) -> bool:
    if len(word) == len(known):
        wrong = [i for i, (a, b) in enumerate(zip(word, known, strict=True)) if a != b]
        if len(wrong) == 1:
            return len(known) > SHORTEST
        return (
            len(wrong) == 2 and wrong[1] == wrong[0] + 1
            and word[wrong[0]] == known[wrong[1]] and word[wrong[1]] == known[wrong[0]]
        )  # fmt: skip
    short, long = sorted((word, known), key=len)
    return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def _decimal_commas(text: str) -> str:
    """ "3,5 times 4": a comma before one or two digits, in a text without a decimal point, outside of brackets."""
    if "." in re.sub(r"\.(?!\d)", "", text) or re.search(r"[(\[]", text):
        return text
    return re.sub(r"(?<![\d,])(\d+),(\d{1,2})(?![\d,])", r"\1.\2", text)
