"""What models write, and the calls that are in it. Every transcript is also cut at every position: never an error."""

# ruff: noqa: E501 -- transcripts are kept on one line, as they came

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.dialects import Dialect
from smidgen.dialects.choose import NAMES, dialect
from smidgen.errors import ConfigError
from smidgen.messages import ToolCall, ToolSpec

TOOLS = (
    ToolSpec(
        name="weather",
        description="Tell the weather.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": 'for example "Paris"'},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "limits": {"type": "array", "items": {"type": "number"}},
                "alerts": {"type": "boolean"},
            },
            "required": ["city"],
        },
    ),
    ToolSpec(name="now", description="Tell the time.", parameters={"type": "object", "properties": {}}),
)

Expected = list[tuple[str, dict[str, Any]]]

JSON_CASES: list[tuple[str, Expected]] = [
    ('```json\n{\n    "name": "weather",\n    "arguments": {\n        "city": "Paris"\n    }\n}\n```', [("weather", {"city": "Paris"})]),
    ('```json\n{"name": "weather", "arguments": {"city": "Köln"}}', [("weather", {"city": "Köln"})]),
    ('Sure!\n```\n{"name": "now", "arguments": {}}\n```\nDone.', [("now", {})]),
    ('<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": "weather", "arguments": {"city": "A"}}\n</tool_call>',
     [("now", {}), ("weather", {"city": "A"})]),
    ('{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}', [("weather", {"city": "Paris"})]),
    ("{'name': 'weather', 'arguments': {'city': 'Paris', 'alerts': True}}", [("weather", {"city": "Paris", "alerts": True})]),
    ('{"name": "weather", "parameters": {"city": "Paris", "days": "3",}}', [("weather", {"city": "Paris", "days": 3})]),
    ('{"function": {"name": "weather", "arguments": {"city": "Paris"', [("weather", {"city": "Paris"})]),
    ('```json\n[{"name": "now", "arguments": {}}, {"name": "weather", "arguments": {"city": "B"}}]\n```',
     [("now", {}), ("weather", {"city": "B"})]),
    ('<think>{"name": "now", "arguments": {}}</think>It is late.', []),
    ('<think>{"name": "now", "arguments": {}}', []),
    ('<think>hm</think>{"name": "now", "arguments": {}}', [("now", {})]),
    ('```json\n{"temperature": 3}\n```', []),
    ('{"name": "launch", "arguments": {"x": 1}}', [("launch", {"x": 1})]),
    ('{"name": "weather", "arguments": {"city": "Paris", "limits": [1, "2"], "unit": "Celsius", "days": null}}',
     [("weather", {"city": "Paris", "limits": [1.0, 2.0], "unit": "celsius"})]),
    ("Just words.", []),
    ("", []),
]  # fmt: skip

PYTHON_CASES: list[tuple[str, Expected]] = [
    ('weather(city="Paris")', [("weather", {"city": "Paris"})]),
    ('```python\nweather(city="Paris", days=3)\n```', [("weather", {"city": "Paris", "days": 3})]),
    ("weather('Köln', 2)", [("weather", {"city": "Köln", "days": 2})]),
    ('weather(city="Pa(ris', [("weather", {"city": "Pa(ris"})]),
    ('print(weather(city="Paris"))', [("weather", {"city": "Paris"})]),
    ('weather(city="A")\nnow()', [("weather", {"city": "A"}), ("now", {})]),
    (
        'weather(city="A", alerts=true, limits=[1, 2])',
        [("weather", {"city": "A", "alerts": True, "limits": [1.0, 2.0]})],
    ),
    ("weather(city=80 * 2)", [("weather", {"city": "80 * 2"})]),
    ("launch(x=1)", [("launch", {"x": 1})]),
    ("You could call launch(x=1) or not.", []),
    ("<think>now()</think>It is late.", []),
    ("Just words (really).", []),
    ("", []),
]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [*(("fenced_json", *case) for case in JSON_CASES), *(("python_call", *case) for case in PYTHON_CASES)],
)
def test_calls_are_found_in_what_models_write(name: str, text: str, expected: Expected) -> None:
    parsed = dialect(name).parse(text, TOOLS)
    assert [(call.name, call.arguments) for call in parsed.calls] == expected
    assert bool(parsed.strategy) == bool(expected)
    for length in range(len(text)):
        dialect(name).parse(text[:length], TOOLS)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_around_a_call_stays(name: str) -> None:
    speaks = dialect(name)
    parsed = speaks.parse(f"Let me see.\n{speaks.write_call(ToolCall(name='now', arguments={}))}\nThere.", TOOLS)
    assert parsed.calls and parsed.text.split() == ["Let", "me", "see.", "There."]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    ["(" * 60_000, "[" * 100_000, '{"name":' * 5_000, "weather(" * 3_000, "weather(city=" + "-" * 50_000 + "1)", "```json\n" * 2_000,
     '{"name": "weather", "arguments": ' + '{"a":' * 5_000, "\0\ud800", "weather(city=" + "9" * 10_000 + ")", "'" * 10_001,
     '{"name": "weather", "arguments": {"days": ' + "9" * 6_000 + "}}", '{"name": "weather", "arguments": {"days": NaN}}'],
)  # fmt: skip
def test_hostile_text_is_only_text(name: str, text: str) -> None:
    parsed = dialect(name).parse(text, TOOLS)
    assert len(parsed.calls) <= 32


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(alphabet="weathrnowciy(){}[]\"':=,.\\`\n 1<>/think_jsoajd", max_size=200))
def test_parsing_never_raises(name: str, text: str) -> None:
    dialect(name).parse(text, TOOLS)


arguments = st.fixed_dictionaries(
    {"city": st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)},
    optional={
        "days": st.integers(-(10**9), 10**9),
        "unit": st.sampled_from(["celsius", "fahrenheit"]),
        "limits": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
        "alerts": st.booleans(),
    },
)


@pytest.mark.parametrize("name", NAMES)
@given(arguments=arguments)
def test_what_is_written_is_read_back(name: str, arguments: dict[str, Any]) -> None:
    if "<think" in arguments["city"].lower() or "```" in arguments["city"]:
        return
    speaks: Dialect = dialect(name)
    call = ToolCall(name="weather", arguments=arguments)
    assert speaks.parse(speaks.write_call(call), TOOLS).calls == (call,)


def test_non_ascii_text_is_written_as_it_is() -> None:
    for name in NAMES:
        assert "Zürich 東京" in dialect(name).write_call(ToolCall(name="weather", arguments={"city": "Zürich 東京"}))


def test_tools_are_told_in_the_models_own_form() -> None:
    listed = dialect("fenced_json").instructions(TOOLS).split("<tools>\n")[1].split("\n</tools>")[0]
    assert [json.loads(line)["function"]["name"] for line in listed.splitlines()] == ["weather", "now"]
    stubs = dialect("python_call").instructions(TOOLS)
    assert 'def weather(city: str, days: int = None, unit: Literal["celsius", "fahrenheit"] = None' in stubs


def test_results_name_their_tool_or_are_marked_as_results() -> None:
    assert "<tool_response>" in dialect("fenced_json").write_result("now", "noon").content
    assert "now returned" in dialect("python_call").write_result("now", "noon").content


def test_an_unknown_dialect_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        dialect("morse")
