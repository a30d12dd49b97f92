"""Several models at once under one memory budget. A pure function decides what to evict; the rest waits for room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import msgspec

from smidgen.engine import Engine
from smidgen.errors import EngineUnavailable, OutOfMemory

log = logging.getLogger("smidgen.engine.pool")

K = TypeVar("K", bound=Hashable)


class Holding(msgspec.Struct, frozen=True):
    """One model in memory. users: leases out now; closing counts as one. used: when it was last used."""

    bytes: int
    users: int
    used: float


def evictions(holdings: Mapping[K, Holding], wanted: int, budget: int) -> tuple[K, ...] | None:
    """What to close, least recently used first, so that `wanted` more bytes fit; never anything in use. Only as many as
    needed; a model that another eviction made superfluous to close stays. None if it can't be done now."""
    over = sum(holding.bytes for holding in holdings.values()) + wanted - budget
    if over <= 0:
        return ()
    chosen: list[K] = []
    for key, holding in sorted(holdings.items(), key=lambda item: item[1].used):
        if holding.users == 0 and holding.bytes > 0:
            chosen.append(key)
            over -= holding.bytes
            if over <= 0:
                break
    if over > 0:
        return None
    for key in tuple(chosen):
        if holdings[key].bytes <= -over:
            chosen.remove(key)
            over += holdings[key].bytes
    return tuple(chosen)


class _Slot:
    def __init__(self, size: int, opening: asyncio.Task[Engine]) -> None:
        self.size = size
        self.opening = opening
        self.users = 0
        self.used = 0.0
        self.closing: asyncio.Task[None] | None = None


class EnginePool(Generic[K]):
    """`open_engine(key)` gives an open engine; `estimate(key)` the bytes it will take; together never over the budget.

    An engine stays open after its last lease until its room is needed. `timeout_s`: how long a lease waits for room.
    """

    def __init__(
        self,
        open_engine: Callable[[K], Awaitable[Engine]],
        estimate: Callable[[K], int],
        budget_bytes: int,
        *,
        timeout_s: float = 60.0,
    ) -> None:
        self._open_engine = open_engine
        self._estimate = estimate
        self._budget = budget_bytes
        self._timeout_s = timeout_s
        self._slots: dict[K, _Slot] = {}
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def open_keys(self) -> tuple[K, ...]:
        """Least recently used first."""
        return tuple(key for key, _ in sorted(self._slots.items(), key=lambda item: item[1].used))

    def is_open(self, key: K) -> bool:
        """Can it be leased without waiting?"""
        slot = self._slots.get(key)
        return slot is not None and slot.closing is None and slot.opening.done() and not self._failed(slot)

    @property
    def used_bytes(self) -> int:
        return sum(slot.size for slot in self._slots.values())

    @property
    def budget_bytes(self) -> int:
        return self._budget

    @asynccontextmanager
    async def lease(self, key: K) -> AsyncGenerator[Engine]:
        """The open engine of a key, which isn't closed before the lease ends.

        Raises OutOfMemory if it can never fit, or if there was no room within the timeout; EngineUnavailable when the
        pool is closed; and whatever opening it raises."""
        slot = await self._take(key)
        try:
            await asyncio.wait({slot.opening})
            if slot.opening.cancelled():
                raise EngineUnavailable("The pool of models is closed.", retryable=False)
            yield slot.opening.result()
        finally:
            slot.users -= 1
            slot.used = asyncio.get_running_loop().time()
            self._announce()

    async def aclose(self) -> None:
        """Close all engines, also those in use: their requests fail with EngineUnavailable."""
        self._closed = True
        self._announce()
        for slot in self._slots.values():
            slot.opening.cancel()  # nothing happens to those that are open
        await self._close(self._slots)

    async def _take(self, key: K) -> _Slot:
        size = self._estimate(key)
        if size > self._budget:
            raise OutOfMemory(
                f"{key} needs {_mib(size)}; the budget for all models is {_mib(self._budget)}.",
                hint="Take a smaller model, quantisation or context, or raise the budget.",
                needed_bytes=size,
                available_bytes=self._budget,
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        while True:
            if self._closed:
                raise EngineUnavailable("The pool of models is closed.", retryable=False)
            slot = self._slots.get(key)
            if slot is not None and slot.closing is None:
                break
            going = None if slot is not None else evictions(self._holdings(), size, self._budget)
            if going == ():
                slot = self._slots[key] = _Slot(size, loop.create_task(self._opened(key)))
                slot.opening.add_done_callback(lambda _, key=key, slot=slot: self._forget_failed(key, slot))
                break
            if going:
                await self._close(going)
                continue
            await self._wait_for_room(key, size, deadline)
        slot.users += 1
        slot.used = loop.time()
        return slot

    async def _opened(self, key: K) -> Engine:
        return await self._open_engine(key)

    def _forget_failed(self, key: K, slot: _Slot) -> None:
        """The next lease of a key that couldn't be opened tries again."""
        if self._failed(slot) and self._slots.get(key) is slot:
            del self._slots[key]
            self._announce()

    @staticmethod
    def _failed(slot: _Slot) -> bool:
        return slot.opening.cancelled() or slot.opening.exception() is not None

    def _holdings(self) -> dict[K, Holding]:
        return {
            key: Holding(slot.size, slot.users + (slot.closing is not None), slot.used)
            for key, slot in self._slots.items()
        }

    async def _wait_for_room(self, key: K, size: int, deadline: float) -> None:
        left = deadline - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._changed.wait(), max(0.0, left))
        except TimeoutError:
            busy = ", ".join(str(other) for other, slot in self._slots.items() if slot.users)
            raise OutOfMemory(
                f"No room for {key} ({_mib(size)}) within {self._timeout_s:g} s: {_mib(self.used_bytes)} of "
                f"{_mib(self._budget)} are taken, in use: {busy}.",
                hint="Try again when they are done, or raise the budget.",
                retryable=True,
                needed_bytes=size,
                available_bytes=self._budget - self.used_bytes,
            ) from None

    async def _close(self, keys: Iterable[K]) -> None:
        """Whoever gives up waiting for it ends neither the closing of an engine nor the load of another."""
        closing: list[asyncio.Task[None]] = []
        for key in keys:
            slot = self._slots[key]
            slot.closing = slot.closing or asyncio.get_running_loop().create_task(self._closed_slot(key, slot))
            closing.append(slot.closing)
        if closing:
            await asyncio.wait(closing)

    async def _closed_slot(self, key: K, slot: _Slot) -> None:
        try:
            await asyncio.wait({slot.opening})
            if not slot.opening.cancelled():
                await slot.opening.result().aclose()
        except Exception as error:
            # What can't be closed, or never opened, is reported; its room is free either way.
            log.warning("closing %s: %s", key, error)
        finally:
            if self._slots.get(key) is slot:
                del self._slots[key]
            self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _mib(size: int) -> str:
    return f"{size / 1048576:.0f} MiB"
