"""The loop with a scripted model: what it does and tells, and that every run ends in exactly one terminal event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.agent import AgentModel, AgentSettings
from smidgen.agent.run import run
from smidgen.errors import ConstraintError, ContextOverflow, EngineCrashed, EngineUnavailable, SmidgenError
from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    Asked,
    EngineEvent,
    Failed,
    FellBack,
    Finished,
    Notice,
    Prefilled,
    Routed,
    TextDelta,
    ToolCalled,
    ToolReturned,
)
from smidgen.messages import GenerateRequest, Message, Prompt, ScoreRequest, ScoreResult, ToolCall
from smidgen.testing import FakeBackend, ScriptedEngine
from smidgen.tools import Tool
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.function import tool
from smidgen.tools.permissions.guard import Guard
from smidgen.wire import LoadOptions

Make = Callable[..., AgentModel]
CALC: tuple[Tool, ...] = builtin_tools(None, ("calculator",))


@tool
def lookup(word: str) -> str:
    """Look up a word in the dictionary."""
    if word == "missing":
        raise FileNotFoundError("no such word")
    return f"{word} means something"


@tool(effect="write")
def note(text: str) -> str:
    """Keep a note."""
    return f"kept {text}"


def said(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(role=cast(Any, roles[index % 2]), content=text) for index, text in enumerate(texts)]


async def events_of(
    model: AgentModel, tools: Sequence[Tool], history: Sequence[Message], **options: Any
) -> list[AgentEvent]:
    approve = options.pop("approve", None)
    return [event async for event in run(model, tools, history, AgentSettings(**options), Guard(ask=approve))]


def end_of(events: list[AgentEvent]) -> Finished:
    terminal = [event for event in events if isinstance(event, (Finished, Failed))]
    assert len(terminal) == 1 and events[-1] is terminal[0]
    assert isinstance(terminal[0], Finished), terminal[0]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == terminal[0].text
    return terminal[0]


async def test_plain_chat_streams_the_answer(agent_model: Make) -> None:
    engine = ScriptedEngine(["Hello there, friend."])
    events = await events_of(agent_model(engine), (), said("hi"), system="Be kind.", temperature=0.1, seed=7)
    end = end_of(events)
    assert (end.text, end.strategy, end.tool_calls) == ("Hello there, friend.", "plain", ())
    assert end.usage.completion_tokens > 0
    request = engine.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert request.prompt[0].text.startswith("system: Be kind.\nuser: hi")
    assert (request.sampling.temperature, request.sampling.seed) == (0.1, 7)


async def test_arithmetic_is_answered_without_the_model(agent_model: Make) -> None:
    engine = ScriptedEngine([])
    end = end_of(await events_of(agent_model(engine), CALC, said("What is 17.5% of 2,340?")))
    assert end.text == "17.5% of 2,340 = 409.5"
    assert (end.strategy, end.tool_calls[0].name, end.tool_calls[0].result) == ("rules", "calculator", "409.5")
    assert not [request for request in engine.requests if isinstance(request, (GenerateRequest, ScoreRequest))]


async def test_a_worded_problem_is_routed_filled_checked_and_called(agent_model: Make) -> None:
    engine = ScriptedEngine(['calculator(expression="80 - 15%")'], scores={"calculator": -0.1, "chat": -3.0})
    events = await events_of(
        agent_model(engine), CALC, said("A shirt costs 80 dollars, with 15% taken away for the stain. What remains?")
    )
    end = end_of(events)
    assert (end.text, end.strategy) == ("80 - 15% = 68", "constrained")
    call = next(request for request in engine.requests if isinstance(request, GenerateRequest))
    assert call.constraint is not None and call.sampling.temperature == 0


async def test_a_mark_that_is_a_control_token_is_written_as_one(agent_model: Make) -> None:
    written = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "80 - 15%"}}\n</tool_call>'
    info = FakeBackend(LoadOptions(path="")).info
    for controls in ((), ("<tool_call>", "</tool_call>")):
        engine = ScriptedEngine([written])
        known = msgspec.structs.replace(info, control_tokens=controls)
        model = msgspec.structs.replace(agent_model(engine, dialect="hermes"), info=known)
        await events_of(model, CALC, said("Take 15% of 80 away from it."), tool_choice="calculator")
        call = next(request for request in engine.requests if isinstance(request, GenerateRequest))
        assert call.constraint is not None
        assert ('"<tool_call>"' in call.constraint.source) is not bool(controls)


async def test_hi_calls_nothing(agent_model: Make) -> None:
    engine = ScriptedEngine(["Hello!"], scores={"calculator": -6.0, "chat": -0.1})
    events = await events_of(agent_model(engine), CALC, said("hi"))
    assert end_of(events).strategy == "plain"
    assert not [event for event in events if isinstance(event, (ToolCalled, FellBack))]


async def test_a_result_is_put_into_words_and_its_number_is_never_lost(agent_model: Make) -> None:
    @tool
    def population(country: str) -> int:
        """Tell the population of a country."""
        return 9_000_001

    scores = {"population": -0.1, "chat": -3.0}
    script = ['population(country="Austria")', "It is about nine million."]
    events = await events_of(
        agent_model(ScriptedEngine(script, scores=scores)), (population,), said("population of Austria")
    )
    end = end_of(events)
    assert end.text == "It is about nine million.\n\npopulation: 9000001"
    assert any("left the tool's result out" in warning for warning in end.warnings)


async def test_an_ungrounded_call_is_retried_with_a_hint_then_given_up(agent_model: Make) -> None:
    script = ['calculator(expression="41 + 8")', 'calculator(expression="42 + 8")'] * 2 + ["Plain words."]
    engine = ScriptedEngine(script, scores={"calculator": -0.1, "chat": -3.0})
    events = await events_of(agent_model(engine), CALC, said("I have 3 boxes with 15 eggs each, how many eggs?"))
    end = end_of(events)
    assert (end.text, end.strategy) == ("Plain words.", "plain")
    hops = [(event.from_strategy, event.to_strategy) for event in events if isinstance(event, FellBack)]
    assert hops == [("constrained", "simplified"), ("simplified", "plain")]
    assert not [event for event in events if isinstance(event, ToolCalled)]
    second = [request for request in engine.requests if isinstance(request, GenerateRequest)][1]
    assert "doesn't stand in the request" in second.prompt[0].text and "12.5" not in second.prompt[0].text
    assert len(end.warnings) == 2


async def test_a_failing_tool_is_told_and_not_called_twice(agent_model: Make) -> None:
    engine = ScriptedEngine(['lookup(word="missing")'], scores={"lookup": -0.1, "chat": -3.0})
    events = await events_of(agent_model(engine), (lookup,), said("look up missing"))
    end = end_of(events)
    assert end.strategy == "refusal" and "no such word" in end.text
    assert [record.ok for record in end.tool_calls] == [False]


async def test_side_effects_ask_and_a_no_is_final(agent_model: Make) -> None:
    scores = {"note": -0.1, "chat": -3.0}
    asked: list[str] = []

    async def ask(call: ToolCall, preview: str) -> bool:
        asked.append(preview)
        return False

    for approve in (ask, None):
        engine = ScriptedEngine(['note(text="milk")'], scores=scores)
        events = await events_of(agent_model(engine), (note,), said("note: milk"), approve=approve)
        assert [type(event) for event in events if isinstance(event, (ApprovalNeeded, ToolCalled, ToolReturned))] == [
            ApprovalNeeded,
            ToolCalled,
            ToolReturned,
        ]
        assert end_of(events).strategy == "refusal"
    assert asked == ['note(text="milk")']


async def test_the_caller_may_choose_or_forbid_tools(agent_model: Make) -> None:
    forbidden = ScriptedEngine(["Four."])
    end = end_of(await events_of(agent_model(forbidden), CALC, said("2+2"), tool_choice="none"))
    assert end.text == "Four."
    chosen = ScriptedEngine(['lookup(word="cat")', "A cat."])
    end = end_of(await events_of(agent_model(chosen), (*CALC, lookup), said("cat"), tool_choice="lookup"))
    assert end.tool_calls[0].name == "lookup"
    wrong = await events_of(agent_model(ScriptedEngine([])), CALC, said("cat"), tool_choice="calculater")
    assert isinstance(wrong[-1], Failed) and wrong[-1].error.details["near"] == ["calculator"]


async def test_history_that_does_not_fit_is_dropped_oldest_first_and_said(agent_model: Make) -> None:
    engine = ScriptedEngine(["Fine."], context=400)
    history = said(*(f"turn {number} " + "x" * 60 for number in range(10)), "last question")
    events = await events_of(agent_model(engine), (), history)
    end = end_of(events)
    request = engine.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert "last question" in request.prompt[0].text and "turn 9" in request.prompt[0].text
    assert "turn 0" not in request.prompt[0].text
    assert [event.code for event in events if isinstance(event, Notice)] == ["history_dropped"]
    assert any("older messages" in warning for warning in end.warnings)


async def test_a_request_too_long_by_itself_says_by_how_much(agent_model: Make) -> None:
    events = await events_of(agent_model(ScriptedEngine([], context=200)), (), said("x" * 500))
    failed = events[-1]
    assert isinstance(failed, Failed) and failed.error.code == "context_overflow"
    assert failed.error.details["part"] == "request" and failed.error.details["over_by"] > 300
    system = await events_of(agent_model(ScriptedEngine([], context=200)), (), said("hi"), system="x" * 500)
    assert isinstance(system[-1], Failed) and system[-1].error.details["part"] == "system"


async def test_endless_repetition_is_stopped_and_said(agent_model: Make) -> None:
    end = end_of(await events_of(agent_model(ScriptedEngine(["again and again " * 100])), (), said("go on")))
    assert len(end.text) < 400 and end.finish_reason == "length"
    assert any("repeat" in warning for warning in end.warnings)
    assert end.usage.prompt_tokens > 0 and end.usage.completion_tokens == len(end.text)
    assert end.timings.decode_s > 0


@tool
def order(item: str, count: int) -> str:
    """Order pieces of an item from the shop."""
    return f"ordered {count} of {item}"


async def test_a_required_number_that_nobody_said_is_asked_for(agent_model: Make) -> None:
    engine = ScriptedEngine(['order(item="saw", count=17)'], scores={"order": -0.1, "chat": -3.0})
    events = await events_of(agent_model(engine), (order,), said("order the item saw from a shop"))
    assert [event.missing for event in events if isinstance(event, Asked)] == [("count",)]
    end = end_of(events)
    assert "count" in end.text and not [event for event in events if isinstance(event, ToolCalled)]


@pytest.mark.parametrize("request_text", ["order 12 pieces of the item saw", "sing of the sea"])
async def test_nothing_is_asked_where_a_number_was_said_or_the_tool_is_far_from_the_request(
    agent_model: Make, request_text: str
) -> None:
    engine = ScriptedEngine(['order(item="saw", count=17)'] * 4 + ["Words."], scores={"order": -0.01, "chat": -30.0})
    events = await events_of(agent_model(engine), (order,), said(request_text))
    assert not [event for event in events if isinstance(event, (Asked, ToolCalled))]
    end_of(events)


async def test_a_silent_model_leads_to_an_honest_refusal(agent_model: Make) -> None:
    end = end_of(await events_of(agent_model(ScriptedEngine([""])), (), said("hello")))
    assert end.strategy == "refusal" and "empty" in end.text


async def test_a_call_that_was_cut_off_is_not_made(agent_model: Make) -> None:
    cut = f'lookup(word="{"x" * 600}'
    engine = ScriptedEngine([cut, cut, cut, cut, "Words."], scores={"lookup": -0.1, "chat": -3.0})
    events = await events_of(agent_model(engine), (lookup,), said("look up " + "x" * 600))
    assert end_of(events).text == "Words."
    assert not [event for event in events if isinstance(event, ToolCalled)]


async def test_earlier_calls_are_told_in_the_dialect(agent_model: Make) -> None:
    call = ToolCall(name="lookup", arguments={"word": "cat"}, id="c1")
    history = [
        *said("what is a cat"),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="an animal", name="lookup", call_id="c1"),
        Message(role="assistant", content="An animal."),
        Message(role="user", content="Thanks!"),
    ]
    engine = ScriptedEngine(["You're welcome."])
    end = end_of(await events_of(agent_model(engine), (), history))
    assert end.strategy == "plain"
    request = engine.requests[-1]
    assert isinstance(request, GenerateRequest)
    assert 'lookup(word="cat")' in request.prompt[0].text and "lookup returned:\nan animal" in request.prompt[0].text


async def test_a_conversation_without_a_request_is_refused(agent_model: Make) -> None:
    events = await events_of(agent_model(ScriptedEngine([])), (), [])
    assert len(events) == 1 and isinstance(events[0], Failed) and events[0].error.fault == "caller"


async def test_the_time_limit_ends_the_run(agent_model: Make) -> None:
    @tool
    async def sleep(word: str) -> str:
        """Sleep on a word."""
        await asyncio.sleep(30)
        return word

    engine = ScriptedEngine(['sleep(word="cat")'], scores={"sleep": -0.1, "chat": -3.0})
    events = await events_of(agent_model(engine), (sleep,), said("sleep on cat"), timeout_s=0.3)
    assert isinstance(events[-1], (Failed, Finished))
    assert any(isinstance(event, ToolReturned) and not event.ok for event in events)


class Narrow(ScriptedEngine):
    """Refuses to score prompts of more than `limit` bytes."""

    def __init__(self, answers: list[Any], limit: int) -> None:
        super().__init__(answers, scores={"lookup": -0.1, "chat": -3.0})
        self.limit = limit
        self.refused = 0

    async def score(self, request: ScoreRequest) -> ScoreResult:
        if sum(len(segment.text) for segment in request.prompt) > self.limit:
            self.refused += 1
            raise ContextOverflow("The prompt is too long.")
        return await super().score(request)


def many_tools() -> list[Tool]:
    def offer(number: int) -> Tool:
        @tool(name=f"chore_{number}", description=f"Do chore number {number}: " + "dust and sweep and polish " * 8)
        def chore() -> str:
            return "done"

        return chore

    return [lookup, *(offer(number) for number in range(20))]


async def test_tools_that_do_not_fit_into_the_routing_prompt_are_tried_with_a_simpler_one(agent_model: Make) -> None:
    engine = Narrow(['lookup(word="cat")', "cat means something"], 2000)
    events = await events_of(agent_model(engine), many_tools(), said("look up cat in the dictionary"))
    end = end_of(events)
    assert engine.refused and [record.name for record in end.tool_calls] == ["lookup"]
    assert end.strategy == "simplified"
    hops = [(event.from_strategy, event.to_strategy) for event in events if isinstance(event, FellBack)]
    assert hops == [("constrained", "simplified")]
    assert [event.code for event in events if isinstance(event, Notice)] == ["routing_failed"]
    assert any("too long" in warning for warning in end.warnings)
    assert [event.strategy for event in events if isinstance(event, Routed)] == ["simplified"]


async def test_where_no_tool_can_be_chosen_the_plain_answer_says_so(agent_model: Make) -> None:
    events = await events_of(agent_model(Narrow(["Words."], 10)), (lookup,), said("look up cat in the dictionary"))
    end = end_of(events)
    assert (end.text, end.strategy) == ("Words.", "plain")
    assert len(end.warnings) == 2 and all("too long" in warning for warning in end.warnings)


@pytest.mark.parametrize("choice", ["required", "lookup"])
async def test_a_required_call_that_cannot_be_made_is_refused_not_answered_in_words(
    agent_model: Make, choice: str
) -> None:
    engine = Narrow(["no call"] * 8, 10)
    end = end_of(await events_of(agent_model(engine), (lookup,), said("cat"), tool_choice=choice))
    assert end.strategy == "refusal" and end.tool_calls == ()
    assert "could not answer" in end.text and end.warnings


async def test_a_required_call_is_made_even_if_only_the_simpler_prompt_fits(agent_model: Make) -> None:
    engine = Narrow(['lookup(word="cat")', "cat means something"], 2200)
    events = await events_of(agent_model(engine), many_tools(), said("cat"), tool_choice="required")
    assert [record.name for record in end_of(events).tool_calls] == ["lookup"]


async def test_a_required_call_without_tools_is_the_callers_mistake(agent_model: Make) -> None:
    events = await events_of(agent_model(ScriptedEngine(["Words."])), (), said("cat"), tool_choice="required")
    assert isinstance(events[-1], Failed) and events[-1].error.fault == "caller"


class Waiting(ScriptedEngine):
    """Hangs where it is told to, whatever time limit it is given."""

    def __init__(self, where: str, answers: list[Any]) -> None:
        super().__init__(answers, scores={"lookup": -0.1, "note": -0.1, "chat": -3.0})
        self.where = where

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        if self.where == "tokenize":
            await asyncio.Event().wait()
        return await super().tokenize(prompt, timeout_s=timeout_s)

    async def score(self, request: ScoreRequest) -> ScoreResult:
        if self.where == "score":
            await asyncio.Event().wait()
        return await super().score(request)

    async def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        yield Prefilled(prompt_tokens=7, cached_tokens=2)
        if self.where == "stream":
            yield TextDelta(text="some ")
            yield TextDelta(text="words")
        await asyncio.Event().wait()


@pytest.mark.parametrize("where", ["tokenize", "score", "generate"])
async def test_the_time_limit_cuts_whatever_is_waited_for(agent_model: Make, where: str) -> None:
    async with asyncio.timeout(20):
        tools = (lookup,) if where == "score" else ()
        events = await events_of(agent_model(Waiting(where, [])), tools, said("look up cat"), timeout_s=0.1)
    assert isinstance(events[-1], Failed) and events[-1].error.code == "deadline_exceeded"


async def test_what_was_said_by_the_time_limit_is_kept(agent_model: Make) -> None:
    async with asyncio.timeout(20):
        end = end_of(await events_of(agent_model(Waiting("stream", [])), (), said("go on"), timeout_s=0.1))
    assert (end.text, end.finish_reason) == ("some words", "deadline")
    assert (end.usage.prompt_tokens, end.usage.cached_tokens, end.usage.completion_tokens) == (7, 2, 2)
    assert end.timings.decode_s > 0


async def test_an_approval_that_never_comes_ends_at_the_time_limit_and_nothing_ran(agent_model: Make) -> None:
    ran: list[str] = []

    @tool(effect="write")
    def note(text: str) -> str:
        """Keep a note."""
        ran.append(text)
        return "kept"

    async def ask(call: ToolCall, preview: str) -> bool:
        await asyncio.Event().wait()
        return True

    engine = ScriptedEngine(['note(text="milk")'], scores={"note": -0.1, "chat": -3.0})
    async with asyncio.timeout(20):
        events = await events_of(agent_model(engine), (note,), said("note: milk"), timeout_s=0.2, approve=ask)
    returned = [event for event in events if isinstance(event, ToolReturned)]
    assert [event.ok for event in returned] == [False] and "did not run" in returned[0].result
    failed = events[-1]
    assert isinstance(failed, Failed) and failed.error.code == "deadline_exceeded"
    assert failed.error.details["tool_calls"] == 1 and not ran


@pytest.mark.parametrize("where", ["tokenize", "stream"])
async def test_cancelling_under_a_time_limit_is_still_cancelling(agent_model: Make, where: str) -> None:
    task = asyncio.create_task(events_of(agent_model(Waiting(where, [])), (), said("hi"), timeout_s=60))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_of_the_engines_own_is_not_the_runs(agent_model: Make) -> None:
    events = await events_of(agent_model(Trouble(TimeoutError("mine"), when="start")), (), said("hi"), timeout_s=60)
    assert isinstance(events[-1], Failed) and events[-1].error.code == "internal"


async def test_history_dropped_from_the_prompt_of_a_call_is_said_once(agent_model: Make) -> None:
    engine = ScriptedEngine(
        ['lookup(word="cat")', "cat means something"], scores={"lookup": -0.1, "chat": -3.0}, context=1200
    )
    history = said(*(f"turn {number} " + "x" * 120 for number in range(10)), "look up cat in the dictionary")
    events = await events_of(agent_model(engine), (lookup,), history, max_tokens=64)
    notices = [index for index, event in enumerate(events) if isinstance(event, Notice)]
    called = [index for index, event in enumerate(events) if isinstance(event, ToolCalled)]
    assert len(notices) == 1 and notices[0] < called[0]
    assert sum("older messages" in warning for warning in end_of(events).warnings) == 1


async def test_a_constraint_that_cannot_be_made_moves_on(agent_model: Make) -> None:
    engine = ScriptedEngine(
        [ConstraintError("too large"), ConstraintError("too large"), "Words."], scores={"lookup": -0.1, "chat": -3.0}
    )
    events = await events_of(agent_model(engine), (lookup,), said("look up cat in the dictionary"))
    assert end_of(events).text == "Words."


class Trouble(ScriptedEngine):
    """Raises, or ends its stream in Failed, at a chosen moment."""

    def __init__(self, error: BaseException, *, when: str) -> None:
        super().__init__(["word " * 20], scores={"lookup": -0.1, "chat": -3.0})
        self.error, self.when = error, when

    async def score(self, request: ScoreRequest) -> ScoreResult:
        if self.when == "score":
            raise self.error
        return await super().score(request)

    async def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        if self.when == "failed":
            assert isinstance(self.error, SmidgenError)
            yield Failed(error=self.error.info())
            return
        if self.when == "stream":
            yield TextDelta(text="some ")
        raise self.error


@pytest.mark.parametrize("when", ["score", "start", "stream", "failed"])
@pytest.mark.parametrize("error", [EngineUnavailable("gone"), EngineCrashed("crashed"), RuntimeError("bug")])
async def test_trouble_of_any_kind_ends_in_one_failed(agent_model: Make, when: str, error: BaseException) -> None:
    if when == "failed" and not isinstance(error, SmidgenError):
        error = EngineCrashed("x")
    tools = (lookup,) if when == "score" else ()
    events = await events_of(agent_model(Trouble(error, when=when)), tools, said("look up cat"))
    terminal = [event for event in events if isinstance(event, (Finished, Failed))]
    assert len(terminal) == 1 and isinstance(terminal[0], Failed) and events[-1] is terminal[0]
    assert terminal[0].error.code == (error.code if isinstance(error, SmidgenError) else "internal")


async def test_closing_the_stream_closes_the_engines(agent_model: Make) -> None:
    closed: list[bool] = []

    class Endless(ScriptedEngine):
        async def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
            try:
                while True:
                    yield TextDelta(text=f"{len(closed)} ")
                    await asyncio.sleep(0)
            finally:
                closed.append(True)

    stream = cast("AsyncGenerator[AgentEvent, None]", run(agent_model(Endless([])), (), said("hi")))
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    await stream.aclose()
    assert closed == [True]


async def test_cancelling_the_task_is_not_swallowed(agent_model: Make) -> None:
    class Slow(ScriptedEngine):
        async def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
            await asyncio.sleep(30)
            yield TextDelta(text="late")

    task = asyncio.create_task(events_of(agent_model(Slow([])), (), said("hi")))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


WRITTEN = (
    'calculator(expression="2*3")',
    'calculator(expression="1/0")',
    'lookup(word="missing")',
    'lookup(word="cat")',
    "lookup(",
    "words",
    "",
    "x(" * 50,
    EngineCrashed("x"),
    ConstraintError("x"),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    script=st.lists(st.sampled_from(WRITTEN), max_size=8),
    scores=st.fixed_dictionaries({name: st.floats(-9, 0) for name in ("calculator", "lookup", "chat")}),
    request_text=st.sampled_from(["look up cat", "2 * 3 eggs", "hi", "1/0", "lookup(word='cat')", ""]),
)
async def test_any_script_ends_once_and_repeats_no_failing_call(
    agent_model: Make, script: list[Any], scores: dict[str, float], request_text: str
) -> None:
    model = agent_model(ScriptedEngine(script, scores=scores))
    events = await events_of(model, (*CALC, lookup), said(request_text))
    terminal = [event for event in events if isinstance(event, (Finished, Failed))]
    assert len(terminal) == 1 and events[-1] is terminal[0]
    calls = [(event.call.name, str(event.call.arguments)) for event in events if isinstance(event, ToolCalled)]
    assert len(calls) == len(set(calls))
