"""Text from users, tools and models that spells a control token, kept from becoming one.

Each occurrence in a conversation is replaced by a mark before the template sees it, and put back afterwards as a
segment that is not special. Marks are made of two private-use characters around a number, and those characters are
chosen so that the conversation has none of them; a template may move, repeat or drop marks, but if it cuts one,
`restore` says so and the text is altered instead (`broken`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from smidgen.messages import Prompt, Segment

ZERO_WIDTH_SPACE = "\u200b"
_PRIVATE_USE = range(0xE000, 0xF8FF, 2)


class ControlTexts:
    """The control tokens' texts of one vocabulary, ready to be looked for. Longest match first, left to right."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = frozenset(text for text in texts if text)
        self._lengths: dict[str, list[int]] = {}
        for text in self.texts:
            lengths = self._lengths.setdefault(text[0], [])
            if len(text) not in lengths:
                lengths.append(len(text))
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)
        firsts = "".join(map(re.escape, self._lengths))
        self._starts = re.compile(f"[{firsts}]") if firsts else None

    def replace(self, text: str, with_: Callable[[str], str]) -> str:
        """The text with each control text replaced by `with_(control text)`."""
        if self._starts is None:
            return text
        done: list[str] = []
        copied = 0
        for match in self._starts.finditer(text):
            start = match.start()
            if start < copied:
                continue
            for length in self._lengths[match[0]]:
                found = text[start : start + length]
                if found in self.texts:
                    done += (text[copied:start], with_(found))
                    copied = start + length
                    break
        if not done:
            return text
        done.append(text[copied:])
        return "".join(done)


def broken(control_text: str) -> str:
    """The text with a zero-width space after its first character, so that no tokenizer takes it for a control token."""
    return control_text[0] + ZERO_WIDTH_SPACE + control_text[1:]


class Marks:
    """Marks handed out for one rendering. `everything` is all text that the template will see."""

    def __init__(self, everything: str) -> None:
        code = next(
            (code for code in _PRIVATE_USE if chr(code) not in everything and chr(code + 1) not in everything), 0
        )
        self.usable = code != 0
        self._open, self._close = chr(code), chr(code + 1)
        self._numbers: dict[str, int] = {}

    def mark(self, control_text: str) -> str:
        number = self._numbers.setdefault(control_text, len(self._numbers))
        return f"{self._open}{number}{self._close}"

    @property
    def used(self) -> bool:
        return bool(self._numbers)

    def restore(self, text: str) -> Prompt | None:
        """Segments of a rendered text, the marked parts not special. None if a mark was damaged."""
        texts = list(self._numbers)
        segments: list[Segment] = []
        pieces = re.split(f"{self._open}(\\d+){self._close}", text)
        for index, piece in enumerate(pieces):
            if index % 2:
                number = int(piece) if len(piece) < 7 else len(texts)
                if number >= len(texts):
                    return None
                segments.append(Segment(texts[number], special=False))
            elif self._open in piece or self._close in piece:
                return None
            elif piece:
                segments.append(Segment(piece))
        return tuple(segments)
