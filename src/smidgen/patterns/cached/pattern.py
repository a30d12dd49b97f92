"""`Cached`: another pattern's answers, given again."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import msgspec

from smidgen.errors import DeadlineExceeded, InvalidRequest, SmidgenError
from smidgen.events import AgentEvent, Finished, Notice, Routed, StepStarted, TextDelta
from smidgen.messages import Timings, Usage
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.cached import alike, worth
from smidgen.patterns.cached.asked import Asked, asked, fingerprint
from smidgen.patterns.cached.flights import Flight, Flights
from smidgen.patterns.cached.settings import Scope, Settings
from smidgen.patterns.cached.store import Kept, Store
from smidgen.patterns.run import Run, guarded

log = logging.getLogger("smidgen.cached")

T = TypeVar("T")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is given again. how: as it is told."""

    end: Finished
    key: bytes
    outcome: str
    how: str
    told: str


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """Of a request, as the store keeps it."""

    embedder: str = ""
    floats: bytes = b""


class Cached:
    """The keywords are `Settings`, which says what each means. A cache without a file lasts as long as this object.

    clock: seconds since 1970. Raises ValueError for settings that make no sense, InvalidRequest for a pattern whose
    answers rest on data that may change, unless `tools` is true."""

    name = "cached"

    def __init__(
        self,
        *,
        pattern: Pattern,
        threshold: float = 0.92,
        scope: Scope = "all",
        ttl_s: float = 3600.0,
        size: int = 1000,
        store: str | Path | None = None,
        by_meaning: bool = True,
        tools: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pattern = pattern
        self.settings = Settings(
            threshold=threshold,
            scope=scope,
            ttl_s=ttl_s,
            size=size,
            store="" if store is None else str(store),
            by_meaning=by_meaning,
            tools=tools,
        )
        self._clock = clock
        path = Path(self.settings.store).expanduser() if self.settings.store else None
        self.store = Store(path, ttl_s=ttl_s, size=size, clock=clock)
        self._flights: Flights[Found] = Flights()
        self._print = fingerprint(pattern)
        if self._print.changing and not tools:
            raise InvalidRequest(
                f"Answers of {', '.join(self._print.changing)} rest on data that may change, so they aren't kept.",
                hint="Put the cache around a part without that, or allow it with tools = true.",
            )
        if path is not None and not self._print.lasting:
            log.warning("%s holds what can't be compared; %s won't be of use to other processes", pattern.name, path)

    @classmethod
    def with_settings(cls, pattern: Pattern, settings: Settings) -> Cached:
        return cls(pattern=pattern, **msgspec.structs.asdict(settings))

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        model = resources.supply(task.model).name
        said = asked(task, model, self._print.digest, self.settings.scope)
        if word := worth.asks_of_now(task.messages):
            await self._kept(lambda: self.store.count("passed by"))
            yield Routed(strategy="cached: passed by", reason=f"{word!r} makes the answer depend on the time")
            async with aclosing(self.pattern.answer(task, resources)) as source:
                async for event in source:
                    yield event
            return
        while other := self._flights.other(said.key):
            landed = await resources.deadline.wait(other.wait)
            if not landed.ended:
                continue
            if landed.answer is None:
                events = self._missed(run, said, Vector(), None)
            else:
                told = "the same was being answered at that moment"
                events = self._given(msgspec.structs.replace(landed.answer, told=told))
            async with aclosing(events) as source:
                async for event in source:
                    yield event
            return
        with self._flights.begun(said.key) as flight:
            found, vector = await self._found(said, run)
            for notice in self._told():
                yield notice
            if found is None:
                events = self._missed(run, said, vector, flight)
            else:
                flight.land(found)
                events = self._given(found)
            async with aclosing(events) as source:
                async for event in source:
                    yield event

    # --- an answer that is there ------------------------------------------------------------------------------------

    async def _given(self, found: Found) -> AsyncGenerator[AgentEvent, None]:
        await self._kept(lambda: self.store.count(found.outcome, found.key))
        yield Routed(strategy=f"cached: {found.outcome}", reason=found.told)
        yield Notice(code="cached", message=f"This answer was given before: {found.told}.")
        yield TextDelta(text=found.end.text)
        yield msgspec.structs.replace(
            found.end, strategy=f"cached: {found.how}", usage=Usage(), timings=Timings(), warnings=()
        )

    async def _found(self, said: Asked, run: Run) -> tuple[Found | None, Vector]:
        kept = await self._kept(lambda: self.store.get(said.key))
        end = None if kept is None else await self._decoded(kept)
        if kept is not None and end is not None:
            told = f"the same was asked {self._ago(kept)}"
            return Found(end=end, key=kept.key, outcome="exact", how="exact", told=told), Vector()
        vector = await self._vector(said, run)
        if not vector.embedder:
            return None, vector
        nearest = await asyncio.to_thread(lambda: self._nearest(said, vector))  # a thousand may be near
        if nearest is None:
            return None, vector
        kept, cosine = nearest
        end = await self._decoded(kept)
        if end is None:
            return None, vector
        words = _short(kept.request)
        how = f"by meaning ({cosine:.2f}, asked before as {words!r})"
        told = f"{words!r} was asked {self._ago(kept)}, which means the same ({cosine:.2f})"
        return Found(end=end, key=kept.key, outcome="by meaning", how=how, told=told), vector

    def _nearest(self, said: Asked, vector: Vector) -> tuple[Kept, float] | None:
        """The nearest one that may mean the same."""
        import numpy as np

        own = np.frombuffer(vector.floats, dtype="<f4")
        near = self.store.near(said.group, vector.embedder)
        there = [one for one in near if len(one.vector) == len(vector.floats)]
        if not there:
            return None
        rows = np.frombuffer(b"".join(one.vector for one in there), dtype="<f4").reshape(len(there), len(own))
        cosines = rows @ own
        for place in map(int, np.argsort(-cosines)):
            if cosines[place] < self.settings.threshold:
                return None
            if not alike.difference(said.text, there[place].request):
                kept = self.store.get(there[place].key)
                if kept is not None:
                    return kept, min(float(cosines[place]), 1.0)
        return None

    async def _vector(self, said: Asked, run: Run) -> Vector:
        """An empty one where there is no comparing by meaning. Raises DeadlineExceeded."""
        embedder = run.resources.embedder() if self.settings.by_meaning else None
        if embedder is None or not said.text.strip() or alike.difference(said.text, said.text):
            return Vector()
        try:
            vectors = await run.embed([said.text])
        except DeadlineExceeded:
            raise
        except SmidgenError as error:
            log.warning("requests aren't compared by meaning: %s", error.message)
            return Vector()
        if vectors is None:
            return Vector()
        return Vector(embedder=embedder.name, floats=struct.pack(f"<{len(vectors[0])}f", *vectors[0]))

    async def _decoded(self, kept: Kept) -> Finished | None:
        try:
            return msgspec.msgpack.decode(kept.answer, type=Finished)
        except msgspec.MsgspecError:
            await self._kept(lambda: self.store.drop(kept.key))
            return None

    def _ago(self, kept: Kept) -> str:
        seconds = max(0.0, self._clock() - kept.made)
        for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
            if seconds >= 2 * length:
                return f"{seconds / length:.0f} {unit} ago"
        return f"{seconds:.0f} seconds ago"

    # --- one that isn't ---------------------------------------------------------------------------------------------

    async def _missed(
        self, run: Run, said: Asked, vector: Vector, flight: Flight[Found] | None
    ) -> AsyncGenerator[AgentEvent, None]:
        """The pattern's own answer, kept if it is worth that. flight: of those who wait for it."""
        await self._kept(lambda: self.store.count("missed"))
        yield Routed(strategy="cached: missed", reason="nothing that means the same was answered before")
        watch = worth.Watch(tools=self.settings.tools)
        nested = run.nested(self.pattern)
        async with aclosing(nested.events(show=True)) as events:
            async for event in events:
                watch.see(event)
                yield event
        end = nested.end
        if end is None:
            raise RuntimeError(f"{self.pattern.name} ended without a terminal event")
        reason = watch.against(end)
        if isinstance(end, Finished) and not reason:
            reason = await self._keep(end, said, vector)
        if flight is not None:
            shared = None if reason or not isinstance(end, Finished) else end
            flight.land(
                None if shared is None else Found(end=shared, key=said.key, outcome="exact", how="exact", told="")
            )
        yield StepStarted(number=1, action=self.name, detail=f"not kept, because {reason}" if reason else "kept")
        for notice in self._told():
            yield notice
        yield end

    async def _keep(self, end: Finished, said: Asked, vector: Vector) -> str:
        """Why it can't be kept, "" if it is."""
        try:
            encoded = msgspec.msgpack.encode(end)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return "a tool's result can't be written down"
        if len(encoded) > worth.MOST_BYTES:
            return f"it is longer than {worth.MOST_BYTES} bytes"
        kept = Kept(
            key=said.key,
            group=said.group,
            request=said.text,
            answer=encoded,
            made=self._clock(),
            embedder=vector.embedder,
            vector=vector.floats,
        )
        await self._kept(lambda: self.store.put(kept))
        return ""

    def _told(self) -> tuple[Notice, ...]:
        return tuple(Notice(code="cache_unavailable", message=problem) for problem in self.store.problems())

    async def _kept(self, work: Callable[[], T]) -> T:
        """A file is waited for in a thread."""
        return work() if self.store.path is None else await asyncio.to_thread(work)


def _short(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
