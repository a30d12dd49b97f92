"""What a runtime makes of a pattern, whatever that does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack

import pytest

from smidgen.agent import AgentModel
from smidgen.config import Config
from smidgen.errors import EngineUnavailable, InvalidRequest
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta
from smidgen.patterns import Resources, Task
from smidgen.patterns.plain import Direct
from smidgen.patterns.run import Run, guarded
from smidgen.runtime.agent import Agent
from smidgen.runtime.leased import Leased
from smidgen.runtime.patterned import Shared
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels

Answering = Callable[[Task, Resources], AsyncGenerator[AgentEvent, None]]


class Own:
    """A pattern of a user's own."""

    name = "own"

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return self._answering(task, resources)


def runtime_of(*answers: str) -> Runtime:
    return Runtime(
        Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": ScriptedEngine(answers, name="tiny")})
    )


async def raising(task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
    yield TextDelta(text="half")
    raise ValueError("oops")


async def endless(task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
    yield TextDelta(text="half")


async def unavailable(task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
    raise EngineUnavailable("gone")
    yield


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (raising, "internal", "ValueError: oops"),
        (endless, "internal", "own ended without Finished or Failed"),
        (unavailable, "engine_unavailable", "gone"),
    ],
)
async def test_every_stream_has_an_end(answer: Answering, code: str, told: str):
    runtime = runtime_of()
    async with runtime:
        events = [event async for event in Agent(runtime=runtime, pattern=Own(answer)).astream("hi")]
    ends = [event for event in events if isinstance(event, (Finished, Failed))]
    assert ends == events[-1:]
    (end,) = ends
    assert isinstance(end, Failed)
    assert end.error.code == code
    assert told in end.error.message


@pytest.mark.parametrize(("wrong", "code"), [(None, "engine_unavailable"), (ValueError("oops"), "internal")])
async def test_errors_of_a_task_group_keep_their_type(wrong: Exception | None, code: str):
    async def failing(error: Exception) -> None:
        raise error

    async def work() -> AsyncGenerator[AgentEvent, None]:
        async with asyncio.TaskGroup() as group:
            for error in (EngineUnavailable("gone"), wrong or EngineUnavailable("gone too")):
                group.create_task(failing(error))
        yield TextDelta(text="")

    (end,) = [event async for event in guarded(work)]
    assert isinstance(end, Failed)
    assert end.error.code == code


async def test_texts_written_at_once_lease_their_model_once(monkeypatch: pytest.MonkeyPatch):
    leases = 0
    load = Leased.load

    async def counted(self: Leased) -> tuple[AgentModel, tuple[Notice, ...]]:
        nonlocal leases
        leases += 1
        await asyncio.sleep(0)
        return await load(self)

    async def twice(task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        both = await asyncio.gather(run.write("one"), run.write("two"))
        text = " ".join(written.text for written in both)
        yield TextDelta(text=text)
        yield run.finished(text, "own")

    monkeypatch.setattr(Leased, "load", counted)
    runtime = runtime_of("a", "b")
    async with runtime:
        answer = await Agent(runtime=runtime, pattern=Own(twice)).arun("hi")
    assert answer.text in ("a b", "b a")
    assert leases == 1


async def test_a_load_that_was_given_up_is_begun_again_by_the_next(monkeypatch: pytest.MonkeyPatch):
    load = Leased.load

    async def slow(self: Leased) -> tuple[AgentModel, tuple[Notice, ...]]:
        await asyncio.sleep(0.01)
        return await load(self)

    monkeypatch.setattr(Leased, "load", slow)
    runtime = runtime_of()
    async with runtime, AsyncExitStack() as stack:
        shared = Shared(Leased(runtime, "tiny", stack))
        first = asyncio.create_task(shared.load())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        model, _ = await shared.load()
        assert model.name == "tiny"


@pytest.mark.parametrize("pattern", [None, Direct()])
async def test_half_a_character_is_the_callers_mistake(pattern: Direct | None):
    async with runtime_of("never") as runtime:
        with pytest.raises(InvalidRequest, match="lone surrogate at character 3"):
            await Agent(runtime=runtime, pattern=pattern).arun("hi \udcff")
