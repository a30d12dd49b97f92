"""Bytes of the web to text, and text of the web to what can be shown: nothing invisible in it, and no tags."""

from __future__ import annotations

import codecs
import html
import re
import unicodedata

_META = re.compile(rb"""<meta[^>]{0,500}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE)
_META_WITHIN = 2048
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)
_SPACE = re.compile(r"\s+")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_LONGEST_RAW = 5000

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_AS_CP1252 = {"ascii", "iso8859-1"}
"""What is said so is cp1252 on the web, which holds them (WHATWG Encoding, 4.2)."""
_CODEC = re.compile(
    r"utf-8|utf-8-sig|utf-16(?:-le|-be)?|iso8859-\d+|cp125\d|cp866|cp874|cp932|cp949|koi8-[rut]|mac-\w+|gb2312|gbk|gb18030"
    r"|big5|big5hkscs|shift_jis|euc_jp|iso2022_jp|euc_kr|tis-620"
)
"""Python has codecs that are no charsets, and some that are slow on purpose-made bytes; these are charsets."""


def decoded(data: bytes, charset: str = "", *, markup: bool = True) -> str:
    """By the byte order mark, else `charset`, else (markup) a meta element, else UTF-8. What is no text there is shown
    as U+FFFD."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    codec = _codec(charset)
    if not codec and markup and (declared := _META.search(data[:_META_WITHIN])):
        codec = _codec(declared[1].decode("ascii"))
        if codec.startswith("utf-16"):  # or it couldn't have been read
            codec = "utf-8"
    return data.decode(codec or "utf-8", "replace").removeprefix("\ufeff")


def _codec(label: str) -> str:
    try:
        name = codecs.lookup(label).name if label else ""
    except LookupError:
        return ""
    if name in _AS_CP1252:
        return "cp1252"
    return name if _CODEC.fullmatch(name) else ""


def without_controls(text: str) -> str:
    """Without control and format characters, which can hide text from the reader or turn it round; lines and tabs stay,
    and so do the joiners that some scripts and emoji need."""
    kept = "".join(
        character
        for character in text.replace("\r\n", "\n").replace("\r", "\n")
        if character in "\n\t\u200c\u200d" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )
    return _BLANK_LINES.sub("\n\n", kept).strip()


def one_line(markup: str, longest: int) -> str:
    """A title or snippet on one line: tags out, entities decoded, at most `longest` characters."""
    plain = without_controls(html.unescape(_TAG.sub("", markup[:_LONGEST_RAW])))
    line = _SPACE.sub(" ", plain).strip()
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"
