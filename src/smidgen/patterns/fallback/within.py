"""What one try within a chain may use: the run's resources with a limit of its own, and an ear for how likely it is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, cast

import msgspec

from smidgen.agent import AgentModel, Supply
from smidgen.agent.deadline import Deadline
from smidgen.engine import Engine
from smidgen.events import AgentEvent, EngineEvent, Generated, Notice, TextDelta
from smidgen.messages import Embeddings, GenerateRequest, Prompt, ScoreRequest, ScoreResult
from smidgen.patterns import AgentWork, Resources, Task
from smidgen.patterns.fallback.failures import Tried
from smidgen.tools.programs import Executed


def tried_before(resources: Resources) -> tuple[Tried, ...]:
    """What was tried before the pattern that these resources were given to; empty outside a chain."""
    return resources.tried if isinstance(resources, Within) else ()


class Ear:
    """Of each text that models wrote, in the order of their ends: the log-probabilities (natural log) of its tokens."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, ...]] = []


class Within:
    """`Resources` with a time limit of their own. tried: what was tried before. ear: hears all that models write, but
    not what an agent's models do.

    load_s: seconds that were spent waiting for models so far."""

    def __init__(
        self, resources: Resources, deadline: Deadline, tried: Sequence[Tried] = (), ear: Ear | None = None
    ) -> None:
        self._resources = resources
        self._deadline = deadline
        self.tried = tuple(tried)
        self._ear = ear
        self.load_s = 0.0
        self._loading, self._loading_since = 0, 0.0

    @contextmanager
    def loading(self) -> Generator[None]:
        """Counts in `load_s`; what loads at the same time counts once."""
        if not self._loading:
            self._loading_since = time.monotonic()
        self._loading += 1
        try:
            yield
        finally:
            self._loading -= 1
            if not self._loading:
                self.load_s += time.monotonic() - self._loading_since

    @property
    def deadline(self) -> Deadline:
        return self._deadline

    def supply(self, model: str) -> Supply:
        return _Waited(self, self._resources.supply(model), self._ear)

    def embedder(self) -> Supply | None:
        return self._resources.embedder()

    async def python(self, code: str, seconds: float) -> Executed:
        left = self._deadline.remaining()
        return await self._resources.python(code, seconds if left is None else min(seconds, left))

    def agent(self, work: AgentWork, task: Task) -> AsyncGenerator[AgentEvent, None]:
        left = self._deadline.remaining()
        own = cast("float | None", work.options.get("timeout_s"))
        if left is not None:
            work = msgspec.structs.replace(work, options={**work.options, "timeout_s": min(own or left, left)})
        return self._resources.agent(work, task)

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[Resources]:
        async with self._resources.scope() as inner:
            yield Within(inner, self._deadline, self.tried, self._ear)


class _Waited:
    """A supply whose loading is timed, and whose engine is heard."""

    def __init__(self, within: Within, supply: Supply, ear: Ear | None) -> None:
        self._within, self._supply, self._ear = within, supply, ear

    @property
    def name(self) -> str:
        return self._supply.name

    async def load(self) -> tuple[AgentModel, tuple[Notice, ...]]:
        with self._within.loading():
            model, notices = await self._supply.load()
        if self._ear is not None:
            model = msgspec.structs.replace(model, engine=_Heard(model.engine, self._ear))
        return model, notices


class _Heard:
    """An `Engine` that tells the log-probabilities of what it writes, whether they were asked for or not."""

    def __init__(self, engine: Engine, ear: Ear) -> None:
        self._engine, self._ear = engine, ear

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def context(self) -> int:
        return self._engine.context

    def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        return self._hearing(self._engine.generate(msgspec.structs.replace(request, logprobs=request.logprobs or 1)))

    async def _hearing(self, source: AsyncIterator[EngineEvent]) -> AsyncIterator[EngineEvent]:
        logprobs: list[float] = []
        async with aclosing(cast(Any, source)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    logprobs += [token.logprob for token in event.logprobs]
                elif isinstance(event, Generated):
                    self._ear.heard.append(tuple(logprobs))
                yield event

    async def score(self, request: ScoreRequest) -> ScoreResult:
        return await self._engine.score(request)

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        return await self._engine.embed(texts, timeout_s=timeout_s)

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        return await self._engine.tokenize(prompt, timeout_s=timeout_s)

    async def detokenize(self, tokens: tuple[int, ...], *, timeout_s: float | None = None) -> str:
        return await self._engine.detokenize(tokens, timeout_s=timeout_s)

    async def stats(self) -> dict[str, Any]:
        return await self._engine.stats()

    async def aclose(self) -> None:
        await self._engine.aclose()
