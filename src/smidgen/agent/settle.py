"""Grounding after a call is written: numbers as the parameter asks for them, and no argument that nothing speaks for.

Evidence is weighed, not matched: a yes is implied by words about it, a choice by any word of it, and a value that is
the default anyway does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, cast

import msgspec

from smidgen.agent.ground import UNIT_NAME, about_of, default_of, fitting, properties_of, required_of
from smidgen.agent.measures import measures_other, units_like
from smidgen.agent.numbers import is_ordinal, reads_as, said_numbers
from smidgen.agent.words import choices_of, holds
from smidgen.dialects.convert import types_of
from smidgen.messages import JsonSchema, ToolCall, ToolSpec
from smidgen.tools.words import spaced, stems


def without_inventions(
    call: ToolCall, spec: ToolSpec, request: str, last: str | None = None
) -> tuple[ToolCall, tuple[str, ...]]:
    """The call without optional arguments that nothing in the request speaks for, and their names. last: the user's
    last message, if `request` holds more than that."""
    required = set(required_of(spec))
    taken = [value for name, value in call.arguments.items() if name in required]
    dropped = tuple(
        name
        for name, value in call.arguments.items()
        if name not in required
        and name in properties_of(spec)
        and (not _spoken_for(name, value, spec, request) or _is_taken(name, value, taken, spec, request))
    )
    kept = {
        name: _pruned(as_asked(value, name, properties_of(spec).get(name, {}), request), request)
        for name, value in call.arguments.items()
        if name not in dropped
    }
    return msgspec.structs.replace(call, arguments=_facing(kept, request if last is None else last)), dropped


_START = frozenset({"from", "start", "origin", "source", "departure", "beginning", "begin"})
_END = frozenset({"to", "end", "destination", "target", "arrival", "goal"})


def _facing(arguments: Mapping[str, Any], request: str) -> dict[str, Any]:
    """Where a request says "from A to B", and nowhere "from B" or "to A", and the call goes from B to A, the other way
    round."""
    texts = {name: set(spaced(name).lower().split()) for name, value in arguments.items() if isinstance(value, str)}
    turned = dict(arguments)
    for start, end in product(texts, texts):
        heads, tails = texts[start] & _START, texts[end] & _END
        if not heads or not tails or texts[start] - heads != texts[end] - tails:
            continue
        one, other = (str(arguments[name]).split(",")[0] for name in (start, end))
        if not _says("from", one, request) and not _says("to", other, request) and _leads(other, one, request):
            turned[start], turned[end] = arguments[end], arguments[start]
    return turned


def _says(word: str, place: str, request: str) -> bool:
    return re.search(rf"\b{word}\s+(?:the\s+|my\s+)?{re.escape(place)}(?!\w)", request, re.IGNORECASE) is not None


def _leads(start: str, end: str, request: str) -> bool:
    """Does a clause of the request say "from start ... to end"?"""
    article = r"\s+(?:the\s+|my\s+)?"
    said = rf"\bfrom{article}{re.escape(start)}(?!\w)[^.;?!]{{0,60}}\bto{article}{re.escape(end)}(?!\w)"
    return re.search(said, request, re.IGNORECASE) is not None


def as_asked(value: Any, name: str, schema: JsonSchema, text: str) -> Any:
    """A number as the parameter asks for it, where it was copied as the text has it: 5 of "5ft 10in" as 70 inches. In
    lists too. Where the text has the number twice, and only one of them is read otherwise, it stays."""
    about = about_of(name, schema)
    return _as_asked(value, "integer" in types_of(schema), about, text)


def _as_asked(value: Any, whole: bool, about: str, text: str) -> Any:
    if isinstance(value, list):
        return [_as_asked(item, False, about, text) for item in cast(list[Any], value)]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    read = [fitting(said, text, about) for said in said_numbers(text) if reads_as(said.readings, value)]
    if not read or any(reads_as(readings, value) for readings in read) or len(set(read)) > 1 or len(read[0]) != 1:
        return value
    (wanted,) = read[0]
    if whole and wanted != wanted.to_integral_value():
        return value
    return int(wanted) if wanted == wanted.to_integral_value() and (whole or isinstance(value, int)) else float(wanted)


def _is_taken(name: str, value: Any, taken: Sequence[Any], spec: ToolSpec, request: str) -> bool:
    """Is it a number that was said once and that a required argument has already? It can't be meant for both, unless
    the request speaks of this one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in taken:
        return False
    times = sum(reads_as(number.readings, value) for number in said_numbers(request))
    own = stems(name) - stems(spec.name)
    return times < 2 and not own & stems(request)


def _pruned(value: Any, request: str) -> Any:
    """A list of texts without repetitions and without those that nobody said, if any was said."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in cast(list[Any], value)):
        return cast(Any, value)
    items = list(dict.fromkeys(cast(list[str], value)))
    return [item for item in items if is_said(item, request)] or items


def _spoken_for(name: str, value: Any, spec: ToolSpec, request: str) -> bool:
    schema = properties_of(spec)[name]
    default = default_of(schema)
    if UNIT_NAME.search(name) and isinstance(value, str) and isinstance(default, str):
        if value in units_like(default, request):
            return True
        if not choices_of(schema) and measures_other(value, default):
            return False  # of a speed per hour, the hours said are not its unit
    if is_said(value, request) or is_reading(value, name, schema, request):
        return True
    if value == default:
        return True  # as if it were left out
    words = stems(request)
    about = stems(name) - stems(spec.name)
    if isinstance(value, bool) or not choices_of(schema):
        return bool(about & words)
    return bool(about & words) or any(stems(choice) & words for choice in choices_of(schema) if choice == value)


def is_reading(value: Any, name: str, schema: JsonSchema, text: str) -> bool:
    """Is it a number that was said, in the unit or the notation that the parameter asks for?"""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    about = about_of(name, schema)
    counted = (number for number in said_numbers(text) if not is_ordinal(text, number))
    return any(reads_as(fitting(number, text, about), value) for number in counted)


def _digits(text: str) -> set[str]:
    """Runs of digits without leading zeros: a date's parts, whatever its format."""
    return {digits.lstrip("0") for digits in re.findall(r"\d+", text)}


def is_said(value: Any, request: str) -> bool:
    """Does a value stand in the request: a number in any of its readings, a text by half of its words, a list by any
    of its items?"""
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, int | float):
        counted = (number for number in said_numbers(request) if not is_ordinal(request, number))
        said = {reading for number in counted for reading in number.readings}
        return reads_as(said, value)
    if isinstance(value, str):
        if holds(request, value):
            return True
        parts = stems(value)
        digits = _digits(value)
        if not parts and not digits:
            return False
        return 2 * len(parts & stems(request)) >= len(parts) and digits <= _digits(request)
    if isinstance(value, list):
        return any(is_said(item, request) for item in cast(list[Any], value))
    if isinstance(value, dict):
        fields = list(cast(dict[str, Any], value).values())
        return bool(fields) and any(is_said(field, request) for field in fields)
    return False
