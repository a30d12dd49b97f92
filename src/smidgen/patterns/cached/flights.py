"""Equal requests at the same time: one is answered, the others wait for that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class Landed(Generic[T]):
    """How an answering ended. answer: to be shared, None if it isn't to be. ended: False if whoever asked went away
    before; then it is another's turn."""

    def __init__(self, answer: T | None, *, ended: bool) -> None:
        self.answer, self.ended = answer, ended


class Flight(Generic[T]):
    """One answering that others may wait for."""

    def __init__(self) -> None:
        self._landed: asyncio.Future[Landed[T]] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Landed[T]:
        """Whoever stops waiting stops nobody else."""
        return await asyncio.shield(self._landed)

    def land(self, answer: T | None, *, ended: bool = True) -> None:
        """The first call counts."""
        if not self._landed.done():
            self._landed.set_result(Landed(answer, ended=ended))


class Flights(Generic[T]):
    """Those of each event loop by themselves."""

    def __init__(self) -> None:
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bytes, Flight[T]]] = WeakKeyDictionary()

    def other(self, key: bytes) -> Flight[T] | None:
        """The one that is under way for this key."""
        return self._its().get(key)

    @contextmanager
    def begun(self, key: bytes) -> Generator[Flight[T], None, None]:
        """There must be no other. At the end those who wait are told that whoever asked went away, unless it landed
        before."""
        flights, flight = self._its(), Flight[T]()
        flights[key] = flight
        try:
            yield flight
        finally:
            del flights[key]
            flight.land(None, ended=False)

    def _its(self) -> dict[bytes, Flight[T]]:
        return self._of_loops.setdefault(asyncio.get_running_loop(), {})
