"""Interpreters kept warm. Each is used for one program and then ended, so that no program finds what another left."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from smidgen.errors import SmidgenError, ToolFailed
from smidgen.tools.programs import Executed
from smidgen.tools.programs.interpreter import Interpreter

IDLE_S = 60.0
"""For which interpreters that nobody takes are kept."""


class Pool:
    """start: makes an interpreter. size: how many are kept ready, from the first use on. Close it with `aclose`."""

    def __init__(self, start: Callable[[], Awaitable[Interpreter]], size: int = 2, idle_s: float = IDLE_S) -> None:
        self._start = start
        self._size = size
        self._idle_s = idle_s
        self._ready: deque[Interpreter] = deque()
        self._running: set[Interpreter] = set()
        self._work: set[asyncio.Future[None]] = set()
        self._filling: asyncio.Future[None] | None = None
        self._one_fills = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self) -> Interpreter:
        """One that nobody else has; whoever takes it ends it. Raises what starting one raises, ToolFailed once
        closed."""
        try:
            return await self._take()
        finally:
            self._refill()

    async def _take(self) -> Interpreter:
        self._check()
        while self._ready:
            found = self._ready.popleft()
            if not found.gone:
                return found
            self._keep(asyncio.ensure_future(found.end()))
        fresh = await self._start()
        if self._closed:
            await fresh.end()
        self._check()
        return fresh

    def _check(self) -> None:
        if self._closed:
            raise ToolFailed("The pool is closed.")

    async def run(self, code: str, seconds: float | None = None) -> Executed:
        """Execute a program of its own. Raises what `take` and `Interpreter.execute` do."""
        interpreter = await self._take()
        self._running.add(interpreter)
        try:
            return await interpreter.execute(code, seconds)
        finally:
            self._running.discard(interpreter)
            # Not before: two Pythons that start would take the processor from the one that works.
            self._keep(asyncio.ensure_future(interpreter.end()))
            self._refill()

    async def fill(self) -> None:
        """Returns once as many as are kept are ready. Raises what starting one raises."""
        async with self._one_fills:
            while len(self._ready) < self._size and not self._closed:
                fresh = await self._start()
                if self._closed:
                    await fresh.end()
                    return
                self._ready.append(fresh)

    async def aclose(self) -> None:
        """Programs that run are ended, and so tell that their Python ended."""
        self._closed = True
        if self._idle is not None:
            self._idle.cancel()
        for interpreter in tuple(self._running):
            await interpreter.end()
        while self._work:
            await asyncio.wait(tuple(self._work))
        await self._end_ready()

    def _refill(self) -> None:
        if self._closed:
            return
        if self._filling is None or self._filling.done():
            self._filling = asyncio.ensure_future(self._filled())
            self._keep(self._filling)
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._retire)

    async def _filled(self) -> None:
        with suppress(SmidgenError, OSError):  # whoever takes the next one is told
            await self.fill()

    def _retire(self) -> None:
        self._keep(asyncio.ensure_future(self._end_ready()))

    async def _end_ready(self) -> None:
        while self._ready:
            await self._ready.popleft().end()

    def _keep(self, work: asyncio.Future[None]) -> None:
        self._work.add(work)
        work.add_done_callback(self._work.discard)
