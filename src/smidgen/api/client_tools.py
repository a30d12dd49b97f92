"""Tools that clients bring and run themselves, with their schemas as small models can be held to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from smidgen.dialects.grammar import JSON_LINE, Grammar
from smidgen.errors import InvalidRequest
from smidgen.messages import JsonSchema, ToolSpec
from smidgen.tools.external import ExternalTool
from smidgen.tools.schema import flatten

MAX_DEPTH = 64


def client_tool(name: str, description: str | None, parameters: Mapping[str, Any] | None) -> ExternalTool:
    """Raises InvalidRequest, with the reason, where no grammar can hold a model to the schema."""
    try:
        given = cast(JsonSchema, _merged(dict(parameters or {})))
        if given.get("type", "object") != "object":
            raise InvalidRequest("its arguments aren't named")
        flat = flatten(given)
        Grammar(JSON_LINE).value(flat)
    except InvalidRequest as error:
        raise _unusable(name, error.message, error.hint) from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unusable(name, "its parameters are no JSON Schema.", "Give an object with properties.") from error
    return ExternalTool(ToolSpec(name=name, description=description or "", parameters=flat))


def _unusable(name: str, why: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"The tool {name!r} can't be used: {why}", hint=hint, param="tools")


def _merged(node: Any, level: int = 0) -> Any:
    """The same without `allOf` around one schema, which some libraries write beside a description."""
    if level > MAX_DEPTH:
        raise InvalidRequest(f"its schema is nested more than {MAX_DEPTH} levels deep.")
    if isinstance(node, list):
        return [_merged(entry, level + 1) for entry in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    merged = {key: _merged(value, level + 1) for key, value in cast(dict[str, Any], node).items()}
    every = merged.get("allOf")
    if isinstance(every, list) and len(cast(Sequence[Any], every)) == 1 and isinstance(every[0], dict):
        del merged["allOf"]
        return {**cast(dict[str, Any], every[0]), **merged}
    return merged
