"""Reading JSON as small models break it: unescaped or missing quotes, missing commas, comments, brackets never closed.

The last resort of `lenient.loads`. One pass, no backtracking, bounded depth; never raises.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 60
_BLANK = re.compile(r"(?:\s+|//[^\n]*+|#[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_SEPARATORS = re.compile(r"(?:\s+|,|//[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "`": "`"}
_AFTER_VALUE = re.compile(r"\s*+(?:[,}\]]|\Z|[\"'][^\"'\n]{1,64}[\"']\s*+:)")
_AFTER_KEY = re.compile(r"\s*+[:=]")
_BARE_KEY = re.compile(r"[^\s:=,{}\[\]\"']{1,128}")
_BARE_VALUE = re.compile(r"(?:(?!//|/\*|\s[\"'][^\"'\n]{1,64}[\"']\s*+:)[^,{}\[\]\n])*+")
_WORDS = {"true": True, "false": False, "null": None, "none": None, "undefined": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class _Unreadable(Exception):
    pass


def repair(text: str, missing: Any) -> tuple[Any, int]:
    """The list or object that the text begins with, and how many characters it takes; `missing` and 0 if none."""
    if text[:1] not in ("{", "["):
        return missing, 0
    reading = _Repair(text)
    try:
        value = reading.value(0)
    except _Unreadable:
        return missing, 0
    return value, min(reading.at, len(text))


class _Repair:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise _Unreadable
        self._skip(_BLANK)
        character = self._text[self.at : self.at + 1]
        if character == "{":
            return self._object(depth)
        if character == "[":
            return self._array(depth)
        if character in _QUOTES and character:
            return self._string(_AFTER_VALUE)
        found = _BARE_VALUE.match(self._text, self.at)
        word = found.group() if found else ""
        self.at += len(word)
        return _bare(word.strip())

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        fields: dict[str, Any] = {}
        while True:
            self._skip(_SEPARATORS)
            character = self._text[self.at : self.at + 1]
            if character in ("", "}"):
                self.at += 1
                return fields
            before = self.at
            key = self._key(character)
            self._skip(_BLANK)
            if self._text[self.at : self.at + 1] not in (":", "="):
                return self._ended(fields, before)
            self.at += 1
            self._skip(_BLANK)
            if self.at < len(self._text):
                fields[key] = self.value(depth + 1)

    def _ended(self, fields: dict[str, Any], at: int) -> dict[str, Any]:
        """An object whose bracket was forgotten ends where no further key is."""
        if not fields:
            raise _Unreadable
        self.at = at
        return fields

    def _key(self, character: str) -> str:
        if character in _QUOTES:
            return self._string(_AFTER_KEY)
        found = _BARE_KEY.match(self._text, self.at)
        if found is None:
            raise _Unreadable
        self.at = found.end()
        return found.group()

    def _array(self, depth: int) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        while True:
            self._skip(_SEPARATORS)
            character = self._text[self.at : self.at + 1]
            if character in ("", "]"):
                self.at += 1
                return items
            before = self.at
            items.append(self.value(depth + 1))
            if self.at == before:
                raise _Unreadable

    def _string(self, after: re.Pattern[str]) -> str:
        """Ends at a quote after which the object or list goes on; other quotes are part of the text."""
        close = _QUOTES[self._text[self.at]]
        written: list[str] = []
        self.at += 1
        while self.at < len(self._text):
            character = self._text[self.at]
            if character == "\\" and self.at + 1 < len(self._text):
                escaped = self._text[self.at + 1]
                self.at += 2
                if escaped == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", self._text[self.at : self.at + 4]):
                    written.append(chr(int(self._text[self.at : self.at + 4], 16)))
                    self.at += 4
                else:
                    written.append(_ESCAPES.get(escaped, escaped))
                continue
            self.at += 1
            if character == close and after.match(self._text, self.at):
                break
            written.append(character)
        return "".join(written)

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self._text, self.at)
        if found:
            self.at = found.end()


def _bare(word: str) -> Any:
    if not word:
        return None
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        number = json.loads(word)
    except (ValueError, RecursionError):
        return word
    return number if isinstance(number, int | float) else word
