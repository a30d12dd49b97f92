"""Several things at once, of which none is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")
AT_ONCE = 32
"""Requests of one run to the models, at most: an engine refuses what its queue has no place for."""


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once; when one fails, or the whole is cancelled, the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def both(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """The same of two that give different things."""
    done = await together([cast("Coroutine[Any, Any, Any]", first), second])
    return cast("tuple[T, U]", tuple(done))
