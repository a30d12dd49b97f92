"""Something got ready once for all who wait for it, that goes on when they give up waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from smidgen.errors import EngineUnavailable

log = logging.getLogger("smidgen.runtime")


class Preparation:
    """Enters `work()` in a task of its own, and leaves it as soon as nobody waits any more.

    name: for the log. Whoever waits and is cancelled only gives up waiting; `aclose` alone ends the work early.
    """

    def __init__(self, name: str, work: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        loop = asyncio.get_running_loop()
        self._name = name
        self._work = work
        self._ready: asyncio.Future[None] = loop.create_future()
        self._waiting = 0
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()
        self._task = loop.create_task(self._run(), name=f"preparing {name}")

    def add_done_callback(self, done: Callable[[], object]) -> None:
        """`done` is called when the work was left or failed."""
        self._task.add_done_callback(lambda _: done())

    @asynccontextmanager
    async def wait(self) -> AsyncGenerator[None]:
        """Until it is ready; it isn't left before this is. Raises what the work raised, EngineUnavailable when it was
        closed."""
        self._waiting += 1
        self._nobody_waits.clear()
        try:
            await asyncio.shield(self._ready)
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._nobody_waits.set()

    async def aclose(self) -> None:
        self._fail(EngineUnavailable(f"{self._name} was not ready before the runtime was closed.", retryable=False))
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            async with self._work():
                if not self._ready.done():
                    self._ready.set_result(None)
                await self._nobody_waits.wait()
        except Exception as error:
            if not self._waiting:
                log.warning("%s could not be got ready: %s", self._name, error)
            self._fail(error)
        finally:
            self._fail(EngineUnavailable(f"{self._name} could not be got ready."))  # cancelled: nobody waits for ever

    def _fail(self, error: Exception) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # nobody may be waiting
