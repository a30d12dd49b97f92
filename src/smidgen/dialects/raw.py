"""Values that a dialect writes without quotes: texts as they are, all else as JSON. The schema says which is which."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from smidgen.dialects.convert import types_of
from smidgen.dialects.grammar import MAX_STRING, Grammar, literal
from smidgen.dialects.lenient import MISSING, loads
from smidgen.errors import ConstraintError
from smidgen.messages import JsonSchema

_ABSENT = ("", "null", "none")


def write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def read(text: str, schema: JsonSchema) -> Any:
    """The text as the value that the schema wants, as far as that can be told; texts stay as they are."""
    types = types_of(schema)
    if types == {"string"} and "enum" not in schema:
        return text
    written = text.strip()
    if written.lower() in _ABSENT and ("string" not in types or "enum" in schema):
        options = cast(list[Any], schema.get("enum", []))
        return next((option for option in options if write(option).lower() == written.lower()), None)
    if "enum" in schema:
        return written
    if types and "string" not in types:
        return text
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        value = loads(written) if written[:1] in ("{", "[") else MISSING
    if value is MISSING or isinstance(value, str):
        return text
    return value if not types or _kind(value) & types else text


def _kind(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    if isinstance(value, float):
        return {"number"}
    if value is None:
        return {"null"}
    return {"array"} if isinstance(value, list) else {"object"}


Text = Callable[[int, int], str]
"""(fewest, most characters) -> the rule for a text."""


def rule(grammar: Grammar, schema: JsonSchema, closing: str, text: Text, *, required: bool) -> str:
    """The rule for a value and what closes it; `text` makes the one for texts, its closing included."""
    grammar.check(schema)
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if choices is not None:
        return grammar.rule(_any_of([literal(_scalar(choice) + closing) for choice in cast(list[Any], choices)]))
    options = cast(list[JsonSchema], schema.get("anyOf") or schema.get("oneOf") or [])
    if options:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
    else:
        kinds = schema.get("type", "string")
        if not isinstance(kinds, list):
            return _typed(grammar, str(kinds), schema, closing, text, required)
        rest, options = schema, [{"type": kind} for kind in cast(list[str], kinds)]
    return grammar.rule(
        _any_of([rule(grammar, {**rest, **option}, closing, text, required=required) for option in options])
    )


def _typed(grammar: Grammar, kind: str, schema: JsonSchema, closing: str, text: Text, required: bool) -> str:
    if kind == "string":
        most = min(int(schema.get("maxLength", MAX_STRING)), MAX_STRING)
        return text(min(int(schema.get("minLength", 1 if required else 0)), most), most)
    value = grammar.value({**schema, "type": kind}, 1, required=required)
    return grammar.rule(f"{value} {literal(closing)}") if closing else value


def _any_of(choices: Sequence[str]) -> str:
    if not choices:
        raise ConstraintError("The schema allows no value at all.")
    return " | ".join(dict.fromkeys(choices))


def _scalar(value: Any) -> str:
    if value is not None and not isinstance(value, str | int | float):
        raise ConstraintError("Only texts, numbers, true, false and null can be fixed choices.")
    return write(value)
