"""A call that goes on by itself, whether or not a request of its client is open: what it tells meanwhile, what it asks,
and where it waits until the client calls again with the answer."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from mcp_types import CallToolResult

from smidgen.errors import SmidgenError
from smidgen.messages import ToolCall

MOST_PARKED = 64
PARKED_S = 600.0
"""Seconds that a user has for an answer; then the call is given up."""


class Told(msgspec.Struct, frozen=True):
    """A step, in words."""

    text: str


class Question(msgspec.Struct, frozen=True):
    """What the user has to say yes to, in words. The call goes on with `Pending.answer` or `Pending.refuse`."""

    text: str


class Pending:
    """work: is given this, to `tell` and to `ask`. Close it with `aclose`, which cancels what isn't over."""

    def __init__(self, work: Callable[[Pending], Awaitable[CallToolResult]]) -> None:
        self._steps: deque[Told] = deque()
        self._changed = asyncio.Event()
        self._asked = ""
        self._answer: asyncio.Future[bool] | None = None
        self._task = asyncio.get_running_loop().create_task(self._worked(work))
        self._task.add_done_callback(lambda _: self._changed.set())

    async def _worked(self, work: Callable[[Pending], Awaitable[CallToolResult]]) -> CallToolResult:
        return await work(self)

    # --- for the work -------------------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        self._steps.append(Told(text))
        self._changed.set()

    async def ask(self, call: ToolCall, preview: str) -> bool:
        """Waits for the answer. Raises what `refuse` was given."""
        self._asked, self._answer = preview, asyncio.get_running_loop().create_future()
        self._changed.set()
        try:
            return await self._answer
        finally:
            self._answer = None

    # --- for whoever called -------------------------------------------------------------------------------------------

    async def step(self) -> Told | Question | CallToolResult:
        """What comes next: the question again until it is answered, the result at the end. Raises what the work
        raises."""
        while True:
            if self._steps:
                return self._steps.popleft()
            if self._answer is not None and not self._answer.done():
                return Question(self._asked)
            self._changed.clear()
            if self._task.done():
                return self._task.result()
            await self._changed.wait()

    def answer(self, yes: bool) -> None:
        """Does nothing where nobody waits for it any more."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(yes)

    def refuse(self, error: SmidgenError) -> None:
        """The question could not be put."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    async def aclose(self) -> None:
        self._task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({self._task})


class _Place(msgspec.Struct, frozen=True):
    pending: Pending
    call: tuple[str, dict[str, Any]]
    timer: asyncio.TimerHandle


class Parked:
    """Calls that wait for their client to come back. Whoever knows a call's key, and nobody else, can go on with it."""

    def __init__(self, most: int = MOST_PARKED, seconds: float = PARKED_S) -> None:
        self._most = most
        self._seconds = seconds
        self._places: dict[str, _Place] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def park(self, pending: Pending, name: str, arguments: dict[str, Any]) -> str:
        """The key, good for once. Where there is no room, the one that has waited longest is given up."""
        while len(self._places) >= self._most:
            self._give_up(next(iter(self._places)))
        key = secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._give_up, key)
        self._places[key] = _Place(pending, (name, arguments), timer)
        return key

    def take(self, key: str, name: str, arguments: dict[str, Any]) -> Pending | None:
        """None if no such call waits under this key, or not any more."""
        place = self._places.get(key)
        if place is None or place.call != (name, arguments):
            return None
        del self._places[key]
        place.timer.cancel()
        return place.pending

    def _give_up(self, key: str) -> None:
        place = self._places.pop(key)
        place.timer.cancel()
        task = asyncio.get_running_loop().create_task(place.pending.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        for key in tuple(self._places):
            self._give_up(key)
        if self._closing:
            await asyncio.wait(self._closing)
