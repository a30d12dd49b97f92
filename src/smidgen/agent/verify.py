"""Checks of calls by code: against their schema and the conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from smidgen.agent.conformity import schema_problems
from smidgen.agent.ground import default_of, properties_of, required_of
from smidgen.agent.numbers import known_numbers, readings, written
from smidgen.agent.route import evidence, examples_of
from smidgen.agent.settle import is_reading, is_said
from smidgen.agent.state import Verdict
from smidgen.agent.words import holds
from smidgen.messages import ToolCall, ToolSpec
from smidgen.tools import Effect
from smidgen.tools.words import spaced, stems

_ISO_DATE = re.compile(r"\b\d{4}-\d{1,2}-\d{1,2}\b")
_CONSTANTS = {Decimal(number) for number in (0, 1, 2, 3, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000, 1024, 3600)}
"""Numbers that arithmetic brings along without anybody saying them: hours of a day, percents of a whole."""


def check_call(call: ToolCall, spec: ToolSpec, effect: Effect, sources: Sequence[str], request: str = "") -> Verdict:
    """Is this call one of the tool's schema, and do its values come from the conversation?

    sources: what was said and what tools returned. A call with side effects must besides name something that was said.
    request: the user's last message; with it, numbers that only the user can say are asked for, not guessed again.
    """
    problem = next(schema_problems(call.arguments, spec.parameters, ""), "")
    if problem:
        return Verdict(ok=False, reason=problem)
    text = "\n".join(sources)
    unsaid = unsaid_texts(call, spec, request, text) or unresolved(call, spec, request, text)
    unsaid = unsaid or unknown_place(call, spec, request)
    unsaid = unsaid or (unsaid_content(call, spec, text) if effect == "write" else ())
    if unsaid:
        return Verdict(ok=False, reason=f"the request doesn't say {' and '.join(unsaid)}", missing=unsaid)
    copied = copied_example(call, spec, text)
    if copied:
        return Verdict(ok=False, reason=f"{copied} is only an example; use what the request says")
    literal = unsaid_literal(call, spec, text)
    if literal:
        return Verdict(ok=False, reason=f"nobody said '{literal}'; use the request's own words and numbers")
    typed = type_as_value(call, spec, text)
    if typed:
        return Verdict(ok=False, reason=f"{typed} is only a type; use the request's own words")
    stray = ungrounded_number(call, spec, text)
    if stray:
        missing = unsaid_numbers(call, spec, request, text)
        if missing:
            return Verdict(ok=False, reason=f"the request doesn't say {' and '.join(missing)}", missing=missing)
        return Verdict(ok=False, reason=f"{stray} doesn't stand in the request; use only its own numbers")
    if effect == "write" and not _names_something(call, spec, text):
        return Verdict(ok=False, reason="the request doesn't say what to change")
    return Verdict(ok=True)


def copied_example(call: ToolCall, spec: ToolSpec, text: str) -> str:
    """An example out of a parameter's description that was passed although nobody said its numbers; else ""."""
    known = known_numbers(text)
    properties = properties_of(spec)
    for name, value in call.arguments.items():
        is_example = isinstance(value, str) and value in examples_of(properties.get(name, {})) and value not in text
        if is_example and any(number not in known for number in numbers_in_value(value)):
            return str(value)
    return ""


def unsaid_literal(call: ToolCall, spec: ToolSpec, text: str) -> str:
    """A text within SQL that neither was said nor is told of the data: a placeholder, or made up; else ""."""
    for name, value in call.arguments.items():
        schema = properties_of(spec).get(name, {})
        if schema.get("format") != "sql" or not isinstance(value, str):
            continue
        told = f"{text} {schema.get('description', '')}".lower()
        for literal in re.findall(r"'([^'%]+)'", value):
            if len(literal) == 1 and not re.search(rf"(?<!\w){re.escape(literal)}(?!\w)", text):
                return literal
            if literal.lower() not in told and not stems(literal) & stems(told):
                return literal
    return ""


_TYPES = ({"string", "str"}, {"integer", "int"}, {"number", "float"}, {"boolean", "bool"}, {"array"}, {"object"})
_OF_DATA = re.compile(
    r"\b(?:columns?|fields?|variables?|properties|property|schemas?|tables?|data\s?types?)\b", re.IGNORECASE
)
"""Where types of data are what is spoken of."""


def type_as_value(call: ToolCall, spec: ToolSpec, text: str) -> str:
    """A type's name that was passed as a text although nobody said it and no description names it, as small models do
    with `type`; else ""."""
    if _OF_DATA.search(f"{spaced(spec.name)} {spec.description} {text}"):
        return ""
    properties = properties_of(spec)
    for name, value in call.arguments.items():
        schema = properties.get(name, {})
        if not isinstance(value, str) or "enum" in schema:
            continue
        names = next((names for names in _TYPES if value.lower() in names), None)
        if names and not any(holds(f"{text} {schema.get('description', '')}", other) for other in names):
            return value
    return ""


def ungrounded_number(call: ToolCall, spec: ToolSpec, text: str) -> str:
    """A number in the arguments that was neither said nor follows from what was said (percent as fraction, sign, unit
    constants), "" if there is none. Defaults and enum values count as said; so do dates, unless dates were said."""
    known = known_numbers(text)
    allowed = known | _CONSTANTS | {part for number in known for part in _derived(number)}
    properties = properties_of(spec)
    said_dates = set(_ISO_DATE.findall(text))
    for name, value in call.arguments.items():
        schema = properties.get(name, {})
        if value == default_of(schema) or value in cast(list[Any], schema.get("enum", [])):
            continue
        if schema.get("format") == "python":
            continue  # what a program counts and computes with is its own
        if is_reading(value, name, schema, text):
            continue
        for leaf in _leaves(value):
            if isinstance(leaf, str):
                if leaf in text:
                    continue
                leaf = leaf if said_dates else _ISO_DATE.sub("", leaf)
            for number in numbers_in_value(leaf):
                if number not in allowed:
                    return f"{number:f}"
    return ""


def unsaid_numbers(call: ToolCall, spec: ToolSpec, request: str, text: str) -> tuple[str, ...]:
    """Required numbers that were made up although nobody said any number at all; () if none, or if the request doesn't
    itself speak for the tool. "a" and "an" aren't taken for numbers. Dates and paths may be meant without being written
    and are never asked for."""
    if evidence(request, spec) <= 0 or known_numbers(text) - {Decimal(1)}:
        return ()
    properties = properties_of(spec)
    return tuple(
        name
        for name in required_of(spec)
        if properties.get(name, {}).get("type") in ("integer", "number")
        and "enum" not in properties[name]
        and ungrounded_number(ToolCall(name=call.name, arguments={name: call.arguments.get(name)}), spec, text)
    )


_DATUM = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}:\d\d.*)?|\d{1,2}:\d\d(?:\s?[ap]m)?|[A-Za-z]+[-_]?\d[\w-]*",
    re.IGNORECASE,
)
"""A date, a time, or an identifier such as XY1234."""
_FILE_NAME = re.compile(r"[\w./-]*\w\.[A-Za-z]\w{0,4}")


def unsaid_texts(call: ToolCall, spec: ToolSpec, request: str, text: str) -> tuple[str, ...]:
    """Required texts that only the user can know and that were made up: a date, a time or an identifier none of whose
    numbers was said, a file that wasn't named. () if the request doesn't itself speak for the tool."""
    if not request or evidence(request, spec) <= 0:
        return ()
    properties = properties_of(spec)
    said = {int(reading) for reading in readings(text) if reading == reading.to_integral_value()}
    said |= {int(digits) for digits in re.findall(r"\d{1,15}", text)}
    found: list[str] = []
    for name in required_of(spec):
        value, schema = call.arguments.get(name), properties.get(name, {})
        if not isinstance(value, str) or "enum" in schema or value.lower() in text.lower():
            continue
        digits = {int(run) for run in re.findall(r"\d{1,15}", value)}
        if (_DATUM.fullmatch(value) and not digits & said) or _FILE_NAME.fullmatch(value):
            found.append(name)
    return tuple(found)


_POINTS = re.compile(
    r"^(?:please\s+)?\w+\s+(?:it|that|this|them)\b|\b(?:for|about)\s+(?:it|that|this|them)(?=\s*(?:$|[.?!,]|please|in\b))",
    re.IGNORECASE,
)
"""A request whose object is a word that points at something."""


def unresolved(call: ToolCall, spec: ToolSpec, request: str, text: str) -> tuple[str, ...]:
    """Required texts that share no word with the request, where it only points at what is meant ("search for it") and
    nothing was said before it."""
    if text.strip() != request.strip() or not _POINTS.search(request.strip()):
        return ()
    said = stems(request) - stems(f"{spec.name} {spec.description}")
    properties = properties_of(spec)
    return tuple(
        name
        for name in required_of(spec)
        if isinstance(value := call.arguments.get(name), str)
        and "enum" not in properties.get(name, {})
        and not stems(value) & said
        and not re.search(r"\d", value)
    )


_OWN_PLACE = re.compile(
    r"\b(?:at|in|for|near)\s+(?:my|our|his|her|their)\s+(?:\w+['’]s\s+)?"
    r"(?:\w+['’]s(?=\s*(?:$|[?.!,]))|place|house|home|flat|town|city|village|country|office|hotel)\b",
    re.IGNORECASE,
)
_PLACES = frozenset({"timezone", "time_zone", "location", "place", "city", "town", "country"})


def unknown_place(call: ToolCall, spec: ToolSpec, request: str) -> tuple[str, ...]:
    """The parameter for a place that the call leaves out, where the request names one that only the user knows ("at my
    sister's place") and the tool requires nothing else."""
    if not _OWN_PLACE.search(request):
        return ()
    properties = properties_of(spec)
    places = [name for name in properties if name.lower() in _PLACES]
    others = set(required_of(spec)) - set(places)
    return () if others or set(places) & set(call.arguments) else tuple(places[:1])


def unsaid_content(call: ToolCall, spec: ToolSpec, text: str) -> tuple[str, ...]:
    """Required texts of a tool that changes something, of which no word was said: what to write can't be made up from
    nothing. Names of files don't count as said, nor do the tool's own words."""
    said = stems(_FILE_NAME.sub(" ", text))
    own = stems(f"{spec.name} {spec.description}")
    found: list[str] = []
    for name in required_of(spec):
        value = call.arguments.get(name)
        if not isinstance(value, str) or _FILE_NAME.fullmatch(value) or value.lower() in text.lower():
            continue
        words = stems(value) - own - stems(name)
        if not words & said and len(value.split()) > 1:
            found.append(name)
    return tuple(found)


def numbers_in_value(value: Any) -> Iterator[Decimal]:
    if isinstance(value, str):
        yield from written(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            yield abs(Decimal(repr(value)))
        except InvalidOperation:
            return


def _derived(number: Decimal) -> Iterable[Decimal]:
    fraction = number / 100
    return (fraction, abs(1 - fraction), 1 + fraction, 100 - number, 100 + number)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for item in cast(dict[str, Any], value).values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _leaves(item)
    else:
        yield value


def _names_something(call: ToolCall, spec: ToolSpec, text: str) -> bool:
    """Was the first required argument said: a text as it is, capitals aside, all else in any reading?"""
    required = required_of(spec)
    if not required:
        return True
    target = call.arguments.get(required[0])
    if isinstance(target, str):
        return bool(target.strip()) and target.strip().lower() in text.lower()
    return isinstance(target, bool) or is_said(target, text)
