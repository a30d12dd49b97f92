"""keep_alive, as Ollama's clients write it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from smidgen.api.service import Keep
from smidgen.errors import InvalidRequest

UNITS: Mapping[str, float] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
LONGEST_S = 10 * 365 * 24 * 3600.0
"""Longer counts as for ever."""

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?")


def keep(given: float | str | None) -> Keep:
    """Seconds from a number of them or from a duration like "5m" or "1h30m"; below 0 for ever, 0 not at all. Raises
    InvalidRequest."""
    if given is None:
        return msgspec.UNSET
    seconds = given if isinstance(given, (int, float)) else _seconds(given.strip())
    if seconds is None or not math.isfinite(seconds):
        raise InvalidRequest(
            f"keep_alive is {str(given)[:40]!r}, which is no duration.",
            hint='Give a number of seconds, or a duration like "5m"; -1 for ever, 0 to unload.',
            param="keep_alive",
        )
    return None if seconds < 0 or seconds > LONGEST_S else float(seconds)


def _seconds(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    sign = -1.0 if text.startswith("-") else 1.0
    text = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    if not text or _PART.sub("", text):
        return None
    return sign * sum(float(part[1]) * UNITS[part[2]] for part in _PART.finditer(text))
