"""Function descriptions of the benchmark as tools, and calls back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.dialects import fenced_json, python_call
from smidgen.eval.bfcl.schema import checkable, json_schema, tool_names, tools
from smidgen.messages import ToolCall


@pytest.mark.parametrize(
    ("described", "schema"),
    [
        ({"type": "dict"}, {"type": "object"}),
        ({"type": "float", "description": "d"}, {"type": "number", "description": "d"}),
        ({"type": "tuple", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "integer"}}),
        ({"type": "any"}, {}),
        (
            {"type": "string", "enum": ["a", "b"], "default": "a"},
            {"type": "string", "enum": ["a", "b"], "default": "a"},
        ),
        ({"type": "string", "default": None, "optional": True}, {"type": "string"}),
        ({"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
        (
            {"type": "array", "items": {"type": "dict", "properties": {"x": {"type": "float"}}, "required": ["x"]}},
            {
                "type": "array",
                "items": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
            },
        ),
    ],
)
def test_types_become_those_of_json_schema(described: dict[str, Any], schema: dict[str, Any]) -> None:
    assert json_schema(described) == schema


def test_what_is_required_but_not_described_is_not_required() -> None:
    schema = json_schema({"type": "dict", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]})
    assert schema["required"] == ["a"]


def test_a_parameter_called_like_a_keyword_is_a_parameter() -> None:
    properties = {"type": {"type": "string"}, "items": {"type": "integer"}, "default": {"type": "float"}}
    schema = json_schema({"type": "dict", "properties": properties, "required": ["type"]})
    assert {name: entry["type"] for name, entry in schema["properties"].items()} == {
        "type": "string",
        "items": "integer",
        "default": "number",
    }


@pytest.mark.parametrize(
    ("functions", "names"),
    [
        (["math.factorial"], ("math_factorial",)),
        (["a.b", "a_b"], ("a_b_2", "a_b")),
        (["a.b", "a-b"], ("a_b", "a_b_2")),
        (["3d.print", "größe"], ("_3d_print", "gr__e")),
    ],
)
def test_names_become_words_and_stay_different(functions: list[str], names: tuple[str, ...]) -> None:
    assert tool_names(functions) == names


@given(st.lists(st.text(st.sampled_from("ab._-2ü"), min_size=1, max_size=4), unique=True, max_size=6))
def test_every_name_leads_back_to_its_function(functions: list[str]) -> None:
    described = [{"name": name} for name in functions]
    calls = [ToolCall(name=name, arguments={}) for name in tool_names(functions)]
    assert [next(iter(call)) for call in checkable(calls, described)] == functions


def test_an_unknown_name_stays_as_it_was_written() -> None:
    calls = [ToolCall(name="a.b", arguments={"x": 1}), ToolCall(name="c", arguments={})]
    assert checkable(calls, [{"name": "a.b"}]) == [{"a.b": {"x": 1}}, {"c": {}}]


def test_every_dialect_can_make_a_grammar_of_the_tools() -> None:
    parameters = {
        "type": "dict",
        "properties": {
            "where": {"type": "tuple", "items": {"type": "float"}},
            "what": {"type": "any"},
            "how": {"type": "dict", "properties": {"fast": {"type": "boolean"}}},
        },
        "required": ["where"],
    }
    made = tools([{"name": "a.b", "description": "d", "parameters": parameters}])
    for dialect in (fenced_json, python_call):
        assert "a_b" in dialect.constraint(made).source
