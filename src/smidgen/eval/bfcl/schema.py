"""BFCL's function descriptions as tools. Pure.

It names types as Python and Java do (`dict`, `float`, `tuple`, `any`) in what is else JSON Schema, and functions with
dots (`math.factorial`), which few ways of calling tools allow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from smidgen.messages import JsonSchema, ToolCall, ToolSpec

_TYPES = {
    "string": "string",
    "str": "string",
    "char": "string",
    "integer": "integer",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "number": "number",
    "boolean": "boolean",
    "bool": "boolean",
    "array": "array",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "dict": "object",
    "object": "object",
    "hashmap": "object",
    "null": "null",
}
_KEPT = ("description", "enum", "format", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
"""Keywords that mean the same in JSON Schema; others, such as `optional`, aren't part of it and go."""


def json_schema(described: Mapping[str, Any]) -> JsonSchema:
    """A parameter or a whole parameter list. A type it doesn't know, `any` among them, becomes no type at all, which
    allows every value. A default of null only says that the parameter may be left out, and goes."""
    schema: JsonSchema = {}
    kind = _TYPES.get(str(described.get("type", "")).lower())
    if kind is not None:
        schema["type"] = kind
    for keyword in _KEPT:
        if keyword in described:
            schema[keyword] = described[keyword]
    if described.get("default") is not None:
        schema["default"] = described["default"]
    for keyword in ("items", "additionalProperties"):
        if isinstance(described.get(keyword), dict):
            schema[keyword] = json_schema(cast(dict[str, Any], described[keyword]))
    properties = described.get("properties")
    if isinstance(properties, dict):
        known = cast(dict[str, dict[str, Any]], properties)
        schema["properties"] = {name: json_schema(entry) for name, entry in known.items()}
        schema["required"] = [name for name in cast(list[str], described.get("required") or []) if name in known]
    return schema


def tool_names(functions: Sequence[str]) -> tuple[str, ...]:
    """A tool name (letters, digits, underscores) for each function name; different for different ones."""
    names: list[str] = []
    for function in functions:
        plain = re.sub(r"[^0-9A-Za-z_]", "_", function) or "_"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 2
        while name in names or (name != function and name in functions):
            name, number = f"{plain}_{number}", number + 1
        names.append(name)
    return tuple(names)


def tools(functions: Sequence[Mapping[str, Any]]) -> tuple[ToolSpec, ...]:
    names = tool_names([str(function["name"]) for function in functions])
    return tuple(
        ToolSpec(
            name=name,
            description=str(function.get("description", "")),
            parameters={"properties": {}, **json_schema(function.get("parameters") or {}), "type": "object"},
        )
        for name, function in zip(names, functions, strict=True)
    )


def checkable(calls: Sequence[ToolCall], functions: Sequence[Mapping[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Calls as the checker reads them, `[{function: {argument: value}}]`, with the functions' own names."""
    originals = [str(function["name"]) for function in functions]
    back = dict(zip(tool_names(originals), originals, strict=True))
    return [{back.get(call.name, call.name): dict(call.arguments)} for call in calls]
