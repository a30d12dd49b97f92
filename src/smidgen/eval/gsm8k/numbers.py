"""The number that a text comes to, read leniently. Pure."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])-?\.\d+")
_FRACTION = re.compile(r"(-?)(?:\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}|(\d+)\s*/\s*(\d+))")
_SAID = re.compile(r"(?:\banswer(?:\s+is\b|\s*:)|####)\s*(.{1,60})", re.IGNORECASE)
_SPACES = re.compile(r"\\[,;:! ]")
SAME = 1e-6
"""Relative difference up to which two numbers are one."""


def number_in(text: str, *, whole: bool = True) -> float | None:
    """In the last box; else what is last called the answer; else the last number of all. whole: False for a text that
    was cut, whose last number is none."""
    box = _boxed(text)
    if box is not None and (value := _first(box)) is not None:
        return value
    for said in reversed(_SAID.findall(text)):
        if (value := _first(said)) is not None:
            return value
    found = _NUMBER.findall(_plain(text)) if whole else []
    return _value(found[-1]) if found else None


def same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME, abs_tol=SAME)


def _boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}`, up to its own brace."""
    _, mark, rest = text.rpartition("\\boxed")
    rest = rest.lstrip()
    if not mark or not rest.startswith("{"):
        return None
    depth = 0
    for place, sign in enumerate(rest):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return rest[1:place]
    return rest[1:]


def _first(text: str) -> float | None:
    """A fraction, if the text begins with one; else its first number."""
    plain = _plain(text)
    fraction = _FRACTION.match(plain.lstrip(" *:("))
    if fraction is not None:
        sign, above, below = fraction[1], fraction[2] or fraction[4], fraction[3] or fraction[5]
        return float(f"{sign}{above}") / float(below) if float(below) else None
    found = _NUMBER.search(plain)
    return _value(found[0]) if found else None


def _plain(text: str) -> str:
    """Without what LaTeX puts between digits, and without currency signs before them."""
    return _SPACES.sub("", text.replace("{,}", ",")).replace("\\$", "").replace("$", "")


def _value(written: str) -> float | None:
    value = float(written.replace(",", ""))
    return value if math.isfinite(value) else None
