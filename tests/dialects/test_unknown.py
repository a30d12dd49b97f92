"""Calls in text of a dialect that nobody named: which strategy finds them, and that prose is prose."""

# ruff: noqa: E501 -- transcripts are kept on one line, as they came

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.dialects import unknown
from smidgen.dialects.choose import NAMES, dialect
from smidgen.messages import ToolCall, ToolSpec

TOOLS = (
    ToolSpec(
        name="weather",
        description="Tell the weather.",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    ),
    ToolSpec(name="now", description="Tell the time.", parameters={"type": "object", "properties": {}}),
)
PARIS = [("weather", {"city": "Paris"})]

CASES: list[tuple[str, str, list[tuple[str, dict[str, Any]]]]] = [
    ("code_block", 'Sure!\n```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```', PARIS),
    ("code_block", '```python\nweather(city="Paris")\n```', PARIS),
    ("code_block", '```python\n# look it up\nprint(weather(city="Paris"))\n```', PARIS),
    ("code_block", '```tool_code\n[now(), weather(city="Paris")]\n```', [("now", {}), *PARIS]),
    ("code_block", "```xml\n<weather><city>Paris</city></weather>\n```", PARIS),
    ("code_block", "```\ntool: weather\ncity: Paris\n```", PARIS),
    ("code_block", '```json\n{"weather": {"city": "Paris"}}\n```', PARIS),
    ("code_block", '```json\n{"name": "weather", "arguments": {"city": "Paris"', PARIS),
    ("code_block", '```json\n{"name": "now", "arguments": {}}\n```\nand\n```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```', [("now", {}), *PARIS]),
    ("xml", '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>', PARIS),
    ("xml", '<tool_call>{"name": "launch", "arguments": {}}</tool_call>', [("launch", {})]),
    ("xml", "Hm.\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", PARIS),
    ("xml", "<weather>\n<city>Paris</city>\n<days>3</days>\n</weather>", [("weather", {"city": "Paris", "days": 3})]),
    ("json", "I call {'name': 'weather', 'arguments': {'city': 'Paris',}} now.", PARIS),
    ("json", '{"name": "weather", "parameters": {"city": "Paris"', PARIS),
    ("python_call", 'Let me see.\nweather(city="Paris")', PARIS),
    ("python_call", '1. `weather(city="Paris")`', PARIS),
    ("python_call", 'result = weather(city="Paris")  # look', PARIS),
    ("python_call", '[weather(city="Paris")]', PARIS),
    ("keywords", "tool: weather\ncity: Paris\ndays: 2", [("weather", {"city": "Paris", "days": 2})]),
    ("keywords", 'Thought: look\nAction: weather\nAction Input: {"city": "Paris"}', PARIS),
    # thoughts and prose
    ("", '<think>{"name": "now", "arguments": {}}</think>It is late.', []),
    ("json", 'now()</think>{"name": "weather", "arguments": {"city": "Paris"}}', PARIS),
    ("", "You can use now() to get the time, or weather(city=\"Paris\") for the weather.", []),
    ("", "The weather in Paris is fine now.\ncity: Paris\ndays: 3", []),
    ("", "Weather: sunny\nNow: noon", []),
    ("", "tool: weather", []),
    ("", '{"name": "Bob", "parameters": {"age": 3}}', []),
    ("", 'Write it like this:\n```python\nfor city in cities:\n    print(weather(city="Paris"))\n```', []),
    ("", '```python\nimport requests\nweather(city="Paris")\nprint("done")\n```', []),
    ("", "Use the <weather> element, as in <b>weather</b>.", []),
    ("", "A list: [weather, now], a set {now}.", []),
    ("", "launch(x=1)", []),
    ("", "", []),
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "text", "expected"), CASES)
def test_the_surest_strategy_that_finds_a_call_is_named(
    strategy: str, text: str, expected: list[tuple[str, dict[str, Any]]]
) -> None:
    parsed = unknown.parse(text, TOOLS)
    assert [(call.name, call.arguments) for call in parsed.calls] == expected
    assert parsed.strategy == strategy


def test_text_without_a_call_comes_back_whole() -> None:
    text = "Use `now()`:\n```python\nx = now() + 1\n```\nThen <b>rest</b> {and} [so on]."
    assert unknown.parse(text, TOOLS).text == text


@pytest.mark.parametrize("name", NAMES)
def test_every_dialect_is_understood_without_its_name(name: str) -> None:
    calls = (ToolCall(name="now", arguments={}), ToolCall(name="weather", arguments={"city": "Zürich 東京", "days": 2}))
    assert unknown.parse(dialect(name).write_calls(calls), TOOLS).calls == calls


@pytest.mark.parametrize("text", ["(" * 60_000, "```" * 20_000, "{" * 50_000, "<tool_call>" * 5_000, "weather(" * 3_000,
                                  "<weather>" * 5_000, "tool: weather\n" * 3_000, "<function=a>" * 5_000, '{"name": ' * 5_000])  # fmt: skip
def test_hostile_text_is_only_text(text: str) -> None:
    assert len(unknown.parse(text, TOOLS).calls) <= 32


@settings(deadline=None)
@given(text=st.text(alphabet="weathrnowciytl(){}[]\"':=,.\\`\n 1<>/_jsoad", max_size=200))
def test_parsing_never_raises(text: str) -> None:
    unknown.parse(text, TOOLS)


def test_without_tools_only_marked_calls_count() -> None:
    assert unknown.parse('weather(city="Paris")\n{"name": "weather", "arguments": {}}', ()).calls == ()
    assert unknown.parse("<function=now></function>", ()).calls
