"""A run's events on their way to a client: pumped into a queue, so that a slow client holds up no engine.

What is queued is bounded by the answer itself, which is bounded by the model's context.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from smidgen.events import AgentEvent, Failed, Finished, TextDelta, ToolCalled

SHOWN = (TextDelta, ToolCalled, Finished, Failed)
"""Events with which an answer begins; the ones before tell how it comes about."""


class Stream:
    """The events of one run. Close it with `aclose`, which cancels the run if it isn't over."""

    def __init__(self, events: AsyncGenerator[AgentEvent, None]) -> None:
        self._queued: deque[AgentEvent] = deque()
        self._arrived = asyncio.Event()
        self._crash: BaseException | None = None
        self._over = self._abandoned = False
        self._pump = asyncio.get_running_loop().create_task(self._pumped(events))

    async def _pumped(self, events: AsyncGenerator[AgentEvent, None]) -> None:
        try:
            async for event in events:
                self._queued.append(event)
                self._arrived.set()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._crash = error
        finally:
            try:
                await events.aclose()
            finally:
                self._over = True
                self._arrived.set()

    @property
    def over(self) -> bool:
        """The run has ended, whether or not all of it was taken."""
        return self._over

    @property
    def abandoned(self) -> bool:
        """Whoever asked is gone."""
        return self._abandoned

    async def begin(self, patience_s: float | None = None) -> None:
        """Waits until the answer begins, or for `patience_s` seconds. Raises the typed error of a run that failed
        before it began, and whatever else went wrong."""
        loop = asyncio.get_running_loop()
        until = None if patience_s is None else loop.time() + patience_s
        while not self._over and not any(isinstance(event, SHOWN) for event in self._queued):
            left = None if until is None else until - loop.time()
            if left is not None and left <= 0:
                return
            self._arrived.clear()
            await self._wait(left)
        first = next((event for event in self._queued if isinstance(event, SHOWN)), None)
        if isinstance(first, Failed):
            raise first.error.to_exception()
        if self._crash is not None and first is None:
            raise self._crash

    async def take(self, timeout_s: float | None = None) -> list[AgentEvent] | None:
        """All events that have arrived, waiting for one; [] when there are no more; None when none came in time."""
        while not self._queued:
            if self._crash is not None and not self._abandoned:
                raise self._crash
            if self._over:
                return []
            self._arrived.clear()
            if not await self._wait(timeout_s):
                return None
        events = list(self._queued)
        self._queued.clear()
        return events

    async def end(self) -> tuple[list[AgentEvent], Finished | None]:
        """All events, and how they ended; None if whoever asked has gone. Raises the typed error of a run that
        failed."""
        events: list[AgentEvent] = []
        while taken := await self.take():
            events += taken
        last = events[-1] if events else None
        if isinstance(last, Failed) and not self._abandoned:
            raise last.error.to_exception()
        return events, last if isinstance(last, Finished) else None

    def abandon(self) -> None:
        """Whoever asked is gone: the run is cancelled, and `take` gives no more."""
        self._abandoned = True
        self._queued.clear()
        self._pump.cancel()

    async def aclose(self) -> None:
        self._pump.cancel()
        await asyncio.wait({self._pump})

    async def _wait(self, timeout_s: float | None) -> bool:
        if timeout_s is None:
            await self._arrived.wait()
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True
