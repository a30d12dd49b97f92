"""An Engine around another that makes requests fail, in ways that real ones do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal, cast

from smidgen.engine import Engine
from smidgen.errors import DeadlineExceeded, EngineBusy, EngineCrashed, EngineUnavailable, SmidgenError
from smidgen.events import EngineEvent, Failed, Notice, Resumed, TextDelta
from smidgen.messages import Embeddings, GenerateRequest, Prompt, ScoreRequest, ScoreResult

Mishap = Literal["none", "busy", "unavailable", "crash", "resume", "slow", "notice"]
MISHAPS: tuple[Mishap, ...] = ("busy", "unavailable", "crash", "resume", "slow", "notice")


class ChaosEngine:
    """rate: share of requests that meet a mishap, drawn from `seed`; or `plan`: the mishap of each request in order,
    "none" for the rest.

    busy, unavailable: refused at once. crash: a Failed event (or EngineCrashed) in the middle. resume: a Resumed event
    in the middle, and on. slow: `delay_s` before each event. notice: a Notice first. `met` lists what happened.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        rate: float = 0.3,
        seed: int = 0,
        plan: tuple[Mishap, ...] | None = None,
        delay_s: float = 0.01,
    ) -> None:
        self._engine = engine
        self._rate = rate
        self._random = random.Random(seed)
        self._plan = None if plan is None else list(plan)
        self._delay_s = delay_s
        self.met: list[Mishap] = []

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def context(self) -> int:
        return self._engine.context

    async def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        mishap = self._draw()
        self._refuse(mishap)
        if mishap == "notice":
            yield Notice(code="chaos", message="Chaos was asked for.")
        texts = 0
        # Engines are async generators in fact; closing this one has to close the one inside at once.
        inner = cast("AsyncGenerator[EngineEvent]", self._engine.generate(request))
        async with aclosing(inner) as events:
            async for event in events:
                if mishap == "slow":
                    await asyncio.sleep(self._delay_s)
                yield event
                if isinstance(event, TextDelta):
                    texts += 1
                    if texts == 1 and mishap == "crash":
                        yield Failed(error=_crash().info())
                        return
                    if texts == 1 and mishap == "resume":
                        yield Resumed(cause="chaos", after_tokens=texts)

    async def score(self, request: ScoreRequest) -> ScoreResult:
        await self._meet()
        return await self._engine.score(request)

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        async with _deadline(timeout_s):
            await self._meet()
            return await self._engine.embed(texts, timeout_s=timeout_s)

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        async with _deadline(timeout_s):
            await self._meet()
            return await self._engine.tokenize(prompt, timeout_s=timeout_s)

    async def detokenize(self, tokens: tuple[int, ...], *, timeout_s: float | None = None) -> str:
        async with _deadline(timeout_s):
            await self._meet()
            return await self._engine.detokenize(tokens, timeout_s=timeout_s)

    async def stats(self) -> dict[str, Any]:
        return await self._engine.stats()

    async def aclose(self) -> None:
        await self._engine.aclose()

    async def _meet(self) -> None:
        mishap = self._draw()
        self._refuse(mishap)
        if mishap == "crash":
            raise _crash()
        if mishap == "slow":
            await asyncio.sleep(self._delay_s)

    def _draw(self) -> Mishap:
        mishap: Mishap = "none"
        if self._plan is not None:
            mishap = self._plan.pop(0) if self._plan else "none"
        elif self._random.random() < self._rate:
            mishap = self._random.choice(MISHAPS)
        self.met.append(mishap)
        return mishap

    def _refuse(self, mishap: Mishap) -> None:
        if mishap == "busy":
            raise EngineBusy(f"{self.name} is busy (chaos).", hint="Try again.")
        if mishap == "unavailable":
            raise EngineUnavailable(f"{self.name} isn't there (chaos).", hint="Try again.", restarts=0)


@asynccontextmanager
async def _deadline(timeout_s: float | None) -> AsyncGenerator[None, None]:
    """Slowness counts against the caller's time too."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise DeadlineExceeded(f"No answer within {timeout_s:.3g} s (chaos).") from None


def _crash() -> SmidgenError:
    return EngineCrashed("This request crashed the worker twice (chaos).", signal="SIGSEGV", report="")
