"""Which part of a request each of several calls of one tool is about, and what follows for their arguments. Pure.

Written one after the other, the first call tends to swallow what belongs to the next: "trails near Bern with a lake,
and near Chur with a hut" becomes a list of both wishes for Bern. Values that tell the calls apart mark where each part
begins; lists and choices then take what stands in the part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import msgspec

from smidgen.agent.conformity import schema_problems
from smidgen.agent.ground import properties_of, required_of
from smidgen.agent.numbers import reads_as, said_numbers
from smidgen.agent.words import choices_of, holds
from smidgen.dialects.convert import types_of
from smidgen.messages import JsonSchema, ToolCall, ToolSpec

_BREAK = re.compile(
    r"[.;:?!]\s+|,\s+(?:(?:and|also|then|as well as)\s+)?|\s+(?:and|then|also|plus|as\s+well\s+as|followed\s+by)\s+",
    re.IGNORECASE,
)


def apportioned(calls: Sequence[ToolCall], specs: Mapping[str, ToolSpec], request: str) -> tuple[ToolCall, ...]:
    """The calls, in their order, with lists and choices taken from the parts they are about. specs: by tool."""
    found = list(calls)
    for name in dict.fromkeys(call.name for call in calls):
        places = [index for index, call in enumerate(calls) if call.name == name]
        parts = parts_of([calls[place] for place in places], request)
        if not parts:
            continue
        settled = _settled([calls[place] for place in places], specs[name], parts, request)
        for place, call in zip(places, settled, strict=True):
            found[place] = call
    return tuple(found)


def parts_of(calls: Sequence[ToolCall], request: str) -> tuple[str, ...]:
    """The part of the request that each call of one tool is about, in the calls' order; () if nothing tells."""
    if len(calls) < 2:
        return ()
    for name in calls[0].arguments:
        starts = [_start(call.arguments.get(name), request) for call in calls]
        if any(start < 0 for start in starts) or len(set(starts)) < len(starts):
            continue
        order = sorted(range(len(starts)), key=starts.__getitem__)
        if any(_is_list(calls[one].arguments[name], request, starts[one], starts[two]) for one, two in pairwise(order)):
            return ()  # what stands around a list is shared
        bounds = [_clause_start(request, starts[order[0]], 0)]
        for before, index in pairwise(order):
            bounds.append(_clause_start(request, starts[index], starts[before] + 1))
        bounds.append(len(request))
        parts = [""] * len(calls)
        for rank, index in enumerate(order):
            parts[index] = request[bounds[rank] : bounds[rank + 1]]
        return tuple(parts)
    return ()


def _is_list(value: Any, request: str, start: int, following: int) -> bool:
    """Does only "and" or a comma stand between a value and the next one?"""
    end = start + len(value) if isinstance(value, str) else start
    return re.fullmatch(r"[\d.]*\W*(?:(?:and|or|in|for|to|of)\W+)*", request[end:following], re.IGNORECASE) is not None


def _start(value: Any, request: str) -> int:
    if isinstance(value, str):
        return request.lower().find(value.lower()) if value.strip() else -1
    if isinstance(value, bool) or not isinstance(value, int | float):
        return -1
    places = [said.start for said in said_numbers(request) if reads_as(said.readings, value)]
    return places[0] if len(places) == 1 else -1


def _clause_start(request: str, at: int, lowest: int) -> int:
    ends = [found.end() for found in _BREAK.finditer(request, lowest, at)]
    return ends[-1] if ends else lowest


def _settled(calls: Sequence[ToolCall], spec: ToolSpec, parts: Sequence[str], request: str) -> list[ToolCall]:
    required = set(required_of(spec))
    found = list(calls)
    for name, schema in properties_of(spec).items():
        if "array" in types_of(schema):
            values = _lists([call.arguments.get(name) for call in calls], parts)
        else:
            values = _choices(schema, [call.arguments.get(name) for call in calls], parts, name not in required)
        if values is None:
            continue
        for index, value in enumerate(values):
            arguments = {key: item for key, item in found[index].arguments.items() if key != name}
            if value is not None:
                arguments[name] = value
            ordered = {key: arguments[key] for key in properties_of(spec) if key in arguments}
            if next(schema_problems(ordered, spec.parameters, ""), None) is None:
                found[index] = msgspec.structs.replace(found[index], arguments=ordered)
    return found


def _lists(lists: Sequence[Any], parts: Sequence[str]) -> list[Any] | None:
    """Of all texts listed, those that each part names, if every part names some."""
    items: list[str] = []
    for listed in lists:
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in cast(list[Any], listed)):
            return None
        items += cast(list[str], listed)
    shares = [[item for item in dict.fromkeys(items) if holds(part, item)] for part in parts]
    return shares if all(shares) else None


_EVERYDAY = frozenset(
    {"on", "in", "off", "to", "at", "up", "by", "as", "all", "any", "no", "yes", "none", "out", "over"}
)
"""Choices that a sentence has for other reasons."""


def _choices(schema: JsonSchema, values: Sequence[Any], parts: Sequence[str], optional: bool) -> list[Any] | None:
    """The one choice that each part names. A part that names none, after one that does, may mean the same; before it,
    it means none, if the argument is optional."""
    choices = choices_of(schema)
    if not choices or any(choice.lower() in _EVERYDAY for choice in choices):
        return None
    named = [[choice for choice in choices if holds(part, choice)] for part in parts]
    if any(len(found) > 1 for found in named) or not any(named):
        return None
    behind = any(holds(text, choice) for text in _BREAK.split(parts[-1])[1:] for choice in choices)
    settled: list[Any] = []
    for found, value in zip(named, values, strict=True):
        is_first = not any(item is not None for item in settled)
        settled.append(found[0] if found else None if optional and is_first and not behind else value)
    return settled
