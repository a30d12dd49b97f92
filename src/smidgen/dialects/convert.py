"""Arguments as a model wrote them, turned into the types that the schema declares. Never raises; what can't be turned
is left as it is, for the check that follows to report."""

from __future__ import annotations

import json
from typing import Any, cast

from smidgen.messages import JsonSchema, ToolCall, ToolSpec

_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}


def convert_call(call: ToolCall, tools: tuple[ToolSpec, ...]) -> ToolCall:
    """The call with its arguments converted; as it was if the tool isn't known. Absent marks (null for an optional
    argument that allows none) are left out."""
    spec = next((tool for tool in tools if tool.name == call.name), None)
    if spec is None:
        return call
    properties = cast(dict[str, JsonSchema], spec.parameters.get("properties", {}))
    required = cast(list[str], spec.parameters.get("required", []))
    arguments: dict[str, Any] = {}
    for name, value in call.arguments.items():
        schema = properties.get(name, {})
        if value is None and name not in required and "null" not in types_of(schema):
            continue
        arguments[name] = convert(value, schema)
    return ToolCall(name=call.name, arguments=arguments, id=call.id)


def convert(value: Any, schema: JsonSchema, depth: int = 0) -> Any:
    """The value as the schema wants it where that loses nothing, else unchanged."""
    if depth > 32:
        return value
    if "enum" in schema:
        return _enum(value, cast(list[Any], schema["enum"]))
    if "const" in schema:
        return _enum(value, [schema["const"]])
    schema = _option(value, schema)
    types = types_of(schema)
    if "array" in types and isinstance(value, list | tuple):
        items = cast(JsonSchema, schema.get("items", {}))
        return [convert(item, items, depth + 1) for item in cast(list[Any], value)]
    if "object" in types and isinstance(value, dict):
        properties = cast(dict[str, JsonSchema], schema.get("properties", {}))
        return {
            key: convert(item, properties.get(key, {}), depth + 1) for key, item in cast(dict[str, Any], value).items()
        }
    if not types or _fits(value, types):
        if types == {"number"} and isinstance(value, int) and not isinstance(value, bool):
            return _as_float(value)
        return cast(Any, value)
    if isinstance(value, str):
        return _from_text(value, types, schema, depth)
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return int(value)
    if types == {"boolean"} and isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if "string" in types and isinstance(value, bool | int | float):
        return json.dumps(value)
    if "array" in types and not isinstance(value, dict | list):
        return [convert(value, cast(JsonSchema, schema.get("items", {})), depth + 1)]
    return cast(Any, value)


def _option(value: Any, schema: JsonSchema) -> JsonSchema:
    """The one of several alternatives that fits the value's kind; the schema itself if it has none, or none fits."""
    options = cast(list[JsonSchema], schema.get("anyOf") or schema.get("oneOf") or [])
    for option in options:
        types = types_of(option)
        if isinstance(value, list | tuple):
            fits = "array" in types
        elif isinstance(value, dict):
            fits = "object" in types
        elif "enum" in option:
            fits = value in option["enum"]
        else:
            fits = _fits(value, types)
        if fits:
            return option
    return schema


def _as_float(value: int) -> Any:
    try:
        return float(value) if float(value) == value else value
    except OverflowError:
        return value


def types_of(schema: JsonSchema) -> set[str]:
    """The JSON types that a value may have; empty for any."""
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared}
    if isinstance(declared, list):
        return set(cast(list[str], declared))
    options = cast(list[JsonSchema], schema.get("anyOf") or schema.get("oneOf") or [])
    return {kind for option in options for kind in types_of(option)}


def _fits(value: Any, types: set[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, int):
        return bool(types & {"integer", "number"})
    if isinstance(value, float):
        return "number" in types
    if value is None:
        return "null" in types
    return isinstance(value, str) and "string" in types


def _enum(value: Any, options: list[Any]) -> Any:
    if value in options:
        return value
    written = str(value).strip().lower()
    near = [option for option in options if written in (str(option).lower(), json.dumps(option).lower())]
    return near[0] if len(near) == 1 else value


def _from_text(text: str, types: set[str], schema: JsonSchema, depth: int) -> Any:
    written = text.strip()
    if "boolean" in types and written.lower() in _TRUE | _FALSE:
        return written.lower() in _TRUE
    if types & {"integer", "number"}:
        digits = written.replace(",", "").replace("_", "")
        if len(digits) < 400:
            try:
                whole = int(digits)
                return whole if "integer" in types else _as_float(whole)
            except ValueError:
                pass
            try:
                number = float(digits)
                if "number" in types or number.is_integer():
                    return int(number) if "number" not in types else number
            except (ValueError, OverflowError):
                pass
    if types & {"array", "object"} and written[:1] in ("[", "{"):
        from smidgen.dialects.lenient import loads

        found = loads(written)
        if isinstance(found, list | dict):
            return convert(found, schema, depth + 1)
    if "array" in types and written:
        return [convert(text, cast(JsonSchema, schema.get("items", {})), depth + 1)]
    return text
