"""Plain requests in other languages, put into the English words that rules know: one table, phrase by phrase.

Only what the tools are asked for is in it: days, dates, times, sums, files. Whoever adds a language adds a table.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

_ENGLISH = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
TABLES = "languages.json"
"""Beside this module."""


class Language(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the months in their order, as they stand in dates; patterns with the English words they become, in
    the order in which they are replaced."""

    months: tuple[str, ...]
    phrases: tuple[tuple[str, str], ...]


_ONE_PHRASE = ("zh", "ja", "ru")
"""Their writing alone tells them from English."""
_QUOTED = re.compile(r"'[^'\n]*'(?!\w)|\"[^\"\n]*\"|“[^”\n]*”|«[^»\n]*»|\S*[\w-]\.[A-Za-z]{2,5}\b")


@cache
def languages() -> Mapping[str, Language]:
    """By their ISO 639 codes."""
    content = resources.files("smidgen.agent.rules").joinpath(TABLES).read_bytes()
    return msgspec.json.decode(content, type=dict[str, Language])


def in_english(text: str) -> tuple[str, ...]:
    """The request in English words, for each language of which at least two phrases stand in it, or a long one.
    What is quoted, and the names of files, stay as they are. Numbers and dates are read as those languages write
    them."""
    found: list[str] = []
    for code, language in languages().items():
        translated, phrases = _translated(text, code, language)
        if phrases >= (1 if code in _ONE_PHRASE else 2):
            found.append(translated)
    return tuple(found)


def _translated(text: str, code: str, language: Language) -> tuple[str, int]:
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\x00{len(kept) - 1}\x00"

    shorn = _QUOTED.sub(keep, text.replace("¿", "").replace("¡", "").replace("？", "?").replace("。", "."))
    shorn = _dates_and_numbers(shorn, code, language)
    phrases = 0
    for pattern, english in language.phrases:
        first = re.search(pattern, shorn, re.IGNORECASE)
        if first is not None:
            phrases += 2 if len(first[0].split()) > 2 else 1
            shorn = re.sub(pattern, english, shorn, flags=re.IGNORECASE)
    shorn = re.sub(r"\x00(\d+)\x00", lambda match: kept[int(match[1])], shorn)
    return " ".join(_without_accents(shorn).split()), phrases


def _dates_and_numbers(text: str, code: str, language: Language) -> str:
    text = re.sub(r"(\d{4})年(\d{1,2})月(\d{1,2})[日号]", r"\1-\2-\3", text)
    for number, month in enumerate(language.months):
        english = _ENGLISH[number]
        written = rf"(\d{{1,2}})\.?(?:º|er)?\s+(?:de\s+)?{month}\b(?:\s+(?:de\s+)?(\d{{4}}))?"
        text = re.sub(written, rf"\1 {english} \2", text, flags=re.IGNORECASE)
    if code in ("zh", "ja"):
        return text
    text = re.sub(r"\b(\d{1,2})[./](\d{1,2})[./](\d{4})\b", lambda m: f"{m[3]}-{int(m[2]):02}-{int(m[1]):02}", text)
    text = re.sub(r"(?<![\d.,-])(\d{1,3}(?:\.\d{3})+)(?![\d.])", lambda m: m[1].replace(".", ""), text)
    return re.sub(r"(?<![\d.,])(\d+),(\d+)(?![\d,])", r"\1.\2", text)


def _without_accents(text: str) -> str:
    spread = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(sign for sign in spread if unicodedata.category(sign) != "Mn"))
