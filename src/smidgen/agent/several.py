"""Whether one request wants a further call: what it says and no call holds yet, weighed with the model's likelihood.

Small models stop after the first call, whatever else was asked. What is left over tells better: numbers and names that
stand in the request and in no argument. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from smidgen.agent.numbers import said_numbers
from smidgen.agent.words import stems
from smidgen.messages import ToolCall
from smidgen.models.tool_use import More

_QUOTED = re.compile(r"(?<!\w)['\"‘“](?P<text>[^'\"’”]{2,60})['\"’”](?!\w)")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w&.-]*(?:\s+(?:of\s+|the\s+)?[A-Z][\w&.-]*)*")
_LIST = re.compile(
    r"[\w.%-]+(?:,\s*|\s+)(?:and|or)\s+(?:(?:in|on|at|for|to|from|of|with|the)\s+)*(?P<after>[\w.%$-]+)", re.IGNORECASE
)
MAX_LISTED = 8
_CUES = re.compile(
    r"\b(?:respectively|each|both|also|then|another|again|twice|as well as|followed by|additionally|repeat|same)\b",
    re.IGNORECASE,
)


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """How many numbers and names no call holds, how many of the second parts of "x and y", whether the request says
    that it wants several things, and how many tools that a part of it is about were not called."""

    numbers: int = 0
    names: int = 0
    listed: int = 0
    cue: bool = False
    tools: int = 0


def leftover(request: str, calls: Sequence[ToolCall], about: Sequence[str] = ()) -> Leftover:
    """about: the tools that the request's parts are nearest to."""
    values = [leaf for call in calls for leaf in _leaves(call.arguments)]
    held = {float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)}
    words = stems(" ".join(f"{call.name} {' '.join(map(str, call.arguments))}" for call in calls))
    text = " ".join(value for value in values if isinstance(value, str))
    words |= stems(text)
    held |= {float(reading) for said in said_numbers(text) for reading in said.readings}
    numbers = [
        said
        for said in said_numbers(request)
        if request[said.start].isdigit() and not any(_near(float(reading), held) for reading in said.readings)
    ]
    names = [*(match["text"] for match in _QUOTED.finditer(request)), *(m[0] for m in _NAME.finditer(request))]
    unnamed = [name for name in names if stems(name) and not stems(name) & words]
    listed = [match["after"] for match in _LIST.finditer(request)]
    unlisted = [item for item in listed if stems(item) and not stems(item) & words]
    called = {call.name for call in calls}
    return Leftover(
        numbers=len(numbers),
        names=len(unnamed),
        listed=len(unlisted),
        cue=bool(_CUES.search(request)),
        tools=len(set(about) - called),
    )


def log_odds(left: Leftover, likelihood: float, more: More) -> float:
    """That a further call is wanted. likelihood: log-probability of its beginning less that of stopping."""
    return (
        more.intercept
        + more.likelihood * likelihood
        + more.numbers * min(left.numbers, 3)
        + more.names * min(left.names, 3)
        + more.listed * min(left.listed, 3)
        + more.tools * min(left.tools, 2)
        + more.cue * left.cue
    )


def adds_something(call: ToolCall, before: Sequence[ToolCall], request: str, about: Sequence[str] = ()) -> bool:
    """Is it another call than those before, and does it hold something of the request that they don't, or is its tool
    one that a part of the request is about?"""
    if any(call.name == other.name and call.arguments == other.arguments for other in before):
        return False
    if call.name in about and all(call.name != other.name for other in before):
        return True
    now, then = leftover(request, [*before, call]), leftover(request, before)
    return (now.numbers, now.names, now.listed) != (then.numbers, then.names, then.listed)


def siblings(call: ToolCall, before: Sequence[ToolCall], request: str) -> ToolCall | None:
    """A call like `call` for the next thing of a list that the request gives: "for 10, 20 and 30 years" after the call
    for 10. None if none of its values stands in such a list, or all of the list is held."""
    for name, value in call.arguments.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        for other in _listed_with(value, request):
            changed = msgspec.structs.replace(call, arguments={**call.arguments, name: other})
            if not any(changed == known for known in before):
                return changed
    return None


_NUMBER = r"[$€£]?\d[\d.]*%?"
_NUMBERS = re.compile(rf"{_NUMBER}(?:,\s*{_NUMBER})*,?\s*(?:and|or|&)\s+{_NUMBER}", re.IGNORECASE)
_NEXT = re.compile(
    r"['\"’”]?(?:,\s*(?:and\s+|or\s+)?|\s+(?:and|or|&)\s+)(?:(?:in|on|at|for|to|from|of|with|the)\s+)*['\"‘“]?"
    r"(?P<item>\w[\w'’.&-]*(?:\s+(?!(?:and|or|for|in|with|at|on|to|from|of|by|using|as|is|are|then|also)\b)[\w'’&-]+){0,3})",
    re.IGNORECASE,
)


def _listed_with(value: str | int | float, request: str) -> list[str | int | float]:
    """What stands in a list with a value, as values of the same type: in "for Rome, New York and Lima" the names after
    "Rome"; of numbers all."""
    if isinstance(value, str):
        at = request.lower().find(value.lower()) if value.strip() else -1
        found: list[str | int | float] = []
        end = at + len(value)
        while at >= 0 and len(found) < MAX_LISTED and (following := _NEXT.match(request, end)):
            item = following["item"].rstrip(".'’")
            if value[:1].isupper() and not item[:1].isupper():
                break  # after a name, what is no name is no member of its list
            found.append(item)
            end = following.end()
        return found
    for series in _NUMBERS.finditer(request):
        said = said_numbers(series[0])
        fractions = all(len(number.readings) > 1 for number in said) and isinstance(value, float) and abs(value) < 1
        read = [float(number.readings[-1 if fractions else 0]) for number in said]
        if float(value) in read:
            return [int(number) if isinstance(value, int) and number.is_integer() else number for number in read]
    return []


def _near(number: float, held: set[float]) -> bool:
    return any(abs(number - other) <= 1e-9 * max(1.0, abs(number)) for other in held)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in cast(dict[str, Any], value).values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in cast(list[Any], value) for leaf in _leaves(item)]
    return [value]
