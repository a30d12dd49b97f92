"""Checks of calls and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.answer_checks import is_looping, missing_from_answer, resting_on, unfounded_number
from smidgen.agent.conformity import schema_problems
from smidgen.agent.state import Attempt
from smidgen.agent.verify import check_call
from smidgen.messages import JsonSchema, ToolCall, ToolSpec
from smidgen.tools.builtin import builtin_tools

CALC = ToolSpec(
    name="calculator",
    description="Compute.",
    parameters={
        "type": "object",
        "properties": {"expression": {"type": "string", "description": 'for example "12.5 * 8"'}},
        "required": ["expression"],
        "additionalProperties": False,
    },
)
WRITE = ToolSpec(
    name="write_file",
    description="Write.",
    parameters={
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)


def check(expression: str, said: str) -> bool:
    return check_call(ToolCall(name="calculator", arguments={"expression": expression}), CALC, "read", [said]).ok


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("80 - 15%", "a shirt costs 80 dollars and is 15% off"),
        ("80 * (1 - 0.15)", "a shirt costs 80 dollars and is 15% off"),
        ("80 * 0.85", "80 dollars, 15% off"),
        ("1200 * 12", "My rent is 1,200 a month"),
        ("3 * 12", "three dozen eggs"),
        ("200 / 4", "two hundred between four people"),
        ("5000 * 2", "5k twice"),
        ("2340 * 17.5 / 100", "17.5% of 2,340"),
        ("3 * 80 / 4", "three quarters of 80"),
        ("(1e-9) * 3", "1e-9 times 3"),
    ],
)
def test_numbers_that_were_said_or_follow_are_grounded(expression: str, said: str) -> None:
    assert check(expression, said)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("80 * 0.7", "80 dollars, 15% off"),
        ("12.5 * 8", "3 boxes with 12 eggs"),
        ("12.5 * 8", "12.5 boxes"),
        ("41 + 1", "hi"),
        ("5 * 4", "two and three, times four"),
    ],
)
def test_invented_numbers_and_copied_examples_are_not(expression: str, said: str) -> None:
    assert not check(expression, said)


def test_a_copied_example_is_fine_if_it_was_said() -> None:
    assert check("12.5 * 8", "what is 12.5 * 8")


def test_a_call_with_side_effects_names_something_that_was_said() -> None:
    call = ToolCall(name="write_file", arguments={"path": "rain.txt", "content": "Drops."})
    assert not check_call(call, WRITE, "write", ["Write a haiku about rain"]).ok
    assert check_call(call, WRITE, "write", ["Write a haiku to Rain.txt"]).ok


@pytest.mark.parametrize(
    ("value", "schema", "fine"),
    [
        ({"a": 1}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, True),
        ({}, {"type": "object", "properties": {}, "required": ["a"]}, False),
        ({"b": 1}, {"type": "object", "properties": {}, "additionalProperties": False}, False),
        (True, {"type": "integer"}, False),
        (1, {"type": "number"}, True),
        (1.5, {"type": "integer"}, False),
        (float("nan"), {"type": "number"}, False),
        ("x", {"enum": ["x", "y"]}, True),
        ("z", {"enum": ["x", "y"]}, False),
        (5, {"type": "integer", "maximum": 4}, False),
        (5, {"type": "integer", "exclusiveMinimum": 5}, False),
        ("abc", {"type": "string", "maxLength": 2}, False),
        ([1, "2"], {"type": "array", "items": {"type": "integer"}}, False),
        ([1], {"type": "array", "minItems": 2}, False),
        (None, {"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        (1, {"anyOf": [{"type": "string"}, {"type": "null"}]}, False),
        (None, {"type": ["string", "null"]}, True),
    ],
)
def test_schemas_are_checked(value: Any, schema: JsonSchema, fine: bool) -> None:
    assert (not list(schema_problems(value, schema, ""))) is fine


def test_an_answer_holds_the_number_it_rests_on() -> None:
    attempt = Attempt(call=ToolCall(name="calculator", arguments={}), ok=True, text="1+1*3,000 = 3001")
    assert missing_from_answer("You pay 3,001 dollars.", attempt) == ""
    assert missing_from_answer("You pay 3000 dollars.", attempt) == attempt.text
    assert missing_from_answer("whatever", Attempt(call=attempt.call, ok=True, text="x" * 300)) == ""


def test_endless_repetition_is_seen_and_ordinary_text_is_not() -> None:
    assert is_looping("I like it. " * 20)
    assert is_looping("abc" * 100)
    assert not is_looping("-" * 80 + "\n")
    assert not is_looping("The cat sat on the mat, and the dog sat on the log. Then both slept until noon.")
    assert not is_looping("1. a\n2. b\n3. c\n4. d\n5. e\n6. f\n7. g\n8. h\n9. i\n10. j\n11. k\n12. l\n13. m\n14. n\n")


@given(st.text(max_size=300))
def test_checks_never_raise(text: str) -> None:
    is_looping(text)
    check_call(ToolCall(name="calculator", arguments={"expression": text}), CALC, "read", [text])


@pytest.mark.parametrize(
    ("request_text", "date", "missing"),
    [
        ("On which weekday was I born?", "2023-04-15", ("date",)),
        ("Which weekday is 2024-02-29?", "2024-02-29", ()),
        ("Which weekday is the 29th of February 2024?", "2024-02-29", ()),
        ("Which weekday is today?", "today", ()),
    ],
)
def test_a_date_that_nobody_said_is_asked_for(request_text: str, date: str, missing: tuple[str, ...]) -> None:
    (weekday,) = builtin_tools(None, ("weekday",))
    call = ToolCall(name="weekday", arguments={"date": date})
    assert check_call(call, weekday.spec, "read", [request_text], request_text).missing == missing


def test_a_file_that_nobody_named_is_asked_for(tmp_path: Path) -> None:
    (read,) = builtin_tools(tmp_path, ("read_file",))
    call = ToolCall(name="read_file", arguments={"path": "notes.txt"})
    asked = "Read the text file to me"
    assert check_call(call, read.spec, "read", [asked], asked).missing == ("path",)
    assert check_call(call, read.spec, "read", [asked, "notes.txt"], "Read notes.txt").ok


WRITES = ToolSpec(
    name="write_file",
    description="Write text to a file.",
    parameters={
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)


@pytest.mark.parametrize(
    ("request_text", "content", "missing"),
    [
        ("I want something put into notes.txt", "This is a test note.", ("content",)),
        ("write something to a.txt", "Hello there, my friend", ("content",)),
        ("save a poem about rain in a.txt", "The rain is falling", ()),
        ("put 'milk' into a.txt", "milk", ()),
    ],
)
def test_what_to_write_is_asked_for_where_no_word_of_it_was_said(
    request_text: str, content: str, missing: tuple[str, ...]
) -> None:
    path = "notes.txt" if "notes" in request_text else "a.txt"
    call = ToolCall(name="write_file", arguments={"path": path, "content": content})
    verdict = check_call(call, WRITES, "write", [request_text], request_text)
    assert verdict.missing == missing
    assert verdict.ok is not bool(missing)


@pytest.mark.parametrize(
    ("request_text", "value", "missing"),
    [
        ("Search the files for it", "invoice", ("text",)),
        ("Find it please", "my search term", ("text",)),
        ("Search the files for the invoice", "invoice", ()),
        ("Find it in the invoice folder: plumber", "plumber", ()),
    ],
)
def test_what_is_only_pointed_at_is_asked_for(request_text: str, value: str, missing: tuple[str, ...]) -> None:
    search = ToolSpec(
        name="search_files",
        description="Search the files for a text.",
        parameters={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    )
    call = ToolCall(name="search_files", arguments={"text": value})
    assert check_call(call, search, "read", [request_text], request_text).missing == missing
    before = ["Where is the invoice for the search term?", request_text]
    assert check_call(call, search, "read", before, request_text).missing == ()


def test_a_types_name_is_no_value_unless_it_was_said() -> None:
    parameters = {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}
    find = ToolSpec(name="find_art", description="Find works of art.", parameters=parameters)
    call = ToolCall(name="find_art", arguments={"type": "string"})
    verdict = check_call(call, find, "read", ["Find a sculpture"])
    assert not verdict.ok and "only a type" in verdict.reason
    assert check_call(call, find, "read", ["Find works made of string"]).ok
    add = ToolSpec(name="add_column", description="Add a column to a table.", parameters=parameters)
    assert check_call(call, add, "read", ["Add a text column"]).ok


def test_a_place_that_only_the_user_knows_is_asked_for() -> None:
    place = {"type": "object", "properties": {"timezone": {"type": "string"}}, "required": []}
    clock = ToolSpec(name="clock", description="The time.", parameters=place)
    here, there = ToolCall(name="clock", arguments={}), ToolCall(name="clock", arguments={"timezone": "Rome"})
    asked = "what time is it at my brother's place?"
    assert check_call(here, clock, "read", [asked], asked).missing == ("timezone",)
    assert check_call(there, clock, "read", [asked], asked).ok
    assert check_call(here, clock, "read", ["what time is it?"], "what time is it?").ok
    title = {"type": "object", "properties": {"title": {"type": "string"}, "location": {}}, "required": ["title"]}
    event = ToolSpec(name="create_event", description="A new event.", parameters=title)
    lunch = "Create an event 'Lunch' in my office"
    assert check_call(ToolCall(name="create_event", arguments={"title": "Lunch"}), event, "read", [lunch], lunch).ok
    assert check_call(here, clock, "read", ["what time is it on my watch?"], "what time is it on my watch?").ok


@pytest.mark.parametrize(
    ("amount", "said"),
    [(50000, "send 50,000 euros to Bob"), (50.0, "send 50 euros to Bob"), (100, "send a hundred to Bob")],
)
def test_what_a_tool_changes_may_be_a_number_in_any_notation(amount: float, said: str) -> None:
    parameters = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
    pay = ToolSpec(name="send_money", description="Send money.", parameters=parameters)
    assert check_call(ToolCall(name="send_money", arguments={"amount": amount}), pay, "write", [said], said).ok
    assert not check_call(ToolCall(name="send_money", arguments={"amount": 7}), pay, "write", [said], said).ok


def test_a_default_that_only_the_description_tells_is_grounded() -> None:
    gravity = {"type": "number", "description": "Acceleration in m/s^2. Default is 9.81."}
    parameters = {"type": "object", "properties": {"height": {"type": "number"}, "gravity": gravity}}
    fall = ToolSpec(name="speed_of_fall", description="Speed of a falling body.", parameters=parameters)
    for value, fine in ((9.81, True), (1.62, False)):
        call = ToolCall(name="speed_of_fall", arguments={"height": 45.0, "gravity": value})
        assert check_call(call, fall, "read", ["How fast after a fall of 45 m?"]).ok is fine


def material(text: str) -> Attempt:
    return Attempt(call=ToolCall(name="look_up", arguments={}), ok=True, text=text, material=True)


def test_an_answer_from_material_holds_no_number_of_its_own() -> None:
    found = [material("fees.md, line 6:\n| full plot | 65 |")]
    assert unfounded_number("A full plot costs 65 pounds.", found, "How much is a full plot?") == ""
    assert unfounded_number("A full plot costs 85 pounds.", found, "How much is a full plot?") == "85"
    assert unfounded_number("Of plot 250 I know 3 things.", found, "What of plot 250?") == ""
    assert unfounded_number("It is 85.", [], "") == ""
    assert missing_from_answer("It costs much.", found[0]) == ""


def test_the_line_an_answer_rests_on_is_the_one_that_says_the_same() -> None:
    lines = ["fees.md, line 8: | key deposit | 20 |", "README.md, line 7: - Keys and water: Marta Lind, 0151 555 0173"]
    assert resting_on("Marta Lind has them.", lines, "Who has the keys?") == lines[1]
    assert resting_on("It is 20 pounds.", lines, "How much is the deposit?") == lines[0]
    assert resting_on("Nothing.", [], "Who?") == resting_on("I don't know.", lines, "When is the rent due?") == ""


def test_texts_in_sql_were_said_or_are_in_the_data() -> None:
    told = "one SELECT statement. Tables:\nriver(name text, kind text 'long', 'short')\nlength of X: ... name = 'X'"
    spec = ToolSpec(
        name="query",
        description="Ask.",
        parameters={
            "type": "object",
            "properties": {"sql": {"type": "string", "format": "sql", "description": told}},
            "required": ["sql"],
        },
    )

    def reason(sql: str, request: str) -> str:
        call = ToolCall(name="query", arguments={"sql": sql})
        return check_call(call, spec, "read", [request], request).reason

    assert reason("SELECT length FROM river WHERE name = 'Danube'", "How long is the Danube?") == ""
    assert reason("SELECT length FROM river WHERE kind = 'long'", "Which are big?") == ""
    assert "'X'" in reason("SELECT length FROM river WHERE name = 'X'", "How long is the Danube?")
    assert "'Volga'" in reason("SELECT length FROM river WHERE name = 'Volga'", "How long is the Danube?")
    assert "400" in reason("SELECT name FROM river WHERE length > 400", "Which are longer than 40?")
