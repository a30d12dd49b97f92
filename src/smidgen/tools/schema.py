"""JSON Schemas as small models like them: no references, no titles, no `anyOf` with null for what may be left out."""

from __future__ import annotations

from typing import Any, cast

from smidgen.errors import InvalidRequest
from smidgen.messages import JsonSchema

_MAX_DEPTH = 16


def flatten(schema: JsonSchema) -> JsonSchema:
    """Inline every local `$ref`, drop titles, and turn "X or null" of an optional property into X.

    Raises InvalidRequest for a schema that refers to itself or is nested deeper than 16 levels: no grammar bounds it.
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    flat = _flatten(schema, definitions, ())
    flat.setdefault("type", "object")
    flat.setdefault("properties", {})
    return flat


def _flatten(node: JsonSchema, definitions: dict[str, JsonSchema], path: tuple[str, ...]) -> JsonSchema:
    if len(path) > _MAX_DEPTH:
        raise InvalidRequest("The tool's schema is nested too deeply.", hint=f"At most {_MAX_DEPTH} levels.")
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rsplit("/", 1)[-1]
        if name in path:
            raise InvalidRequest(f"The tool's schema refers to itself at {name!r}.", hint="Use a flat type instead.")
        if name not in definitions:
            raise InvalidRequest(f"The tool's schema refers to {reference!r}, which isn't in it.")
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _flatten({**definitions[name], **beside}, definitions, (*path, name))
    flat: JsonSchema = {}
    for key, value in node.items():
        if key in ("title", "$defs", "definitions", "$schema"):
            continue
        if key == "properties":
            required = node.get("required", [])
            flat[key] = {
                name: _without_null(_flatten(sub, definitions, (*path, ".")), name not in required)
                for name, sub in cast(dict[str, JsonSchema], value).items()
            }
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            flat[key] = [_flatten(sub, definitions, (*path, ".")) for sub in cast(list[JsonSchema], value)]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            flat[key] = _flatten(cast(JsonSchema, value), definitions, (*path, "."))
        else:
            flat[key] = value
    if flat.get("default", ...) is None:
        del flat["default"]
    return flat


def _without_null(node: JsonSchema, optional: bool) -> JsonSchema:
    options: list[JsonSchema] | None = node.get("anyOf")
    if not optional or not options:
        return node
    kept = [option for option in options if option.get("type") != "null"]
    rest: dict[str, Any] = {key: value for key, value in node.items() if key != "anyOf"}
    return {**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept}
