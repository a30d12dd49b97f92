"""A text's sentences, and parts of it that end where sentences do. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_END = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+(?=[\"'(\[“‘]?[A-Z0-9])|\n\s*\n")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|approx|[A-Z])\.)[\"')\]”’]*$", re.IGNORECASE
)

_LOOKED_AT = 32
"""Characters before a possible end, for an abbreviation."""


def sentences(text: str) -> tuple[str, ...]:
    """In their order, each in a line. A blank line ends one too; abbreviations don't."""
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        before = text[max(start, match.start() - _LOOKED_AT) : match.start()]
        if "\n" not in match[0] and _ABBREVIATION.search(before.rstrip()):
            continue
        found.append(text[start : match.end()])
        start = match.end()
    found.append(text[start:])
    return tuple(line for piece in found if (line := " ".join(piece.split())))


def word_count(text: str) -> int:
    return len(text.split())


def parts(pieces: Sequence[str], tokens: Sequence[int], most: int) -> tuple[str, ...]:
    """Pieces joined to parts of about equal length, each of `most` tokens at most. tokens: of each piece; one that is
    longer than a part is split between words."""
    whole: list[tuple[str, int]] = []
    for piece, count in zip(pieces, tokens, strict=True):
        whole += [(piece, count)] if count <= most else _split(piece, count, most)
    total = sum(count for _, count in whole)
    aim = min(most, -(-total // -(-total // most))) if total else most
    found: list[list[str]] = [[]]
    length = 0
    for piece, count in whole:
        if found[-1] and (length + count > most or length >= aim):
            found.append([])
            length = 0
        found[-1].append(piece)
        length += count
    return tuple(" ".join(part) for part in found if part)


def _split(piece: str, tokens: int, most: int) -> list[tuple[str, int]]:
    """By its words, as if every word had its share of the tokens, with a margin for those that have more."""
    words = piece.split()
    count = min(len(words), -(-tokens * 3 // (most * 2)))
    size = -(-len(words) // max(1, count))
    chunks = [words[at : at + size] for at in range(0, len(words), size)]
    return [(" ".join(chunk), min(most, -(-tokens * len(chunk) // len(words)))) for chunk in chunks]
