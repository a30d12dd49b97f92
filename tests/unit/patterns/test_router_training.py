"""The router's head: trained once, in a thread, whatever becomes of the runs that wait for it; and rules."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import DeadlineExceeded, EngineUnavailable
from smidgen.messages import Embeddings
from smidgen.patterns.router import Intent, Router
from smidgen.patterns.router import router as module
from smidgen.patterns.router.classifier import Trained, Vectors
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels

HOURS = Intent(name="hours", examples=("when do you open", "open today?", "opening hours"), template="At nine.")
REFUND = Intent(name="refund", examples=("a refund", "refund it", "i want a refund"), template="Gladly.")


class Gated(Router):
    """Trains when `gate` is open. trained: how often that was begun."""

    def __init__(self, **options: Any) -> None:
        super().__init__([HOURS, REFUND], otherwise="No.", **options)
        self.gate, self.begun, self.trained = threading.Event(), threading.Event(), 0

    def _train(self, vectors: Vectors | None) -> Trained:
        self.trained += 1
        self.begun.set()
        assert self.gate.wait(20)
        return super()._train(vectors)


class Flaky(ScriptedEngine):
    """An embedder that fails at one of its calls, counted from 1. asked: the numbers of texts."""

    def __init__(self, fails: int = 0) -> None:
        super().__init__(name="mini")
        self.fails, self.asked = fails, list[int]()

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        self.asked.append(len(texts))
        if self.fails in (-1, len(self.asked)):
            raise EngineUnavailable("It is gone.")
        return Embeddings(
            vectors=tuple((float("open" in one), float("open" not in one)) for one in texts), dimensions=2
        )


def runtime_of(embedder: ScriptedEngine | None = None) -> Runtime:
    engines: dict[str, Any] = {"tiny": ScriptedEngine(name="tiny")}
    if embedder is not None:
        engines["mini"] = embedder
    models = ScriptedModels(engines, embedder="mini" if embedder else "")
    return Runtime(Config(model="tiny", audit="off"), models=models)


@pytest.fixture
async def runtime() -> AsyncGenerator[Runtime, None]:
    async with runtime_of() as runtime:
        yield runtime


async def test_a_run_keeps_its_time_limit_while_the_head_is_trained(runtime: Runtime) -> None:
    router = Gated(embeds=False)
    try:
        async with asyncio.timeout(15):
            first = asyncio.create_task(Agent(runtime=runtime, pattern=router).arun("open?"))
            for _ in range(2):  # one that waits for the other's training, and it again
                with pytest.raises(DeadlineExceeded):
                    await Agent(runtime=runtime, pattern=router, timeout_s=0.05).arun("open?")
            assert not first.done()
    finally:
        router.gate.set()
    assert (await first).text == "At nine."
    assert router.trained == 1


async def test_a_training_whose_run_was_cancelled_is_not_begun_again(runtime: Runtime) -> None:
    router = Gated(embeds=False)
    agent = Agent(runtime=runtime, pattern=router)
    try:
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                await Agent(runtime=runtime, pattern=router, timeout_s=0.05).arun("open?")
        await asyncio.to_thread(router.begun.wait, 10)
        assert router.trained == 1
    finally:
        router.gate.set()
    assert (await agent.arun("open?")).text == "At nine."
    assert router.trained == 1


async def test_without_the_embedder_it_is_trained_once_for_all_that_ask() -> None:
    router = Gated()
    router.gate.set()
    async with runtime_of(Flaky(fails=-1)) as runtime:
        agent = Agent(runtime=runtime, pattern=router)
        answers = await asyncio.gather(*(agent.arun("when do you open") for _ in range(5)))
    assert {answer.text for answer in answers} == {"At nine."}
    assert all("It is gone." in answer.warnings[0] for answer in answers)
    assert router.trained == 1


async def test_what_was_embedded_is_kept_when_a_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    embedder = Flaky(fails=2)
    router = Gated()
    router.gate.set()
    async with runtime_of(embedder) as runtime:
        agent = Agent(runtime=runtime, pattern=router)
        assert (await agent.arun("when do you open")).warnings
        assert not (await agent.arun("when do you open")).warnings
    assert embedder.asked == [2, 2, 2, 2, 1], "six examples, of which the second two were asked for again; the request"


async def test_a_long_request_is_compared_by_its_beginning() -> None:
    seen: list[int] = []

    class Seen(Trained):
        def classify(self, texts: Any, vectors: Any) -> Any:
            seen.extend(map(len, texts))
            return super().classify(texts, vectors)

    class Watched(Router):
        def _train(self, vectors: Vectors | None) -> Trained:
            return Seen(self.intents, vectors)

    async with runtime_of() as runtime:
        router = Watched([HOURS, REFUND], otherwise="No.", embeds=False)
        assert (await Agent(runtime=runtime, pattern=router).arun("when do you open " * 1000)).text == "At nine."
    assert seen == [1500]


# --- rules ----------------------------------------------------------------------------------------------------------


async def test_a_rule_that_gives_something_to_await_is_awaited(runtime: Runtime) -> None:
    async def later(request: str) -> str:
        return f"Seen: {request}"

    def rule(request: str) -> Any:
        return later(request)

    intent = Intent(name="hours", examples=HOURS.examples, rule=rule)
    router = Router([intent, REFUND], otherwise="No.", embeds=False)
    assert (await Agent(runtime=runtime, pattern=router).arun("when do you open")).text == "Seen: when do you open"


async def test_a_rule_that_is_a_program_ends_with_the_run(runtime: Runtime) -> None:
    endless = Intent(name="hours", examples=HOURS.examples, rule="while True: pass")
    router = Router([endless, REFUND], otherwise="No.", embeds=False)
    assert (await Agent(runtime=runtime, pattern=router).arun("a refund")).text == "Gladly."
    with pytest.raises(DeadlineExceeded):
        await Agent(runtime=runtime, pattern=router, timeout_s=0.5).arun("when do you open")
