"""Which JSON Schemas can be checked in full: what can't is found when a check is made, not passed over. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

CHECKED_KEYWORDS = frozenset({
    "type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
    "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
})  # fmt: skip
ANNOTATIONS = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$comment",
})  # fmt: skip
TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})


def unchecked(schema: object) -> Iterator[str]:
    """Keywords that `schema_problems` doesn't heed, or not in this form."""
    if schema is True:
        return
    if not isinstance(schema, Mapping):
        yield f"{schema!r} as a schema"
        return
    told = cast("Mapping[str, Any]", schema)
    yield from (key for key in told if key not in CHECKED_KEYWORDS and key not in ANNOTATIONS)
    wrong = [key for key, has_form in _FORMS.items() if key in told and not has_form(told[key])]
    yield from (f"{key} = {told[key]!r}" for key in wrong)
    for part in _parts(told):
        yield from unchecked(part)


def _parts(schema: Mapping[str, Any]) -> Iterator[object]:
    """Schemas within it."""
    properties, options = schema.get("properties"), schema.get("anyOf")
    if isinstance(properties, Mapping):
        yield from cast("Mapping[str, object]", properties).values()
    if isinstance(options, list):
        yield from cast("list[object]", options)
    if "items" in schema:
        yield schema["items"]


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(cast("list[Any]", value))


def _are_types(value: object) -> bool:
    many = cast("list[Any]", value) if isinstance(value, list) else [value]
    return bool(many) and all(isinstance(one, str) and one in TYPES for one in many)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[Any]", value))


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_bound(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_FORMS: dict[str, Callable[[object], bool]] = {
    "type": _are_types,
    "enum": _is_list,
    "anyOf": _is_list,
    "properties": lambda value: isinstance(value, Mapping),
    "required": _are_names,
    "additionalProperties": lambda value: isinstance(value, bool),
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _is_count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_bound),
}
