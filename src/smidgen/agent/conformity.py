"""Whether values are what a JSON schema says, in words that a model can be told. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from smidgen.messages import JsonSchema


def schema_problems(value: Any, schema: JsonSchema, where: str) -> Iterator[str]:
    """What is wrong with a value, in words: types, required and unknown properties, enums, ranges, lengths."""
    if not isinstance(cast(Any, schema), dict):
        return  # `true` allows anything
    label = where or "the arguments"
    options = cast(list[JsonSchema], schema.get("anyOf") or schema.get("oneOf") or [])
    if options and all(next(schema_problems(value, option, where), None) for option in options):
        yield f"{label} is none of the kinds allowed"
        return
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{label} must be one of {', '.join(map(str, schema['enum']))}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{label} must be {schema['const']}"
    kinds = schema.get("type")
    allowed = [kinds] if isinstance(kinds, str) else cast(list[str], kinds or [])
    if allowed and not any(_is(value, kind) for kind in allowed):
        yield f"{label} must be of type {' or '.join(allowed)}"
        return
    if isinstance(value, dict):
        yield from _object_problems(cast(dict[str, Any], value), schema, where)
    elif isinstance(value, list):
        items = cast(list[Any], value)
        if not schema.get("minItems", 0) <= len(items) <= schema.get("maxItems", len(items)):
            yield f"{label} has {len(items)} items, which is too few or too many"
        for index, item in enumerate(items):
            yield from schema_problems(item, cast(JsonSchema, schema.get("items", {})), f"{where}[{index}]")
    elif isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{label} is too short or too long"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range_problems(value, schema, label)


def _object_problems(value: dict[str, Any], schema: JsonSchema, where: str) -> Iterator[str]:
    properties = cast(dict[str, JsonSchema], schema.get("properties", {}))
    for name in cast(list[str], schema.get("required", [])):
        if name not in value:
            yield f"{name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from schema_problems(item, properties[name], f"{where}.{name}" if where else name)
        elif schema.get("additionalProperties", True) is False:
            yield f"there is no parameter {name}"


def _range_problems(value: int | float, schema: JsonSchema, label: str) -> Iterator[str]:
    if value != value or value in (float("inf"), float("-inf")):
        yield f"{label} is not a number"
    elif "minimum" in schema and value < schema["minimum"]:
        yield f"{label} must be at least {schema['minimum']}"
    elif "maximum" in schema and value > schema["maximum"]:
        yield f"{label} must be at most {schema['maximum']}"
    elif "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{label} must be above {schema['exclusiveMinimum']}"
    elif "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"{label} must be below {schema['exclusiveMaximum']}"


def _same(one: Any, other: Any) -> bool:
    """As JSON: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        ones, others = cast(dict[str, Any], one), cast(dict[str, Any], other)
        return ones.keys() == others.keys() and all(_same(ones[key], others[key]) for key in ones)
    if isinstance(one, list) and isinstance(other, list):
        many, more = cast(list[Any], one), cast(list[Any], other)
        return len(many) == len(more) and all(map(_same, many, more))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "array": (list,),
        "object": (dict,),
        "null": (type(None),),
    }
    return isinstance(value, kinds.get(kind, ()))
