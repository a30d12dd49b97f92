"""Schemas of tools that clients bring: made flat, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from smidgen.api.client_tools import client_tool
from smidgen.errors import InvalidRequest


def test_references_and_optional_nulls_are_flattened() -> None:
    schema = {
        "type": "object",
        "title": "Arguments",
        "properties": {
            "place": {"allOf": [{"$ref": "#/$defs/Place"}], "description": "Where"},
            "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        },
        "required": ["place"],
        "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
    assert client_tool("f", None, schema).spec.parameters == {
        "type": "object",
        "properties": {
            "place": {"type": "object", "properties": {"city": {"type": "string"}}, "description": "Where"},
            "days": {"type": "integer"},
        },
        "required": ["place"],
    }


@pytest.mark.parametrize("schema", [None, {}, {"type": "object"}])
def test_a_tool_without_arguments(schema: Any) -> None:
    assert client_tool("f", "Does it.", schema).spec.parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "schema, word",
    [
        ({"type": "string"}, "named"),
        ({"properties": []}, "JSON Schema"),
        ({"properties": {"a": 5}}, "JSON Schema"),
        ({"properties": {"a": {"type": 5}}}, "5"),
        ({"properties": {"a": {"type": "float"}}}, "float"),
        ({"properties": {"a": {"not": {}}}}, "not"),
        ({"properties": {"a": {"$ref": "#/$defs/A"}}}, "A"),
        ({"properties": {"a": {"enum": 5}}}, "JSON Schema"),
        ({"required": 5, "properties": {"a": {}}}, "JSON Schema"),
    ],
)
def test_what_no_grammar_can_hold_a_model_to_is_refused(schema: Any, word: str) -> None:
    with pytest.raises(InvalidRequest, match=word) as refused:
        client_tool("f", "", schema)
    assert refused.value.details["param"] == "tools"


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: Any = {"type": "string"}
    for _ in range(500):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(InvalidRequest, match="deep"):
        client_tool("f", "", schema)
