"""So many requests are answered at once, so many wait besides, each in its turn and for so long; others are refused."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from smidgen.errors import EngineBusy

RECENT = 32
"""Requests whose durations the guess of a Retry-After rests on."""

LONGEST_HINT_S = 60
"""Seconds that a client is told to wait at most: a guess about longer isn't worth telling."""


class Turn:
    """waited_s: for it. held: not while it is given back."""

    def __init__(self, admission: Admission, waited_s: float) -> None:
        self._admission = admission
        self.waited_s = waited_s
        self.held = True

    @asynccontextmanager
    async def given_back(self) -> AsyncGenerator[None, None]:
        """Others have it meanwhile: for whoever waits for a person. Whoever gives up waiting doesn't get it again."""
        self.held = False
        self._admission.leave()
        yield
        await self._admission.again()
        self.held = True


current_turn: ContextVar[Turn | None] = ContextVar("smidgen_turn", default=None)
"""Of the run that is being carried on."""


class Admission:
    """streams: requests at once. queue: those that wait. wait_s: seconds that one waits at most, 0 for no limit."""

    def __init__(self, streams: int, queue: int, wait_s: float) -> None:
        self._streams = max(1, streams)
        self._queue = queue
        self._wait_s = wait_s
        self._free = asyncio.Semaphore(self._streams)
        self._durations: deque[float] = deque(maxlen=RECENT)
        self.running = 0
        self.waiting = 0
        self.refused = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn, None]:
        """Raises EngineBusy, with `retry_after_s` in its details, when the queue is full or the wait too long."""
        asked = time.monotonic()
        await self._enter()
        self.running += 1
        began = time.monotonic()
        turn = Turn(self, began - asked)
        try:
            yield turn
        finally:
            if turn.held:
                self.leave()
            self._durations.append(time.monotonic() - began)

    def leave(self) -> None:
        """Its turn is over, or given back."""
        self.running -= 1
        self._free.release()

    async def again(self) -> None:
        """A turn that was given back is had again: in its place in the row, but however long that is."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1

    async def _enter(self) -> None:
        if self._free.locked() and self.waiting >= self._queue:
            raise self._busy(f"{self.running} requests are being answered and {self.waiting} wait.")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_s or None):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy(f"This request waited {self._wait_s:g} s for its turn.") from None
        finally:
            self.waiting -= 1

    def _busy(self, why: str) -> EngineBusy:
        self.refused += 1
        return EngineBusy(why, hint="Try again a little later.", retry_after_s=self.retry_after())

    def retry_after(self) -> int:
        """Seconds after which a turn is likely to be free, 1 to 60: as the latest requests went."""
        usual = sum(self._durations) / len(self._durations) if self._durations else 1.0
        return max(1, min(LONGEST_HINT_S, round(usual * (self.waiting + 1) / self._streams)))
