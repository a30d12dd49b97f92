"""Chains over real faults: a worker process that is killed, a model that isn't there, one that is too slow."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from smidgen.config import Config
from smidgen.engine.local import LocalEngine
from smidgen.events import AgentEvent, Failed, FellBack, Finished, Resumed, TextDelta
from smidgen.patterns import Pattern, Resources, Task, task_of
from smidgen.patterns.fallback import Fallback, Refusal, Rules, Way
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.patterned import answered
from smidgen.runtime.runtime import Runtime
from smidgen.supervise.plan import Limits
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.wire import LoadOptions

QUICK = Limits(progress_limit_s=2.0, load_limit_s=20.0, abort_grace_s=0.5, close_grace_s=2.0, backoff_s=0.05)
REQUEST = "Tell me something"


@asynccontextmanager
async def worker(folder: Path, wishes: str = "", pace_s: float = 0.0) -> AsyncIterator[LocalEngine]:
    """A real process over a fake model. wishes: see smidgen.testing.worker."""
    options = LoadOptions(path=f"fake:{wishes}", pace_s=pace_s)
    module = "smidgen.testing.worker"
    async with LocalEngine("worker", options, limits=QUICK, worker_module=module, crash_folder=folder) as engine:
        yield engine


def runtime_of(engine: LocalEngine, other: ScriptedEngine) -> Runtime:
    return Runtime(Config(model="worker", audit="off"), models=ScriptedModels({"worker": engine, "other": other}))


def chain(first: Way) -> Fallback:
    return Fallback(ways=(first, Way(pattern=Direct(model="other")), Way(pattern=Refusal())))


async def ask(runtime: Runtime, pattern: Pattern) -> list[AgentEvent]:
    return [event async for event in answered(runtime, pattern, task_of(REQUEST), timeout_s=60)]


def ended(events: list[AgentEvent]) -> Finished:
    assert isinstance(events[-1], Finished), events[-1]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == events[-1].text
    return events[-1]


async def test_a_worker_killed_once_goes_on_and_nothing_falls_back(tmp_path: Path) -> None:
    async with (
        worker(tmp_path, f"fault=kill@token:10&times=1&counter={tmp_path / 'count'}") as engine,
        runtime_of(engine, ScriptedEngine(["other"])) as runtime,
    ):
        events = await ask(runtime, chain(Way(pattern=Direct(max_tokens=40))))
    assert any(isinstance(event, Resumed) for event in events)
    assert not any(isinstance(event, FellBack) for event in events)
    assert ended(events).model == "worker"


async def kill_for_ever(engine: LocalEngine) -> None:
    while True:
        if engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


async def test_a_worker_killed_again_and_again_leaves_it_to_another_model(tmp_path: Path) -> None:
    async with worker(tmp_path) as engine, runtime_of(engine, ScriptedEngine(["other"])) as runtime:
        killing = asyncio.create_task(kill_for_ever(engine))
        try:
            events = await ask(runtime, chain(Way(pattern=Direct(max_tokens=2000))))
        finally:
            killing.cancel()
    end = ended(events)
    assert (end.text, end.model) == ("other", "other")
    (told,) = end.warnings
    assert told.startswith("direct (other) answered, as others did not. direct: ")
    assert len([event for event in events if isinstance(event, FellBack)]) == 1


async def test_a_text_that_was_shown_and_then_breaks_is_not_mixed_with_another_models(tmp_path: Path) -> None:
    other = ScriptedEngine(["other"])
    killing: asyncio.Task[None] | None = None
    async with worker(tmp_path, "step=0.02") as engine, runtime_of(engine, other) as runtime:
        pattern = chain(Way(pattern=Direct(max_tokens=2000), stream=True))
        events: list[AgentEvent] = []
        try:
            async for event in answered(runtime, pattern, task_of(REQUEST), timeout_s=60):
                events.append(event)
                if isinstance(event, TextDelta) and killing is None:
                    killing = asyncio.create_task(kill_for_ever(engine))
        finally:
            assert killing is not None
            killing.cancel()
    assert isinstance(events[-1], Failed)
    assert not other.generated


async def test_at_its_limit_the_worker_stops_writing(tmp_path: Path) -> None:
    async with (
        worker(tmp_path, "step=0.05") as engine,
        runtime_of(engine, ScriptedEngine(["other"])) as runtime,
    ):
        events = await ask(runtime, chain(Way(pattern=Direct(max_tokens=2000), deadline_s=0.5)))
        assert ended(events).text == "other"
        assert "time limit" in ended(events).warnings[0]
        for _ in range(100):
            if not (await engine.stats())["running"]:
                break
            await asyncio.sleep(0.05)
        stats = await engine.stats()
        assert (stats["running"], stats["waiting"], stats["in_flight"]) == (0, 0, 0)


async def test_models_that_are_not_there_leave_it_to_the_rules(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but no more")
    pattern = Fallback(
        ways=(
            Way(pattern=Direct(model="no-such-model-at-all")),
            Way(pattern=Direct(model=str(broken))),
            Way(pattern=Rules(tools=("calculator",))),
            Way(pattern=Refusal()),
        )
    )
    async with Runtime(Config(model=str(broken), audit="off", home=str(tmp_path / "home"))) as runtime:
        agent = Agent(runtime=runtime, pattern=pattern)
        answer = await agent.arun("What is 12 * 12?")
        assert "144" in answer.text
        assert "no-such-model-at-all" in answer.warnings[0]
        refused = await agent.arun("Who was the first to climb it?")
    assert refused.strategy == "fallback: refusal"
    assert "no-such-model-at-all" in refused.text and "broken.gguf" in refused.text


async def test_a_pattern_that_never_ends_is_closed_at_its_limit(tmp_path: Path) -> None:
    class Stuck:
        name = "stuck"
        closed = False

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            try:
                async with aclosing(Direct(max_tokens=2000).answer(task, resources)) as events:
                    async for _ in events:
                        await asyncio.sleep(3600)
                        yield TextDelta(text="never")
            finally:
                self.closed = True

    stuck = Stuck()
    async with worker(tmp_path) as engine, runtime_of(engine, ScriptedEngine(["other"])) as runtime:
        events = await ask(runtime, chain(Way(pattern=stuck, deadline_s=0.5)))
    assert ended(events).text == "other"
    assert stuck.closed


@pytest.mark.parametrize("name", ["first", "second"])
async def test_a_way_that_is_broken_is_not_asked_for_ever(tmp_path: Path, name: str) -> None:
    """After three failures in a row it rests: the next request doesn't wait for it again."""
    broken = tmp_path / f"{name}.gguf"
    broken.write_bytes(b"no model")
    pattern = Fallback(ways=(Way(pattern=Direct(model=str(broken)), name=name), Way(pattern=Refusal())))
    async with Runtime(Config(model=str(broken), audit="off", home=str(tmp_path / "home"))) as runtime:
        agent = Agent(runtime=runtime, pattern=pattern)
        told = [(await agent.arun("hi")).text for _ in range(4)]
    assert [f"{name}: not tried" in text for text in told] == [False, False, False, True]
