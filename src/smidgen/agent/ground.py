"""Grounding: what a call's values may be, from what the request says.

Before writing, the grammar of a numeric argument is narrowed to the numbers that were said; after writing, optional
arguments that nothing speaks for are left out. Evidence is weighed, not matched: a yes is implied by words about it, a
choice by any word of it, and a value that is the default anyway does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from smidgen.agent.numbers import Said, said_numbers
from smidgen.agent.rules.spans import files
from smidgen.agent.words import choices_of, holds, stems
from smidgen.dialects.convert import convert, types_of
from smidgen.messages import JsonSchema, ToolCall, ToolSpec

_DEFAULT = re.compile(
    r"\bdefaults?\s*(?:value\s*)?(?:is|are|to|of|=|:)?\s*(?:set to\s*)?"
    r"[\"'`]?(?P<value>-?\d+(?:\.\d+)?(?:e-?\d+)?|\w[\w/-]*)",
    re.IGNORECASE,
)
_MISSING: Any = object()
MOST_NUMBERS = 40
"""In a text; with more said, a number is not narrowed to them."""


def properties_of(spec: ToolSpec) -> dict[str, JsonSchema]:
    return cast(dict[str, JsonSchema], spec.parameters.get("properties", {}))


def required_of(spec: ToolSpec) -> list[str]:
    return [name for name in cast(list[str], spec.parameters.get("required", [])) if name in properties_of(spec)]


def is_numeric(schema: JsonSchema) -> bool:
    return bool(types_of(schema) & {"integer", "number"}) and "enum" not in schema


def default_of(schema: JsonSchema) -> Any:
    """What a parameter is if it's left out: the schema's default, or one its description tells; else a marker that
    equals nothing."""
    if "default" in schema:
        return schema["default"]
    told = _DEFAULT.search(str(schema.get("description", "")))
    return _MISSING if told is None else convert(told["value"], schema)


def numbers_missing(request: str, spec: ToolSpec) -> int:
    """How many more numbers the tool requires than the request says; 0 if it says enough."""
    needed = sum(is_numeric(properties_of(spec)[name]) for name in required_of(spec))
    return max(0, needed - len(said_numbers(request)))


def for_grammar(spec: ToolSpec, said: str) -> ToolSpec:
    """The tool as the grammar of its call shall have it, given what was said."""
    return with_required(named(narrowed(spec, said), said), mentioned(spec, said))


# --- before writing ---------------------------------------------------------------------------------------------------


def narrowed(spec: ToolSpec, request: str) -> ToolSpec:
    """The tool with its numeric parameters narrowed to the numbers said, for the grammar only. Where the request says
    fewer numbers than are required, nothing is narrowed: some then come from elsewhere."""
    said = said_numbers(request)
    if not 0 < len(said) <= MOST_NUMBERS or numbers_missing(request, spec):
        return spec
    required = set(required_of(spec))
    properties = {
        name: _narrowed(schema, said, () if name in required else (default_of(schema),))
        for name, schema in properties_of(spec).items()
    }
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": properties})


def _narrowed(schema: JsonSchema, said: Sequence[Said], others: Sequence[Any]) -> JsonSchema:
    if types_of(schema) == {"array"} and isinstance(schema.get("items"), dict):
        items = cast(JsonSchema, schema["items"])
        return {**schema, "items": _narrowed(items, said, ())}
    kinds = types_of(schema)
    if not is_numeric(schema) or kinds - {"integer", "number"} or schema.get("anyOf") or schema.get("oneOf"):
        return schema
    options: list[int | float] = [number for number in others if isinstance(number, int | float)]
    lowest, highest = schema.get("minimum", -float("inf")), schema.get("maximum", float("inf"))
    about = str(schema.get("description", ""))
    for reading in dict.fromkeys(reading for number in said for reading in _fitting(number, about)):
        if not lowest <= reading <= highest:
            continue
        if reading == reading.to_integral_value() and abs(reading) < 10**18:
            options.append(int(reading))
        if "number" in kinds:
            options.append(float(reading))
    kept = {key: value for key, value in schema.items() if key in ("description", "default")}
    return {**kept, "enum": options} if options else schema


def _fitting(said: Said, about: str) -> tuple[Decimal, ...]:
    """The readings that a parameter's description allows: of 5%, 5 where it asks for percent, 0.05 for a fraction."""
    is_percent = len(said.readings) == 2 and said.readings[1] * 100 == said.readings[0]
    if is_percent and re.search(r"\bdecimal|\bfraction|\b0\.\d", about, re.IGNORECASE):
        return said.readings[1:]
    if is_percent and re.search(r"percent|%", about, re.IGNORECASE):
        return said.readings[:1]
    return said.readings


_PATH = re.compile(r"(?:^|_)(?:path|file|file_?name|file_?path)$", re.IGNORECASE)


def named(spec: ToolSpec, said: str) -> ToolSpec:
    """The tool with its parameters for one file narrowed to the files that were named, if some were."""
    names = list(dict.fromkeys(span.text for span in files(said)))
    if not names:
        return spec
    properties = {
        name: {**schema, "enum": names}
        if _PATH.search(name) and types_of(schema) == {"string"} and "enum" not in schema
        else schema
        for name, schema in properties_of(spec).items()
    }
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": properties})


def mentioned(spec: ToolSpec, request: str) -> tuple[str, ...]:
    """Optional parameters with a choice that the request names, other than the default."""
    required = set(required_of(spec))
    found: list[str] = []
    for name, schema in properties_of(spec).items():
        if name in required:
            continue
        named = [choice for choice in choices_of(schema) if holds(request, choice)]
        if named and default_of(schema) not in named:
            found.append(name)
    return tuple(found)


def with_required(spec: ToolSpec, names: Sequence[str]) -> ToolSpec:
    """The tool with these parameters required too."""
    required = set(required_of(spec)) | set(names)
    ordered = [name for name in properties_of(spec) if name in required]
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "required": ordered})


# --- after writing ----------------------------------------------------------------------------------------------------


def without_inventions(call: ToolCall, spec: ToolSpec, request: str) -> tuple[ToolCall, tuple[str, ...]]:
    """The call without optional arguments that nothing in the request speaks for, and their names."""
    required = set(required_of(spec))
    dropped = tuple(
        name
        for name, value in call.arguments.items()
        if name not in required and name in properties_of(spec) and not _spoken_for(name, value, spec, request)
    )
    kept = {name: _pruned(value, request) for name, value in call.arguments.items() if name not in dropped}
    return msgspec.structs.replace(call, arguments=kept), dropped


def _pruned(value: Any, request: str) -> Any:
    """A list of texts without repetitions and without those that nobody said, if any was said."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in cast(list[Any], value)):
        return cast(Any, value)
    items = list(dict.fromkeys(cast(list[str], value)))
    return [item for item in items if is_said(item, request)] or items


def _spoken_for(name: str, value: Any, spec: ToolSpec, request: str) -> bool:
    schema = properties_of(spec)[name]
    if is_said(value, request):
        return True
    if value == default_of(schema):
        return False
    words = stems(request)
    about = stems(name) - stems(spec.name)
    if isinstance(value, bool) or not choices_of(schema):
        return bool(about & words)
    return bool(about & words) or any(stems(choice) & words for choice in choices_of(schema) if choice == value)


def _digits(text: str) -> set[str]:
    """Runs of digits without leading zeros: a date's parts, whatever its format."""
    return {digits.lstrip("0") for digits in re.findall(r"\d+", text)}


def is_said(value: Any, request: str) -> bool:
    """Does a value stand in the request: a number in any of its readings, a text by half of its words, a list by any
    of its items?"""
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, int | float):
        said = {reading for number in said_numbers(request) for reading in number.readings}
        return any(abs(float(reading) - value) <= 1e-9 * abs(value) for reading in said)
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
