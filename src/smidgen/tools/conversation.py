"""Which conversation a call belongs to, for tools that keep something between calls."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Generator
from contextlib import contextmanager

_current: contextvars.ContextVar[int] = contextvars.ContextVar("conversation", default=0)
_numbers = itertools.count(1)


def new_conversation() -> int:
    """A number that no other conversation of this process has."""
    return next(_numbers)


def current_conversation() -> int:
    """Calls outside of any share number 0."""
    return _current.get()


@contextmanager
def conversation(number: int) -> Generator[None]:
    """Calls within are that conversation's. Never to be held across a `yield` of a generator."""
    token = _current.set(number)
    try:
        yield
    finally:
        _current.reset(token)
