"""Several models at once under one memory budget. A pure function decides what to evict; the rest waits for room, and
closes what was idle for as long as it may be."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import msgspec

from smidgen.engine import Engine
from smidgen.errors import EngineUnavailable, InvalidRequest, OutOfMemory

log = logging.getLogger("smidgen.engine.pool")

K = TypeVar("K", bound=Hashable)


class Holding(msgspec.Struct, frozen=True):
    """One model in memory. users: leases out now; closing counts as one. used: when it was last used."""

    bytes: int
    users: int
    used: float


class Held(msgspec.Struct, Generic[K], frozen=True, kw_only=True):
    """A key in memory, or on its way in or out.

    users: leases out now. idle_s: seconds since the last use, 0 while it is used or opened. closes_in_s: seconds until
    it is closed if nobody uses it any more from now on, 0 while it is closed, None if it stays until its room is
    needed. engine: None while it is opened.
    """

    key: K
    bytes: int
    users: int
    opening: bool
    closing: bool
    idle_s: float
    closes_in_s: float | None
    engine: Engine | None


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
        self.unwanted = False
        self.expiry: asyncio.TimerHandle | None = None
        self.closing: asyncio.Task[None] | None = None

    @property
    def engine(self) -> Engine | None:
        """None before it is open, and if it couldn't be opened."""
        if not self.opening.done() or self.opening.cancelled() or self.opening.exception() is not None:
            return None
        return self.opening.result()

    @property
    def is_open(self) -> bool:
        """Can it be leased without waiting?"""
        return self.engine is not None and self.closing is None


class EnginePool(Generic[K]):
    """`open_engine(key)` gives an open engine; `estimate(key)` the bytes it will take; together never over the budget.

    An engine stays open after its last lease until its room is needed, or as `keep` says. `timeout_s`: how long a lease
    waits for room. All methods are for the event loop that the engines live on.
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
        self._kept_s: dict[K, float] = {}
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def open_keys(self) -> tuple[K, ...]:
        """Least recently used first."""
        return tuple(key for key, _ in sorted(self._slots.items(), key=lambda item: item[1].used))

    def is_open(self, key: K) -> bool:
        """Can it be leased without waiting?"""
        slot = self._slots.get(key)
        return slot is not None and slot.is_open

    @property
    def used_bytes(self) -> int:
        return sum(slot.size for slot in self._slots.values())

    @property
    def budget_bytes(self) -> int:
        return self._budget

    def held(self) -> tuple[Held[K], ...]:
        """What takes memory now, least recently used first."""
        return tuple(self._told(key, self._slots[key]) for key in self.open_keys)

    def keep(self, key: K, seconds: float | None) -> None:
        """From its last lease on, close the engine of a key after so many idle seconds: 0 as soon as nobody uses it,
        None when its room is needed. Also for a key that isn't open yet. Raises InvalidRequest."""
        check_kept_s(seconds)
        if seconds is None:
            self._kept_s.pop(key, None)
        else:
            self._kept_s[key] = seconds
        if (slot := self._slots.get(key)) is not None:
            self._time(key, slot)

    def kept_s(self, key: K) -> float | None:
        """The idle seconds that `keep` was given for a key."""
        return self._kept_s.get(key)

    async def unload(self, key: K) -> bool:
        """Close the engine of a key as soon as nobody uses it, and wait for that. Whoever gives up waiting doesn't
        revoke it. False if there is none."""
        slot = self._slots.get(key)
        if slot is None:
            return False
        slot.unwanted = True
        self._time(key, slot)
        while self._slots.get(key) is slot:
            await self._changed.wait()
        return True

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
            self._time(key, slot)
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
                slot.opening.add_done_callback(lambda _, key=key, slot=slot: self._end_opening(key, slot))
                break
            if going:
                await self._close(going)
                continue
            await self._wait_for_room(key, size, deadline)
        slot.users += 1
        slot.used = loop.time()
        self._time(key, slot)
        return slot

    async def _opened(self, key: K) -> Engine:
        return await self._open_engine(key)

    def _end_opening(self, key: K, slot: _Slot) -> None:
        """The next lease of a key that couldn't be opened tries again. The idle time of one that nobody waited for
        begins now."""
        if self._slots.get(key) is not slot or slot.closing is not None:
            return
        if slot.is_open:
            slot.used = slot.opening.get_loop().time()
            self._time(key, slot)
        else:
            del self._slots[key]
            self._announce()

    def _idle_limit(self, key: K, slot: _Slot) -> float | None:
        return 0.0 if slot.unwanted else self._kept_s.get(key)

    def _time(self, key: K, slot: _Slot) -> None:
        """Sets the slot's expiry anew, for whoever changed what it depends on."""
        if slot.expiry is not None:
            slot.expiry.cancel()
            slot.expiry = None
        seconds = self._idle_limit(key, slot)
        if seconds is None or slot.users or not slot.is_open or self._slots.get(key) is not slot:
            return
        slot.expiry = slot.opening.get_loop().call_at(slot.used + seconds, self._expire, key, slot)

    def _expire(self, key: K, slot: _Slot) -> None:
        slot.expiry = None
        self._begin_closing(key, slot)

    def _told(self, key: K, slot: _Slot) -> Held[K]:
        now = slot.opening.get_loop().time()
        opening = not slot.opening.done()
        idle_s = 0.0 if slot.users or opening else max(0.0, now - slot.used)
        limit = 0.0 if slot.closing is not None else self._idle_limit(key, slot)
        return Held(
            key=key,
            bytes=slot.size,
            users=slot.users,
            opening=opening,
            closing=slot.closing is not None,
            idle_s=idle_s,
            closes_in_s=None if limit is None else max(0.0, limit - idle_s),
            engine=slot.engine,
        )

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
            closing.append(self._begin_closing(key, self._slots[key]))
        if closing:
            await asyncio.wait(closing)

    def _begin_closing(self, key: K, slot: _Slot) -> asyncio.Task[None]:
        """From now on the slot isn't leased; what waits for its key or its room waits for the end of it."""
        if slot.closing is None:
            slot.closing = slot.opening.get_loop().create_task(self._closed_slot(key, slot))
            self._time(key, slot)
        return slot.closing

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


def check_kept_s(seconds: float | None) -> None:
    """Raises InvalidRequest for idle seconds that can't be waited for."""
    if seconds is not None and not (seconds >= 0 and math.isfinite(seconds)):
        raise InvalidRequest(
            f"A model can't be kept for {seconds:g} seconds.", hint="Give 0 or more, or None for no limit."
        )


def _mib(size: int) -> str:
    return f"{size / 1048576:.0f} MiB"
