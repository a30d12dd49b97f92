"""Values nearly JSON, and values as a schema wants them."""

# ruff: noqa: E501 -- one case a line

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.dialects import raw
from smidgen.dialects.convert import convert, convert_call
from smidgen.dialects.lenient import MISSING, loads
from smidgen.messages import JsonSchema, ToolCall, ToolSpec

INTEGER: JsonSchema = {"type": "integer"}
NUMBER: JsonSchema = {"type": "number"}
BOOLEAN: JsonSchema = {"type": "boolean"}
STRING: JsonSchema = {"type": "string"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{'a': 'it''s'}", {"a": "its"}),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2', {"a": [1, 2]}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": "b\\', {"a": "b\\"}),
        ('{"a": ', {}),
        ('{"a": 1} and more', {"a": 1}),
        ('{a: 1, "b": x y}', {"a": 1, "b": "x y"}),
        ('{"a": "say "hi" now", "b": 2}', {"a": 'say "hi" now', "b": 2}),
        ('{"a": 1 "b": 2}', {"a": 1, "b": 2}),
        ('{"a": "1" "b": 2}', {"a": "1", "b": 2}),
        ('{"a": 1, // one\n"b": 2 /* two */}', {"a": 1, "b": 2}),
        ("{“a”: “b”}", {"a": "b"}),
        ('{"a": True, "b": None, "c": nUll}', {"a": True, "b": None, "c": None}),
        ('{"a" = 1}', {"a": 1}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": "\\u00fc", b: 1}', {"a": "ü", "b": 1}),
        ("[1, 2,, 3]", [1, 2, 3]),
        ("[red, dark blue]", ["red", "dark blue"]),
        ('{"a": "' + "(" * 200 + '"}', {"a": "(" * 200}),
        ("{" * 200, MISSING),
        ("words", MISSING),
        ("{words of prose}", MISSING),
        ("", MISSING),
    ],
)
def test_what_is_nearly_json_is_read(text: str, value: Any) -> None:
    assert loads(text) == value


@given(st.text(alphabet="{}[]\"':,ab1 \\\n=/*#-“”tn", max_size=60))
@settings(deadline=None)
def test_reading_never_raises(text: str) -> None:
    loads(text)
    loads("{" + text)


@pytest.mark.parametrize(
    ("value", "schema", "wanted"),
    [
        (3, NUMBER, 3.0),
        ("3", NUMBER, 3.0),
        ("2.5", NUMBER, 2.5),
        ("1e3", NUMBER, 1000.0),
        (3.0, INTEGER, 3),
        ("3.0", INTEGER, 3),
        ("1,000", INTEGER, 1000),
        (3.5, INTEGER, 3.5),
        ("three", INTEGER, "three"),
        (True, INTEGER, True),
        ("True", BOOLEAN, True),
        ("no", BOOLEAN, False),
        (1, BOOLEAN, True),
        (2, BOOLEAN, 2),
        (5, STRING, "5"),
        ([1, "2"], {"type": "array", "items": NUMBER}, [1.0, 2.0]),
        ("[1, 2]", {"type": "array", "items": NUMBER}, [1.0, 2.0]),
        ("a", {"type": "array", "items": STRING}, ["a"]),
        ('{"n": "1"}', {"type": "object", "properties": {"n": INTEGER}}, {"n": 1}),
        ({"a": [{"n": "1"}]}, {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"n": NUMBER}}}}}, {"a": [{"n": 1.0}]}),
        ("Blue", {"enum": ["red", "blue"]}, "blue"),
        ("true", {"enum": [True, "x"]}, True),
        ("3", {"enum": [3, None]}, 3),
        ("null", {"enum": [3, None]}, None),
        ([1], {"anyOf": [STRING, {"type": "array", "items": NUMBER}]}, [1.0]),
        ({"n": "1"}, {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"n": INTEGER}}]}, {"n": 1}),
        ("Zürich 東京", STRING, "Zürich 東京"),
        ("x", {}, "x"),
    ],
)  # fmt: skip
def test_values_become_what_the_schema_wants(value: Any, schema: JsonSchema, wanted: Any) -> None:
    found = convert(value, schema)
    assert found == wanted and type(found) is type(wanted)


def test_absent_optional_arguments_are_left_out() -> None:
    tool = ToolSpec(
        name="f",
        description="",
        parameters={"properties": {"a": INTEGER, "b": INTEGER, "c": {"type": ["integer", "null"]}}, "required": ["a"]},
    )
    call = ToolCall(name="f", arguments={"a": None, "b": None, "c": None})
    assert convert_call(call, (tool,)).arguments == {"a": None, "c": None}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("42", STRING, "42"),
        ("null", STRING, "null"),
        ("42", {"type": ["integer", "string"]}, 42),
        ("4 2", {"type": ["integer", "string"]}, "4 2"),
        ("null", INTEGER, None),
        ("None", {"enum": ["a", "b"]}, None),
        ("none", {"enum": ["none", "all"]}, "none"),
        ("[1]", {}, [1]),
        ("word", {}, "word"),
        (" x ", STRING, " x "),
    ],
)
def test_text_without_quotes_is_read_by_its_schema(text: str, schema: JsonSchema, value: Any) -> None:
    found = raw.read(text, schema)
    assert found == value and type(found) is type(value)
