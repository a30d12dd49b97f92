"""Whether one request wants a further call: what it says and no call holds yet, weighed with the model's likelihood.

Small models stop after the first call, whatever else was asked. What is left over tells better: numbers and names that
stand in the request and in no argument. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from smidgen.agent.ground import default_of, properties_of
from smidgen.agent.numbers import Said, reads_as, said_numbers
from smidgen.agent.rules.spans import dates
from smidgen.agent.words import choices_of, holds
from smidgen.messages import ToolCall, ToolSpec
from smidgen.models.tool_use import More
from smidgen.tools.words import stems

_QUOTED = re.compile(r"(?<!\w)['\"‘“](?P<text>[^'\"’”]{2,60})['\"’”](?!\w)")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w&.-]*(?:\s+(?:of\s+|the\s+)?[A-Z][\w&.-]*)*")
_LIST = re.compile(
    r"(?<![\w.%-])[\w.%-]+(?:,\s*|\s+)(?:and|or)\s+(?:(?:in|on|at|for|to|from|of|with|the)\s+)*(?P<after>[\w.%$-]+)",
    re.IGNORECASE,
)
_CUES = re.compile(
    r"\b(?:respectively|each|both|also|then|another|again|twice|as well as|followed by|additionally|repeat|same)\b",
    re.IGNORECASE,
)


_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_AGAIN = re.compile(
    r"\b(?:another|the other|(?:do|does|did|and) the same|same (?:for|again)|repeat|again)\b", re.IGNORECASE
)
_ASKS = re.compile(
    r"\?|\b(?:also|then|additionally|lastly|finally|after that|moreover"
    r"|and (?:what|how|when|where|who|find|get|calculate|tell|give|show|check|search|determine))\b",
    re.IGNORECASE,
)


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says and no call holds.

    numbers, names: how many. listed: second parts of "x and y". twins: those of the numbers and names that stand behind
    the same word as one that is held ("radius of 5 ... radius of 10"). tools: those that a part is about and that were
    not called. choices: those of the called tools' parameters that it names. counted: it counts more things than there
    are calls ("the second", "another"). asks: it asks for more than one thing. cue: it says that it wants several
    ("each", "respectively").
    """

    numbers: int = 0
    names: int = 0
    listed: int = 0
    twins: int = 0
    tools: int = 0
    choices: int = 0
    counted: bool = False
    asks: bool = False
    cue: bool = False


def leftover(
    request: str, calls: Sequence[ToolCall], about: Sequence[str] = (), tools: Sequence[ToolSpec] = ()
) -> Leftover:
    """about: the tools that the request's parts are nearest to. tools: those that are offered, for their choices."""
    values = [leaf for call in calls for leaf in _leaves(call.arguments)]
    held = {_float(value) for value in values if _is_number(value)}
    words = stems(" ".join(f"{call.name} {' '.join(map(str, call.arguments))}" for call in calls))
    text = " ".join(value for value in values if isinstance(value, str))
    words |= stems(text)
    held |= {float(reading) for said in said_numbers(text) for reading in said.readings}
    company = _company(request, values)
    numbers = [
        said.start for said in _amounts(request) if not any(_near(float(reading), held) for reading in said.readings)
    ]
    named = [(match.start(), match["text"]) for match in _QUOTED.finditer(request)]
    named += [(match.start(), match[0]) for match in _NAME.finditer(request)]
    names = [start for start, name in named if stems(name) and not stems(name) & words]
    listed = [match["after"] for match in _LIST.finditer(request)]
    unlisted = [item for item in listed if stems(item) and not stems(item) & words]
    called = {call.name for call in calls}
    return Leftover(
        numbers=len(numbers),
        names=len(names),
        listed=len(unlisted),
        twins=sum(_word_before(request, start) in company for start in (*numbers, *names)),
        tools=len(set(about) - called),
        choices=_choices_left(request, [tool for tool in tools if tool.name in called], values),
        counted=_counts(request) > len(calls),
        asks=len(_ASKS.findall(request)) >= max(len(calls), 1),
        cue=bool(_CUES.search(request)),
    )


def _choices_left(request: str, tools: Sequence[ToolSpec], values: Sequence[Any]) -> int:
    """Choices of these tools' parameters that the request names and no call holds; a default goes without saying."""
    held = {str(value).lower() for value in values}
    schemas = (schema for tool in tools for schema in properties_of(tool).values())
    named = {
        choice
        for schema in schemas
        for choice in choices_of(schema)
        if choice != default_of(schema) and holds(request, choice)
    }
    return sum(choice.lower() not in held for choice in named)


_NO_AMOUNT = re.compile(r"(?:\^\s?[-−]?|\d:)$")
"""Before an exponent, or the minutes of a time."""


def _amounts(text: str) -> list[Said]:
    """Numbers in digits that stand by themselves."""
    found = said_numbers(text)
    return [
        said
        for said in found
        if text[said.start].isdigit() and not _NO_AMOUNT.search(text, max(0, said.start - 4), said.start)
    ]


def _company(request: str, values: Sequence[Any]) -> set[str]:
    """The words before the values, where they stand in the request."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, str):
            at = request.lower().find(value.lower()) if value.strip() else -1
            found |= {_word_before(request, at)} if at >= 0 else set()
        elif _is_number(value):
            said = (said for said in said_numbers(request) if reads_as(said.readings, value))
            found |= {_word_before(request, number.start) for number in said}
    return found - {""}


def _word_before(request: str, at: int) -> str:
    words = re.findall(r"[\w$%]+", request[max(0, at - 40) : at].lower())
    return words[-1] if words else ""


def _counts(request: str) -> int:
    """How many things it counts, as far as it does: up to "the third", or two with "another"."""
    words = set(re.findall(r"[a-z]+", request.lower()))
    highest = max((index + 1 for index, word in enumerate(_ORDINALS) if word in words), default=0)
    return max(highest if highest > 1 else 0, 2 if _AGAIN.search(request) else 0)


def log_odds(left: Leftover, likelihood: float, more: More) -> float:
    """That a further call is wanted. likelihood: log-probability of its beginning less that of stopping."""
    return (
        more.intercept
        + more.likelihood * likelihood
        + more.numbers * min(left.numbers, 3)
        + more.names * min(left.names, 3)
        + more.listed * min(left.listed, 3)
        + more.twins * min(left.twins, 3)
        + more.tools * min(left.tools, 2)
        + more.choices * min(left.choices, 2)
        + more.counted * left.counted
        + more.asks * left.asks
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
    if (now.numbers, now.names, now.listed) != (then.numbers, then.names, then.listed):
        return True
    held = {str(value).lower() for other in before for value in _leaves(other.arguments)}
    texts = [value for value in _leaves(call.arguments) if isinstance(value, str)]
    return any(value.lower() not in held and holds(request, value) for value in texts)


def without_held(request: str, calls: Sequence[ToolCall], tool: str) -> str:
    """The request without the numbers that calls hold already, if what is left is just enough for further calls of the
    tool like its last one; else as it is."""
    last = next((call for call in reversed(calls) if call.name == tool), None)
    if last is None:
        return request
    taken = sum(_is_number(value) for value in last.arguments.values())
    within = [(span.start, span.end) for span in dates(request)]
    said = [number for number in _amounts(request) if not any(start <= number.start < end for start, end in within)]
    free = list(said)
    for value in (leaf for call in calls for leaf in _leaves(call.arguments) if _is_number(leaf)):
        used = next((number for number in free if reads_as(number.readings, value)), None)
        if used is not None:
            free.remove(used)  # a number said twice may be meant twice
    if not taken or not free or len(free) % taken or len(free) == len(said):
        return request
    masked = list(request)
    for number in said:
        if number not in free:
            masked[number.start : number.end] = " " * (number.end - number.start)
    return "".join(masked)


def without_others(request: str, focus: tuple[int, int], needed: int) -> str:
    """The request without the numbers outside a part of it, if the part says as many as are needed."""
    start, end = focus
    said = _amounts(request)
    if end <= start or sum(start <= number.start < end for number in said) < max(needed, 1):
        return request
    masked = list(request)
    for number in said:
        if not start <= number.start < end:
            masked[number.start : number.end] = " " * (number.end - number.start)
    return "".join(masked)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: float) -> float:
    """Whole numbers beyond all floats count as infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _near(number: float, held: set[float]) -> bool:
    return any(abs(number - other) <= 1e-9 * max(1.0, abs(number)) for other in held)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in cast(dict[str, Any], value).values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in cast(list[Any], value) for leaf in _leaves(item)]
    return [value]
