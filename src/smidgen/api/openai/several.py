"""Several answers to one request (`n`, a list of prompts), each a run of its own, told as one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from starlette.types import Receive

from smidgen.api.delivery import abandoned_with
from smidgen.api.streams import Stream
from smidgen.events import AgentEvent, Failed, Finished

Numbered = tuple[int, AgentEvent]
"""An event, after the index of the choice that it belongs to."""

Taken = list[AgentEvent] | None


class Several:
    """A `Source` of `Numbered`. So many runs at once as `together` says; the next begins when one ends, so that no
    request takes more turns than there are. Close it with `aclose`, which cancels the runs that aren't over."""

    def __init__(self, starts: Sequence[Callable[[], Stream]], together: int) -> None:
        self._waiting = deque(enumerate(starts))
        self._streams: dict[int, Stream] = {}
        self._takes: dict[asyncio.Task[Taken], int] = {}
        self._together = max(1, together)
        self._abandoned = False
        try:
            self._start()
        except BaseException:
            self.abandon()
            raise

    def _start(self) -> None:
        while self._waiting and len(self._streams) < self._together:
            index, start = self._waiting.popleft()
            self._streams[index] = start()

    @property
    def abandoned(self) -> bool:
        return self._abandoned

    async def begin(self, patience_s: float | None = None) -> None:
        """Waits until the first answer begins, or for `patience_s` seconds. Raises the typed error of a run
        that failed before that; then this is closed."""
        try:
            await self._streams[0].begin(patience_s)
        except BaseException:
            await self.aclose()
            raise

    async def take(self, timeout_s: float | None = None) -> list[Numbered] | None:
        """All events that have arrived, waiting for one; [] when there are no more; None when none came in time.
        Raises what went wrong in a run without its telling."""
        loop = asyncio.get_running_loop()
        until = None if timeout_s is None else loop.time() + timeout_s
        while self._streams and not self._abandoned:
            for index, stream in self._streams.items():
                if index not in self._takes.values():
                    self._takes[loop.create_task(stream.take())] = index
            left = None if until is None else max(0.0, until - loop.time())
            done, _ = await asyncio.wait(self._takes, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return None
            events: list[Numbered] = []
            for task in done:
                index = self._takes.pop(task)
                taken = task.result()
                if taken:
                    events += [(index, event) for event in taken]
                else:
                    await self._streams.pop(index).aclose()
            self._start()
            if events:
                return events
        return []

    def abandon(self) -> None:
        """Whoever asked is gone: the runs are cancelled, and `take` gives no more."""
        self._abandoned = True
        self._waiting.clear()
        for stream in self._streams.values():
            stream.abandon()

    async def aclose(self) -> None:
        self._waiting.clear()
        for task in self._takes:
            task.cancel()
        if self._takes:
            await asyncio.wait(self._takes)
        self._takes.clear()
        for stream in tuple(self._streams.values()):
            await stream.aclose()
        self._streams.clear()


async def ended(receive: Receive, source: Several, count: int) -> list[tuple[list[AgentEvent], Finished]] | None:
    """All events and the end of each of `count` choices, None if the client went away first. Raises the typed error of
    a run that failed."""
    events: list[list[AgentEvent]] = [[] for _ in range(count)]
    try:
        async with abandoned_with(receive, source):
            while taken := await source.take():
                for index, event in taken:
                    if isinstance(event, Failed):
                        raise event.error.to_exception()
                    events[index].append(event)
    finally:
        await source.aclose()
    if source.abandoned:
        return None
    return [(told, told[-1]) for told in events if told and isinstance(told[-1], Finished)]
