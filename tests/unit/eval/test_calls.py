"""The two ways to a call, over a scripted model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smidgen.agent import AgentModel
from smidgen.errors import EngineUnavailable, InvalidRequest
from smidgen.eval import Item, Request
from smidgen.eval.calls.baseline import Baseline, read
from smidgen.eval.calls.pipeline import Pipeline
from smidgen.messages import Message, Segment, ToolCall, ToolSpec
from smidgen.testing import ScriptedEngine

Model = Callable[..., AgentModel]
BOIL = ToolSpec(
    name="boil",
    description="Boil an egg for some minutes.",
    parameters={
        "type": "object",
        "properties": {"minutes": {"type": "number"}, "salt": {"type": "boolean"}},
        "required": ["minutes"],
    },
)
FRY = ToolSpec(name="fry", description="Fry an egg.", parameters={"type": "object", "properties": {}})


def asked(request: Request, *tools: ToolSpec) -> Item:
    return Item(id="a_0", category="a", request=request, tools=tools)


def shown(segments: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in segments)


async def test_the_model_alone_is_greedy_and_sees_the_tools_by_its_own_template(agent_model: Model) -> None:
    engine = ScriptedEngine(['{"name": "boil", "arguments": {"minutes": 4}}'])
    outcome = await Baseline(agent_model(engine)).solve(asked("Boil it for 4 minutes.", BOIL))
    assert outcome.calls == (ToolCall(name="boil", arguments={"minutes": 4}),)
    (request,) = engine.generated
    assert shown(request.prompt) == "tool: boil\nuser: Boil it for 4 minutes.\nassistant: "
    assert request.sampling.temperature == 0.0
    assert request.constraint is None
    assert outcome.prompt_tokens > 0
    assert outcome.completion_tokens > 0


async def test_a_template_without_a_place_for_tools_gets_them_in_a_system_message(agent_model: Model) -> None:
    engine = ScriptedEngine(["No."])
    outcome = await Baseline(agent_model(engine, shows_tools=False)).solve(
        asked([Message(role="user", content="Boil it.")], BOIL)
    )
    assert outcome.calls == ()
    assert outcome.notes["text"] == "No."
    assert '"boil"' in shown(engine.generated[0].prompt)


async def test_an_engines_failure_is_raised(agent_model: Model) -> None:
    engine = ScriptedEngine([EngineUnavailable("gone")])
    with pytest.raises(EngineUnavailable):
        await Baseline(agent_model(engine)).solve(asked("Boil it.", BOIL))


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('```json\n{"name": "boil", "arguments": {"minutes": "4"}}\n```', [("boil", {"minutes": "4"})]),
        ('{"name": "roast", "arguments": {}}', [("roast", {})]),
        ("boil(4, salt=None)", [("boil", {"minutes": 4, "salt": None})]),
        ("```python\nprint(4)\n```", []),
        ("You could boil it.", []),
        ("", []),
    ],
)
def test_the_baselines_text_is_read_leniently_but_not_improved(text: str, calls: list[tuple[str, object]]) -> None:
    assert [(call.name, call.arguments) for call in read(text, [BOIL])[0]] == calls


async def test_the_agents_way_runs_no_tool_and_writes_no_words(agent_model: Model) -> None:
    engine = ScriptedEngine(["boil(minutes=4)"], scores={"boil": -0.1, "fry": -3.0, "chat": -3.0})
    outcome = await Pipeline(agent_model(engine)).solve(asked("Boil the egg for 4 minutes.", BOIL, FRY))
    assert outcome.calls == (ToolCall(name="boil", arguments={"minutes": 4.0}),)
    assert len(engine.generated) == 1
    assert outcome.notes["trace"]


async def test_where_no_tool_is_needed_nothing_is_generated(agent_model: Model) -> None:
    engine = ScriptedEngine([], scores={"boil": -9.0, "chat": -0.1})
    outcome = await Pipeline(agent_model(engine)).solve(asked("Who are you?", BOIL))
    assert outcome.calls == ()
    assert not engine.generated


async def test_without_its_gate_it_always_calls(agent_model: Model) -> None:
    engine = ScriptedEngine(["fry()"], scores={"fry": -9.0, "chat": -0.1})
    outcome = await Pipeline(agent_model(engine)).with_steps(off={"gate"}).solve(asked("Who are you?", FRY))
    assert outcome.calls == (ToolCall(name="fry", arguments={}),)


async def test_without_tools_nothing_is_called_whatever_is_switched_off(agent_model: Model) -> None:
    engine = ScriptedEngine([])
    pipeline = Pipeline(agent_model(engine))
    assert (await pipeline.solve(asked("Hello."))).calls == ()
    assert (await pipeline.with_steps(off=pipeline.steps).solve(asked("Hello."))).calls == ()


def test_an_unknown_step_is_refused_with_those_there_are(agent_model: Model) -> None:
    pipeline = Pipeline(agent_model(ScriptedEngine([])))
    with pytest.raises(InvalidRequest, match="gate"):
        pipeline.with_steps(off={"gates"})
    with pytest.raises(InvalidRequest, match="none"):
        Baseline(agent_model(ScriptedEngine([]))).with_steps(off={"gate"})
