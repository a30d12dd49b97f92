"""Where a call may begin: patterns that also know the beginnings of a beginning, for text that comes in pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


class Atom(str):
    """A regular expression for some characters. A repetition must be possessive (`\\s*+`), so that no text can make
    the search slow, and must exclude what may follow it."""


SPACE = Atom(r"\s*+")
BLANK = Atom(r"[ \t]*+")
QUOTE = Atom(r"[\"']")
NAME = Atom(r"[A-Za-z_][\w.]{0,127}+")
LINE_START = r"(?:(?<=\n)|\A)"

Part = str | Atom | tuple[str, ...]
"""A literal, an Atom, or several literals to choose from."""


class Opening:
    """Any of several sequences of parts.

    before: a lookbehind (regular expression) that must hold where the opening begins.
    """

    def __init__(self, *sequences: Sequence[Part], before: str = "", ignore_case: bool = False) -> None:
        flags = re.IGNORECASE if ignore_case else 0
        whole = "|".join("".join(_whole(part) for part in sequence) for sequence in sequences)
        begun = "|".join(_begun(sequence) for sequence in sequences)
        self._whole = re.compile(f"{before}(?:{whole})", flags)
        self._begun = re.compile(f"{before}(?:{begun})", flags)

    def find(self, text: str, position: int) -> re.Match[str] | None:
        return self._whole.search(text, position)

    def at(self, text: str, position: int) -> re.Match[str] | None:
        return self._whole.match(text, position)

    def begun(self, text: str, position: int) -> int | None:
        """Where the end of the text may be the first part of an opening; None if nowhere."""
        found = self._begun.search(text, position)
        return found.start() if found and found.start() < len(text) else None

    def begun_at(self, text: str, position: int) -> bool:
        return self._begun.match(text, position) is not None


@lru_cache(maxsize=256)
def opening(*sequences: tuple[Part, ...], before: str = "", ignore_case: bool = False) -> Opening:
    """The same as Opening, kept once made."""
    return Opening(*sequences, before=before, ignore_case=ignore_case)


def _whole(part: Part) -> str:
    if isinstance(part, Atom):
        return part
    choices = (part,) if isinstance(part, str) else part
    longest_first = sorted(dict.fromkeys(choices), key=len, reverse=True)
    return f"(?:{'|'.join(re.escape(choice) for choice in longest_first)})"


def _begun(sequence: Sequence[Part]) -> str:
    """A pattern for every proper beginning of the sequence, up to the end of the text."""
    rest = ""
    for index in range(len(sequence) - 1, -1, -1):
        part = sequence[index]
        following = f"|{rest}" if rest else ""
        whole = f"{_whole(part)}(?:\\Z{following})" if index < len(sequence) - 1 else ""
        rest = f"(?:{'|'.join(piece for piece in (_cut(part), whole) if piece) or '(?!)'})"
    return rest


def _cut(part: Part) -> str:
    if isinstance(part, Atom):
        return ""
    choices = (part,) if isinstance(part, str) else part
    pieces = dict.fromkeys(choice[:length] for choice in choices for length in range(1, len(choice)))
    return f"(?:{'|'.join(re.escape(piece) for piece in pieces)})\\Z" if pieces else ""
