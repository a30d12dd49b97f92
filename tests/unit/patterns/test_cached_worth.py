"""Which requests and answers are kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from smidgen.errors import EngineUnavailable
from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    Asked,
    Failed,
    Finished,
    Notice,
    TextDelta,
    ToolCalled,
    ToolRecord,
)
from smidgen.messages import Message, Timings, ToolCall, Usage
from smidgen.patterns.cached.worth import PURE, READING, Watch, asks_of_now
from smidgen.runtime.toolbox import NAMES

PLAIN = Finished(
    text="yes",
    model="tiny",
    finish_reason="stop",
    tool_calls=(),
    usage=Usage(),
    timings=Timings(),
    warnings=(),
    strategy="direct",
)


def end(**changes: Any) -> Finished:
    return msgspec.structs.replace(PLAIN, **changes)


def record(tool: str, *, ok: bool = True, **arguments: Any) -> ToolRecord:
    return ToolRecord(name=tool, arguments=arguments, result="x", ok=ok)


def against(finished: Finished | Failed, *events: AgentEvent, tools: bool = False) -> str:
    watch = Watch(tools=tools)
    for event in events:
        watch.see(event)
    return watch.against(finished)


@pytest.mark.parametrize(
    "request_",
    [
        "What time is it?", "What's the weather in Rome?", "How many days until Christmas?", "Who is the current king?",
        "What did I do last Friday?", "Which is the latest Python?", "Is it open on Monday?", "What is on this week?",
        "Wie spät ist es jetzt?", "Quel jour est-ce aujourd'hui ?", "Add three days to TODAY",
    ],
)  # fmt: skip
def test_requests_that_depend_on_the_time_are_told(request_: str) -> None:
    assert asks_of_now([Message(role="user", content=request_)])


@pytest.mark.parametrize("request_", ["What is knowledge?", "Who wrote Hamlet?", "What is 3 days in hours?"])
def test_others_are_not(request_: str) -> None:
    assert not asks_of_now([Message(role="user", content=request_), Message(role="assistant", content="now")])


@pytest.mark.parametrize(
    "finished",
    [
        end(finish_reason="length"), end(finish_reason="deadline"), end(finish_reason="cancelled"), end(text=" "),
        end(finish_reason="tool_calls", wanted=(ToolCall(name="a", arguments={}),)), end(warnings=("it was cut",)),
        end(strategy="fallback: refusal"), Failed(error=EngineUnavailable("gone").info()),
    ],
)  # fmt: skip
def test_an_answer_that_did_not_end_well_is_not_kept(finished: Finished | Failed) -> None:
    assert against(finished, tools=True)


@pytest.mark.parametrize(
    "event",
    [
        ApprovalNeeded(call=ToolCall(name="fetch", arguments={}), preview="fetches"), Asked(question="Which one?"),
        Notice(code="history_dropped", message="cut"), Notice(code="cached", message="again"),
        ToolCalled(call=ToolCall(name="write_file", arguments={})),
    ],
)  # fmt: skip
def test_nor_is_one_on_whose_way_something_happened(event: AgentEvent) -> None:
    assert against(end(), event, tools=True)


def test_a_plain_answer_is_kept() -> None:
    assert against(end(), TextDelta(text="yes")) == ""


def test_every_built_in_tool_is_pure_reading_or_never_kept() -> None:
    assert set(NAMES) >= PURE | READING
    for tool in NAMES:
        kept = against(end(tool_calls=(record(tool),))) == ""
        with_tools = against(end(tool_calls=(record(tool),)), tools=True) == ""
        assert (kept, with_tools) == (tool in PURE, tool in PURE | READING), tool
    for tool in ("write_file", "edit_file", "undo_write", "run_python", "run_command", "current_time", "send_mail"):
        assert against(end(tool_calls=(record(tool),)), tools=True), tool
    assert against(end(tool_calls=(record("calculator", ok=False),)), tools=True)


@pytest.mark.parametrize(
    ("date", "kept"),
    [("2024-03-14", True), ("14 March 2024", True), ("today", False), ("friday", False), ("easter", False)],
)
def test_days_that_are_others_later_are_not_kept(date: str, kept: bool) -> None:
    assert (against(end(tool_calls=(record("weekday", date=date),))) == "") == kept
