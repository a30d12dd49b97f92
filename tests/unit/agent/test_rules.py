"""Rules take what is plain and leave the rest to the model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.rules import match
from smidgen.messages import ToolSpec


def _spec(name: str, *parameters: str) -> ToolSpec:
    properties = {key: {"type": "string"} for key in parameters}
    return ToolSpec(name=name, description=name, parameters={"type": "object", "properties": properties})


TOOLS = (
    _spec("calculator", "expression"),
    _spec("current_time", "timezone"),
    _spec("weekday", "date"),
    _spec("days_between", "start", "end"),
    _spec("list_files", "folder"),
    _spec("read_file", "path"),
    _spec("search_files", "text"),
)


@pytest.mark.parametrize(
    ("request_text", "name", "arguments"),
    [
        ("What is 17.5% of 2,340?", "calculator", {"expression": "17.5% of 2,340"}),
        ("2+2", "calculator", {"expression": "2+2"}),
        ("please calculate 3 * (4 + 5) =", "calculator", {"expression": "3 * (4 + 5)"}),
        ("what is the square root of 1764?", "calculator", {"expression": "the square root of 1764"}),
        ("How many kilometres is 26.2 miles?", "calculator", {"expression": "26.2 miles in kilometres"}),
        ("how many feet are in a mile?", "calculator", {"expression": "1 mile in feet"}),
        ("convert 5 miles to km", "calculator", {"expression": "5 miles to km"}),
        ("What percent of 80 is 20?", "calculator", {"expression": "20 / 80 in %"}),
        ("calc: 3*4", "calculator", {"expression": "3*4"}),
        ('calculator(expression="3*4")', "calculator", {"expression": "3*4"}),
        ("What time is it?", "current_time", {}),
        ("what time is it in Tokyo?", "current_time", {"timezone": "Tokyo"}),
        ("What's today's date?", "current_time", {}),
        ("What day of the week is 2026-12-25?", "weekday", {"date": "2026-12-25"}),
        ("what day was 1 January 2000?", "weekday", {"date": "1 January 2000"}),
        ("How many days until 25 December 2026?", "days_between", {"start": "today", "end": "25 December 2026"}),
        ("list the files here", "list_files", {}),
        ("ls docs", "list_files", {"folder": "docs"}),
        ("What's in notes.txt?", "read_file", {"path": "notes.txt"}),
        ("Show me the contents of docs/plan.md", "read_file", {"path": "docs/plan.md"}),
        ("How many days until Christmas 2026?", "days_between", {"start": "today", "end": "Christmas 2026"}),
        ("Which file mentions milk?", "search_files", {"text": "milk"}),
        ("search for 'buy milk' in my files", "search_files", {"text": "buy milk"}),
        ("search: buy milk", "search_files", {"text": "buy milk"}),
    ],
)
def test_plain_requests_become_calls(request_text: str, name: str, arguments: dict[str, Any]) -> None:
    choice = match(request_text, TOOLS)
    assert choice is not None and len(choice.calls) == 1
    assert (choice.calls[0].name, choice.calls[0].arguments) == (name, arguments)


@pytest.mark.parametrize(
    "request_text",
    ["hi", "What is love?", "Who wrote Hamlet?", "Write a haiku about rain", "what is 9/11?", "555-1234", "2026-12-25",
     "what is 5", "list the files that mention milk",
     "open source.", "In 5 minutes", "How many days until spring?", "find TODO",
     "what is the time complexity of quicksort?",
     "What day is best for planting?", "Explain list(range(3))", "note: buy 2 + 2 apples", "", "?" * 400],
)  # fmt: skip
def test_what_could_mean_something_else_is_left_to_the_model(request_text: str) -> None:
    assert match(request_text, TOOLS) is None


def test_a_rule_needs_its_tool() -> None:
    assert match("2+2", TOOLS[1:]) is None
    assert match("2+2", (_spec("calculator", "formula"),)) is None


@given(st.text(max_size=120))
def test_any_request_is_taken_or_left(request_text: str) -> None:
    choice = match(request_text, TOOLS)
    assert choice is None or choice.calls
