"""What is taken from a server, and how: without any server."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from mcp_types import Tool as Listed

from smidgen.errors import InvalidRequest
from smidgen.runtime.toolbox import NAMES
from smidgen.tools import Use
from smidgen.tools.mcp import McpServer, McpTools
from smidgen.tools.mcp.content import noted, outcome_of
from smidgen.tools.mcp.names import RESERVED, given
from smidgen.tools.mcp.offer import offer_of
from smidgen.tools.mcp.stderr import KEPT, Tail

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def listed(schema: dict[str, Any] | None = None, **given: Any) -> Listed:
    return Listed(**{"name": "echo", "description": "Says it again.", "input_schema": schema or TEXT, **given})


# --- names ----------------------------------------------------------------------------------------------------------


def test_the_names_of_all_built_in_tools_are_reserved() -> None:
    assert {*NAMES, "read_more"} == RESERVED


@pytest.mark.parametrize(
    ("wanted", "taken", "names"),
    [
        ([("time", "now")], (), ("now",)),
        ([("time", "now")], ("now",), ("time_now",)),
        ([("time", "now"), ("clock", "now")], (), ("time_now", "clock_now")),
        ([("my-files", "read_file")], (), ("my_files_read_file",)),
        ([("a", "get-it.now")], (), ("get_it_now",)),
        ([("a", "2nd")], (), ("a_2nd",)),
        ([("a", "x-y"), ("a", "x.y")], (), ("a_x_y", "")),
        ([("a", "now")], ("now", "a_now"), ("",)),
        ([("7", "fetch")], (), ("",)),
    ],
)
def test_a_tool_keeps_its_name_unless_another_has_it(
    wanted: list[tuple[str, str]], taken: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert given(wanted, taken) == names


# --- offers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "host", "uses"),
    [
        (None, "", ["write", "fetch"]),
        ({"read_only_hint": False, "open_world_hint": False}, "", ["write"]),
        ({"read_only_hint": True}, "", ["fetch"]),
        ({"read_only_hint": True, "open_world_hint": False}, "", ["read"]),
        ({"read_only_hint": True, "open_world_hint": False}, "example.com", ["fetch"]),
        ({"destructive_hint": False}, "example.com", ["write", "fetch"]),
    ],
)
def test_what_is_not_said_to_be_reading_is_a_change(hints: dict[str, bool] | None, host: str, uses: list[str]) -> None:
    offer = offer_of(listed(annotations=ToolAnnotations(**hints) if hints else None))
    assert [use.verb for use in offer.uses(host)] == uses
    assert all(use.host == host for use in offer.uses(host) if use.verb == "fetch")
    assert offer.reads == (hints is not None and hints.get("read_only_hint", False))


def test_descriptions_can_hide_nothing() -> None:
    schema = {"type": "object", "properties": {"description": {"type": "string", "description": "a\u202eb"}}}
    offer = offer_of(listed(schema, description="Says\x1b[2J it.\nAgain\U000e0041."))
    assert offer.description == "Says\\x1b[2J it.\nAgain\\U000e0041."
    assert offer.parameters["properties"]["description"]["description"] == "a\\u202eb"


def test_a_tool_without_a_description_is_described_by_its_name() -> None:
    assert offer_of(listed(name="get-it_now", description=None)).description == "get it now"


def test_references_within_a_schema_are_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"to": {"$ref": "#/$defs/Place"}},
        "$defs": {"Place": {"type": "string", "enum": ["here", "there"]}},
    }
    assert offer_of(listed(schema)).parameters["properties"]["to"]["enum"] == ["here", "there"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array"}, "named"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, "'not'"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}},
            "itself",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.com/x"}}}, "isn't in it"),
        ({"type": "object", "properties": ["a"]}, "read"),
        ({"type": "object", "properties": {"a": {"type": "colour"}}}, "doesn't exist"),
    ],
)
def test_a_schema_that_no_grammar_can_hold_is_refused_with_the_reason(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        offer_of(listed(schema))


# --- results --------------------------------------------------------------------------------------------------------


def test_texts_are_joined_and_all_else_is_named() -> None:
    result = CallToolResult(
        content=[
            TextContent(text="one\x1b[31m"),
            ImageContent(data="aGVsbG8h", mime_type="image/png"),
            AudioContent(data="aGVs", mime_type="audio/wav"),
            ResourceLink(name="notes", uri="file:///notes.txt"),
            EmbeddedResource(resource=TextResourceContents(uri="file:///a.txt", text="inside")),
            EmbeddedResource(resource=BlobResourceContents(uri="file:///b.bin", blob="aGVs")),
            TextContent(text="two"),
        ]
    )
    outcome = outcome_of(result)
    assert outcome.ok
    assert outcome.value == outcome.text
    assert outcome.text.split("\n\n") == [
        "one\\x1b[31m",
        "[left out: an image (image/png, 6 bytes)]",
        "[left out: a sound (audio/wav, 3 bytes)]",
        "[notes: file:///notes.txt]",
        "[file:///a.txt]\ninside",
        "[left out: the file file:///b.bin (3 bytes)]",
        "two",
    ]


@pytest.mark.parametrize(
    ("result", "value", "text"),
    [
        (CallToolResult(content=[TextContent(text="5 °C")], structured_content={"c": 5}), {"c": 5}, "5 °C"),
        (CallToolResult(content=[], structured_content={"c": "é"}), {"c": "é"}, '{"c": "é"}'),
        (CallToolResult(content=[]), "(nothing was returned)", "(nothing was returned)"),
    ],
)
def test_structured_content_is_the_value(result: CallToolResult, value: object, text: str) -> None:
    outcome = outcome_of(result)
    assert (outcome.ok, outcome.value, outcome.text) == (True, value, text)
    with_note = noted(outcome, "[so]")
    assert (with_note.value, with_note.text) == (value, f"{text}\n[so]")


@pytest.mark.parametrize(("text", "said"), [("No such city.", "No such city."), ("", "didn't say why")])
def test_an_error_of_the_tool_is_an_outcome_that_failed(text: str, said: str) -> None:
    outcome = outcome_of(CallToolResult(content=[TextContent(text=text)], is_error=True))
    assert (outcome.ok, outcome.fault) == (False, "world")
    assert said in outcome.text


# --- settings and standard error ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"command": ["x"], "url": "http://localhost/mcp"},
        {"command": [""]},
        {"command": ["x"], "headers": {"a": "b"}},
        {"url": "http://localhost/mcp", "env": {"a": "b"}},
        {"url": "ftp://localhost/mcp"},
        {"url": "localhost:8000"},
        {"command": ["x"], "timeout_s": 0},
        {"command": ["x"], "timeout_s": float("nan")},
    ],
)
def test_settings_that_make_no_sense_together_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="can't be used"):
        McpTools(**given)


def test_the_host_of_a_server_is_that_of_its_address() -> None:
    assert McpServer(url="https://Example.com:8443/mcp").host == "example.com"
    assert McpServer(command=("x",)).host == ""
    assert Use(verb="fetch", host="example.com") in offer_of(listed()).uses("example.com")


async def test_only_the_last_of_standard_error_is_kept() -> None:
    tail = Tail()
    with tail.open() as stream:
        stream.write("x" * 3 * KEPT + "\nthe \x1b[1mend\n")
    await tail.settled()
    assert len(tail.text()) <= KEPT + 10
    assert tail.text().endswith("x\nthe \\x1b[1mend")
    assert tail.text(3) == "…end"
