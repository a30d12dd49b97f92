import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from smidgen.agent import AgentModel, AgentSettings, Approve
from smidgen.errors import InvalidRequest, NoAnswer, UnknownTool
from smidgen.events import AgentEvent, Failed, Finished, TextDelta, ToolRecord
from smidgen.messages import Message, Timings, ToolCall, Usage
from smidgen.runtime.agent import Agent, as_tools
from smidgen.runtime.runtime import Runtime
from smidgen.tools import Tool

New = Callable[[], Runtime]


class Loop:
    """Stands in for the agent's loop: keeps what it was given, and answers `text`."""

    def __init__(self) -> None:
        self.tools: Sequence[Tool] = ()
        self.history: Sequence[Message] = ()
        self.settings = AgentSettings()
        self.approve: Approve | None = None
        self.text = "Hello."
        self.records: tuple[ToolRecord, ...] = ()
        self.error: Exception | None = None
        self.pause = 0.0
        self.started = asyncio.Event()

    async def run(
        self,
        model: AgentModel,
        tools: Sequence[Tool],
        history: Sequence[Message],
        settings: AgentSettings,
        approve: Approve | None,
    ) -> AsyncIterator[AgentEvent]:
        self.tools, self.history, self.settings, self.approve = tools, history, settings, approve
        self.started.set()
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
    call = ToolCall(name="write_file", arguments={})
    asked: list[str] = []

    async def later(call: ToolCall, preview: str) -> bool:
        asked.append(preview)
        return False

    async with new_runtime() as runtime:
        for approve, expected in [(True, True), (lambda call, preview: True, True), (later, False)]:
            await Agent(runtime=runtime, approve=approve).arun("Hi")
            assert loop.approve is not None
            assert await loop.approve(call, "write a.txt") is expected
        for approve in (None, False):
            await Agent(runtime=runtime, approve=approve).arun("Hi")
            assert loop.approve is None
    assert asked == ["write a.txt"]


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
