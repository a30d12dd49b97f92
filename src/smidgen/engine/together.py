"""Requests that come together begin together: one that reaches an idle worker waits a moment for others that a server
has already begun to read, so that the first step has them all.

Without this the worker's first step goes with the first request alone, while it and the server, which still reads the
others, want the same cores; of 16 requests, the median first token came some 20 ms later (docs/performance.md).
A request that comes alone never waits.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

LONGEST_S = 0.02
"""That one waits for the others."""

FRESH_S = 0.05
"""A request that hasn't reached an engine for so long isn't expected any more: it waits for its turn or for a model."""


class Arrivals:
    """Requests on their way to engines, of one server."""

    def __init__(self) -> None:
        self._since: dict[Arrival, float] = {}

    @contextmanager
    def one(self) -> Generator[Arrival, None, None]:
        """While a request is read and understood. It is `current` meanwhile, also in tasks that are made then."""
        arrival = Arrival(self)
        self._since[arrival] = time.monotonic()
        token = current.set(arrival)
        try:
            yield arrival
        finally:
            current.reset(token)
            self.forget(arrival)

    def forget(self, arrival: Arrival) -> None:
        self._since.pop(arrival, None)

    @property
    def expected(self) -> bool:
        oldest = time.monotonic() - FRESH_S
        return any(since > oldest for since in self._since.values())


class Arrival:
    """One of them."""

    def __init__(self, all_of_them: Arrivals) -> None:
        self._all = all_of_them

    def arrived(self) -> bool:
        """It has reached an engine. True if others are still expected."""
        self._all.forget(self)
        return self._all.expected


current: ContextVar[Arrival | None] = ContextVar("smidgen_arrival", default=None)
