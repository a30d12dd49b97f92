"""A run's time limit, put around each thing that is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smidgen.errors import DeadlineExceeded

T = TypeVar("T")


class Deadline:
    """`seconds` from now on; None for no limit. Never held across a `yield`: each wait has its own timeout."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end_at = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left. Raises DeadlineExceeded when there are none."""
        if self._end_at is None:
            return None
        left = self._end_at - time.monotonic()
        if left <= 0:
            raise self._without_answer()
        return left

    async def wait(self, work: Callable[[], Awaitable[T]], grace: float = 0.0) -> T:
        """Wait for it up to the limit, and `grace` seconds longer; then it is cancelled. Raises DeadlineExceeded.

        Cancellation from outside, and a TimeoutError of the work's own, come through as they are.
        """
        return await self._wait(work, grace, self._without_answer)

    async def model(self, name: str, get: Callable[[], Awaitable[T]]) -> T:
        """Wait for a model to be got, up to the limit. Raises DeadlineExceeded with `model` in its details."""
        return await self._wait(get, 0.0, lambda: self._without_model(name))

    async def _wait(self, work: Callable[[], Awaitable[T]], grace: float, exceeded: Callable[[], Exception]) -> T:
        if self._end_at is None:
            return await work()
        limit = asyncio.timeout(self._end_at + grace - time.monotonic())
        try:
            async with limit:
                return await work()
        except TimeoutError as error:
            if limit.expired():
                raise exceeded() from error
            raise

    def _without_answer(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"The time limit of {self._seconds:g} s was reached before there was an answer.",
            hint="Allow more time, a shorter answer or a smaller model.",
        )

    def _without_model(self, name: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"The time limit of {self._seconds:g} s was reached before {name} was ready.",
            hint="It goes on being fetched and loaded: ask again later, or allow more time.",
            model=name,
        )
