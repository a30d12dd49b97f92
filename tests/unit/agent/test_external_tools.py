"""Tools that whoever asked runs themself: a run hands their calls over, and goes on when the results come back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from smidgen.agent import AgentModel, AgentSettings
from smidgen.agent.plan import HandOver, plan
from smidgen.agent.returned import returned
from smidgen.agent.run import run
from smidgen.agent.state import Choice, State, Verdict
from smidgen.events import AgentEvent, Finished, ToolCalled, ToolReturned
from smidgen.messages import GenerateRequest, Message, ToolCall, ToolSpec
from smidgen.testing import ScriptedEngine
from smidgen.tools import Tool
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.external import ExternalTool

Make = Callable[..., AgentModel]

WEATHER = ToolSpec(
    name="get.weather",
    description="Get the weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
EXTERNAL = ExternalTool(WEATHER)


async def events_of(
    model: AgentModel, tools: Sequence[Tool], history: Sequence[Message], **settings: Any
) -> list[AgentEvent]:
    source: AsyncIterator[AgentEvent] = run(model, tools, history, AgentSettings(**settings))
    return [event async for event in source]


def end_of(events: Sequence[AgentEvent]) -> Finished:
    assert isinstance(events[-1], Finished), events[-1]
    return events[-1]


ASKED = Message(role="user", content="How is the weather in Paris?")


async def test_a_call_of_an_external_tool_ends_the_run_with_what_is_wanted(agent_model: Make) -> None:
    engine = ScriptedEngine(['get.weather(city="Paris")'], scores={"get.weather": -0.1, "chat": -3.0})
    events = await events_of(agent_model(engine), (EXTERNAL,), [ASKED])
    end = end_of(events)
    assert end.finish_reason == "tool_calls" and end.text == "" and end.tool_calls == ()
    assert [(call.name, call.arguments) for call in end.wanted] == [("get.weather", {"city": "Paris"})]
    assert [event.call for event in events if isinstance(event, ToolCalled)] == list(end.wanted)
    assert not [event for event in events if isinstance(event, ToolReturned)]


async def test_what_comes_back_is_put_into_words_as_if_it_had_been_run_here(agent_model: Make) -> None:
    call = ToolCall(name="get.weather", arguments={"city": "Paris"}, id="c1")
    history = [
        ASKED,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="21 degrees and sunny", name="get.weather", call_id="c1"),
    ]
    engine = ScriptedEngine(["It is 21 degrees and sunny."])
    end = end_of(await events_of(agent_model(engine), (EXTERNAL,), history))
    assert end.finish_reason == "stop" and end.text.startswith("It is 21 degrees and sunny.")
    request = engine.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert "get.weather returned this data:\n---\n21 degrees and sunny\n---" in request.prompt[0].text


async def test_a_result_that_the_model_leaves_out_is_added(agent_model: Make) -> None:
    history = [
        Message(role="user", content="What does it cost?"),
        Message(role="assistant", tool_calls=(ToolCall(name="price", arguments={}, id="a"),)),
        Message(role="tool", content="417.50", call_id="a"),
    ]
    end = end_of(await events_of(agent_model(ScriptedEngine(["It costs 99."])), (), history))
    assert "417.50" in end.text


async def test_own_tools_run_first_and_others_are_handed_over(agent_model: Make) -> None:
    calculator = builtin_tools(None, ("calculator",))
    engine = ScriptedEngine([])
    events = await events_of(agent_model(engine), (*calculator, EXTERNAL), [Message(role="user", content="2 + 2")])
    assert end_of(events).wanted == () and "4" in end_of(events).text


def test_the_planner_hands_all_calls_over_at_once() -> None:
    calls = tuple(ToolCall(name="get.weather", arguments={"city": city}) for city in ("Paris", "Rome"))
    state = State(
        strategies=("constrained",), max_steps=8, accepted=calls, complete=True, external=frozenset({"get.weather"})
    )
    assert plan(state) == HandOver(calls=calls)


def test_a_draft_is_handed_over_where_only_one_call_is_allowed() -> None:
    call = ToolCall(name="get.weather", arguments={"city": "Paris"})
    state = State(
        strategies=("constrained",),
        max_steps=8,
        choice=Choice(tool="get.weather"),
        draft=call,
        verdict=Verdict(ok=True),
        external=frozenset({"get.weather"}),
    )
    assert plan(state) == HandOver(calls=(call,))


@pytest.mark.parametrize("call_id", ["a", ""])
def test_results_are_those_since_the_last_request(call_id: str) -> None:
    old, new = (ToolCall(name=name, arguments={}, id=call_id and call_id + name) for name in ("old", "new"))
    history = [
        ASKED,
        Message(role="assistant", tool_calls=(old,)),
        Message(role="tool", content="1", call_id=old.id),
        ASKED,
        Message(role="assistant", tool_calls=(new,)),
        Message(role="tool", content="", call_id=new.id),
    ]
    assert [(attempt.call.name, attempt.text) for attempt in returned(history)] == [("new", "done")]
    assert returned(history[:-1]) == () and returned([]) == ()
