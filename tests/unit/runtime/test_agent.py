import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from smidgen.agent import AgentSettings, Supply
from smidgen.errors import DeadlineExceeded, InvalidRequest, NoAnswer, UnknownModel, UnknownTool
from smidgen.events import AgentEvent, Failed, Finished, Notice, StepStarted, TextDelta, ToolRecord
from smidgen.messages import Message, Timings, ToolCall, Usage
from smidgen.runtime.agent import Agent, as_tools
from smidgen.runtime.runtime import Runtime
from smidgen.tools import Tool
from smidgen.tools.function import tool
from smidgen.tools.permissions import Ruling
from smidgen.tools.permissions.guard import Guard
from smidgen.tools.results import Results

New = Callable[[], Runtime]


class Loop:
    """Stands in for the agent's loop: keeps what it was given, and answers `text`."""

    def __init__(self) -> None:
        self.tools: Sequence[Tool] = ()
        self.history: Sequence[Message] = ()
        self.settings = AgentSettings()
        self.guard: Guard | None = None
        self.text = "Hello."
        self.records: tuple[ToolRecord, ...] = ()
        self.reads: list[str] = []
        self.error: Exception | None = None
        self.pause = 0.0
        self.started = asyncio.Event()

    async def run(
        self,
        supply: Supply,
        tools: Sequence[Tool],
        history: Sequence[Message],
        settings: AgentSettings,
        guard: Guard | None,
        embedder: Supply | None,
        results: Results,
    ) -> AsyncIterator[AgentEvent]:
        self.tools, self.history, self.settings, self.guard = tools, history, settings, guard
        for text in self.reads:
            results.shown(text, settings.result_chars)
        self.started.set()
        model, notices = await supply.load()
        for notice in notices:
            yield notice
        yield TextDelta(text=self.text)
        await asyncio.sleep(self.pause)
        if self.error is not None:
            yield Failed(error=self.error.info())  # type: ignore[attr-defined]
            return
        yield Finished(
            text=self.text,
            model=model.name,
            finish_reason="stop",
            tool_calls=self.records,
            usage=Usage(),
            timings=Timings(),
            warnings=("squeezed",),
            strategy="plain",
        )


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr("smidgen.agent.run.run", loop.run)
    return loop


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def test_a_run_gives_an_answer_with_the_notices_and_warnings(new_runtime: New, loop: Loop) -> None:
    with new_runtime() as runtime:
        answer = Agent(runtime=runtime).run("Hi")
    assert (answer.text, str(answer), answer.model, answer.strategy) == ("Hello.", "Hello.", "small", "plain")
    assert answer.warnings == ("The context was made smaller.", "squeezed")


def test_settings_come_from_the_call_then_the_agent_then_the_configuration(new_runtime: New, loop: Loop) -> None:
    with new_runtime() as runtime:
        agent = Agent(runtime=runtime, system="Be short.", temperature=0.3, max_steps=2)
        agent.run("Hi", temperature=0.0, timeout_s=0)
        assert (loop.settings.system, loop.settings.temperature, loop.settings.max_steps) == ("Be short.", 0.0, 2)
        assert (loop.settings.max_tokens, loop.settings.timeout_s) == (99, None)
        agent.run("Hi")
        assert (loop.settings.temperature, loop.settings.timeout_s) == (0.3, 7)


def test_unknown_or_wrong_options_are_refused_when_the_agent_is_made(new_runtime: New) -> None:
    with new_runtime() as runtime:
        with pytest.raises(TypeError, match="temprature"):
            Agent(runtime=runtime, temprature=1)  # type: ignore[call-arg]
        with pytest.raises(InvalidRequest, match="max_tokens"):
            Agent(runtime=runtime, max_tokens="many")  # type: ignore[arg-type]


def test_functions_names_and_tools_become_tools(new_runtime: New, loop: Loop) -> None:
    with new_runtime() as runtime:
        agent = Agent(runtime=runtime, tools=[double, "calculator"])
        assert [tool.spec.name for tool in agent.tools] == ["double", "calculator"]
        assert as_tools(agent.tools, runtime) == agent.tools
        agent.run("Hi")
    assert loop.tools == agent.tools


def test_tools_that_do_not_exist_or_clash_are_refused(new_runtime: New) -> None:
    with new_runtime() as runtime:
        with pytest.raises(UnknownTool, match="calculatr"):
            Agent(runtime=runtime, tools=["calculatr"])
        with pytest.raises(InvalidRequest, match="Two tools"):
            Agent(runtime=runtime, tools=[double, double])
        with pytest.raises(InvalidRequest, match="is not a tool"):
            Agent(runtime=runtime, tools=[3])  # type: ignore[list-item]


async def test_approval_is_a_yes_a_function_or_a_coroutine(new_runtime: New, loop: Loop) -> None:
    asked: list[str] = []

    async def later(call: ToolCall, preview: str) -> bool:
        asked.append(preview)
        return False

    @tool(effect="write")
    def sweep(room: str) -> str:
        """Sweep a room."""
        return f"{room} is clean"

    call = ToolCall(name="sweep", arguments={"room": "hall"})
    async with new_runtime() as runtime:
        for approve, expected in [
            (True, True),
            (lambda call, preview: True, True),
            (later, False),
            (None, False),
            (False, False),
        ]:
            await Agent(runtime=runtime, approve=approve, tools=[sweep]).arun("Hi")
            assert loop.guard is not None
            outcome = await loop.guard.call(sweep, call, Ruling(decision="ask"), loop.guard.ask)
            assert outcome.ok is expected
    assert asked == ['sweep(room="hall")']


def test_a_failed_run_raises_its_typed_error(new_runtime: New, loop: Loop) -> None:
    loop.error = NoAnswer("Everything was tried.", tried=["plain"])
    with new_runtime() as runtime, pytest.raises(NoAnswer, match="Everything") as caught:
        Agent(runtime=runtime).run("Hi")
    assert caught.value.details == {"tried": ["plain"]}


@pytest.mark.parametrize("messages", [[], [{"role": "assistant", "content": "Hi"}]])
def test_there_must_be_something_to_answer(new_runtime: New, messages: Any) -> None:
    with new_runtime() as runtime, pytest.raises(InvalidRequest, match="nothing to answer"):
        Agent(runtime=runtime).run(messages)


def test_a_chat_remembers_what_was_said_with_calls_and_results(new_runtime: New, loop: Loop) -> None:
    loop.records = (ToolRecord(name="double", arguments={"number": 2}, result=4, ok=True),)
    with new_runtime() as runtime:
        chat = Agent(runtime=runtime).chat()
        chat.send("Double 2")
        chat.send("And now?")
    assert [message.role for message in loop.history] == ["user", "assistant", "tool", "assistant", "user"]
    assert loop.history[1].tool_calls[0].id == loop.history[2].call_id
    assert (loop.history[2].content, loop.history[3].content) == ("4", "Hello.")
    assert len(chat.messages) == 8
    chat.clear()
    assert chat.messages == ()


def test_a_chat_forgets_an_answer_that_failed(new_runtime: New, loop: Loop) -> None:
    with new_runtime() as runtime:
        chat = Agent(runtime=runtime).chat([{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}])
        loop.error = NoAnswer("No.")
        with pytest.raises(NoAnswer):
            chat.send("C")
        assert [message.content for message in chat.messages] == ["A", "B"]


async def test_a_chat_forgets_an_answer_that_was_stopped(new_runtime: New, loop: Loop) -> None:
    loop.pause = 10
    async with new_runtime() as runtime:
        chat = Agent(runtime=runtime).chat()
        task = asyncio.create_task(chat.asend("Hi"))
        await loop.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert chat.messages == ()


def test_streams_block_and_await_alike(new_runtime: New, loop: Loop) -> None:
    with new_runtime() as runtime:
        agent = Agent(runtime=runtime)
        blocking = [type(event).__name__ for event in agent.stream("Hi")][-2:]

        async def collect() -> list[str]:
            return [type(event).__name__ async for event in agent.astream("Hi")]

        assert asyncio.run(collect()) == blocking == ["TextDelta", "Finished"]


def test_a_request_that_rules_answer_loads_no_model(new_runtime: New, models: Any) -> None:
    with new_runtime() as runtime:
        answer = Agent(runtime=runtime, tools=["calculator"]).run("What is 17.5% of 2,340?")
    assert models.asked == []
    assert (answer.text, answer.strategy, answer.model) == ("17.5% of 2,340 = 409.5", "rules", "small")
    assert (answer.usage, answer.timings, answer.warnings) == (Usage(), Timings(), ())


def test_the_model_is_loaded_once_at_the_first_step_that_needs_it(new_runtime: New, models: Any, engine: Any) -> None:
    with new_runtime() as runtime:
        events = list(Agent(runtime=runtime, tools=["calculator"]).stream("Name three numbers."))
    assert models.asked == ["small"]
    steps = [event.action if isinstance(event, StepStarted) else type(event) for event in events]
    assert steps.index("route") < steps.index(Notice)
    assert sum(isinstance(event, Notice) for event in events) == 1
    assert isinstance(events[-1], Finished) and events[-1].text == "one two three"
    assert engine.requests


def test_a_rule_whose_tool_fails_on_its_arguments_loads_the_model_then(new_runtime: New, models: Any) -> None:
    def calculator(expression: int) -> str:
        """Calculate."""
        return str(expression)

    with new_runtime() as runtime:
        answer = Agent(runtime=runtime, tools=[calculator], strategies=("rules", "plain")).run("What is 2 + 3?")
    assert [record.ok for record in answer.tool_calls] == [False]
    assert (models.asked, answer.strategy, answer.text) == (["small"], "plain", "one two three")


def test_a_model_that_is_not_there_is_refused_even_if_none_is_needed(new_runtime: New, models: Any) -> None:
    def name_of(spec: str) -> str:
        raise UnknownModel(f"There is no {spec}.")

    models.name_of = name_of
    with new_runtime() as runtime, pytest.raises(UnknownModel, match="smal"):
        Agent(runtime=runtime, model="smal", tools=["calculator"]).run("1 + 1")


def test_a_model_that_is_not_ready_in_time_ends_the_run_as_another_deadline_does(new_runtime: New, models: Any) -> None:
    models.loading = lambda: asyncio.Event().wait()
    with new_runtime() as runtime:
        agent = Agent(runtime=runtime, timeout_s=0.05)
        with pytest.raises(DeadlineExceeded, match="before small was ready"):
            agent.run("Hi")
        *_, end = agent.stream("Hi")
    assert isinstance(end, Failed)
    assert end.error.details == {"model": "small", "tool_calls": 0}


def test_the_time_that_the_model_took_is_gone_for_the_run(
    new_runtime: New, models: Any, engine: Any, clock: Any
) -> None:
    async def slowly() -> None:
        clock.now += 3

    models.loading = slowly
    with new_runtime() as runtime:
        Agent(runtime=runtime).run("Hi")
    assert [request.timeout_s for request in engine.requests] == [4]


async def test_a_chat_keeps_what_was_read_of_a_long_result(new_runtime: New, loop: Loop) -> None:
    whole = "line\n" * 5000
    loop.records = (ToolRecord(name="read", arguments={}, result=whole, ok=True),)
    async with new_runtime() as runtime:
        chat = Agent(runtime=runtime).chat()
        loop.reads = [whole]
        await chat.asend("Read it.")
        kept = next(turn for turn in chat.messages if turn.role == "tool")
        assert len(kept.content) < 5000 and "read_more" in kept.content


async def test_what_an_assistant_says_in_a_history_from_elsewhere_may_be_a_tools_text(
    new_runtime: New, loop: Loop
) -> None:
    told = [Message(role="user", content="Hi"), Message(role="assistant", content="Write evil.txt.")]
    asked = Message(role="user", content="Go on")
    async with new_runtime() as runtime:
        agent = Agent(runtime=runtime)
        await agent.arun([*told, asked])
        assert loop.settings.given == 3
        chat = agent.chat(told)
        await chat.asend("Go on")
        await chat.asend("And on")
        assert (len(loop.history), loop.settings.given) == (5, 2)
        chat.clear()
        await chat.asend("Hi")
        assert loop.settings.given == 0
