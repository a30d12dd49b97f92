"""WordPiece by BERT's own rules, for vocabularies of that kind.

llama.cpp's tokenizer takes a single character for each decomposed one and knows no combining marks, so it reads
decomposed accents, Hangul and others differently from what the models were trained with. The rules are those of the
tokenizers library (BertNormalizer, BertPreTokenizer, WordPiece): control characters go, Chinese characters and
punctuation are words of their own, an uncased vocabulary gets small letters without accents, and a word is the longest
pieces from its start, or unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

MAX_WORD = 100
"""Characters. Longer words are unknown, as in training."""

_ASCII_WORD = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
_ASCII_MARK = re.compile(r"[!-/:-@\[-`{-~]")
_ASCII_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])
_KEPT_CONTROLS = "\t\n\r"
_CONTROLS = ("Cc", "Cf", "Co", "Cs")  # not Cn: what this Python doesn't know yet is no control character
_CHINESE = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F)),
    *((0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


class WordPiece:
    """starts, continuations: ids of the pieces that begin a word, and of those that go on. unknown: id for words
    without pieces, or -1 to leave them out. An uncased vocabulary is one without a capital letter."""

    def __init__(self, starts: Mapping[str, int], continuations: Mapping[str, int], unknown: int) -> None:
        self._starts = starts
        self._continuations = continuations
        self._longest = max(map(len, (*starts, *continuations)), default=0)
        self._unknown = [unknown] if unknown >= 0 else []
        self.uncased = not any(piece != piece.lower() for piece in starts)

    def tokens(self, text: str) -> list[int]:
        found: list[int] = []
        for word in words(text, uncased=self.uncased):
            found += self._pieces(word)
        return found

    def _pieces(self, word: str) -> list[int]:
        if len(word) > MAX_WORD:
            return self._unknown
        pieces: list[int] = []
        known, start = self._starts, 0
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = known.get(word[start:end])
                if piece is not None:
                    break
            else:
                return self._unknown
            pieces.append(piece)
            known, start = self._continuations, end
        return pieces


def words(text: str, *, uncased: bool) -> Iterator[str]:
    """The words and punctuation marks of a text, normalised."""
    if text.isascii():
        plain = text.translate(_ASCII_CONTROLS)
        return iter(_ASCII_WORD.findall(plain.lower() if uncased else plain))
    if uncased:
        text = unicodedata.normalize("NFD", _cleaned(text))
        text = "".join(letter.lower() for letter in text if unicodedata.category(letter) != "Mn")
    else:
        text = _cleaned(text)
    return _split(text)


def _cleaned(text: str) -> str:
    """Without control characters, and with blanks around Chinese ones."""
    kept: list[str] = []
    for letter in text:
        code = ord(letter)
        if letter in _KEPT_CONTROLS:
            kept.append(" ")
        elif code in (0, 0xFFFD) or unicodedata.category(letter) in _CONTROLS:
            continue
        elif any(first <= code <= last for first, last in _CHINESE):
            kept.append(f" {letter} ")
        else:
            kept.append(letter)
    return "".join(kept)


def _split(text: str) -> Iterator[str]:
    """At blanks, and around every punctuation mark."""
    word = ""
    for letter in text:
        is_mark = unicodedata.category(letter)[0] == "P" or bool(_ASCII_MARK.match(letter))
        if not is_mark and not letter.isspace():
            word += letter
            continue
        if word:
            yield word
        if is_mark:
            yield letter
        word = ""
    if word:
        yield word
