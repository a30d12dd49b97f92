import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from smidgen.errors import EngineUnavailable, ModelLoadFailed
from smidgen.runtime.preparation import Preparation


class Work:
    """Ready when `gate` is set, unless it `fails`. `left` is set when nobody needs it any more."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.left = asyncio.Event()
        self.entered = False
        self.fails = False

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[None]:
        try:
            await self.gate.wait()
            if self.fails:
                raise ModelLoadFailed("No.")
            self.entered = True
            yield
        finally:
            self.left.set()


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_is_held_until_the_last_who_waited_is_done_with_it() -> None:
    work = Work()
    preparation = Preparation("a", work)
    done = asyncio.Event()
    preparation.add_done_callback(done.set)
    first = asyncio.create_task(_hold(preparation, done_when := asyncio.Event()))
    async with asyncio.timeout(20):
        work.gate.set()
        async with preparation.wait():
            done_when.set()
            await first
            await turns()
            assert work.entered and not work.left.is_set() and not done.is_set()
        await work.left.wait()
        await done.wait()


async def _hold(preparation: Preparation, until: asyncio.Event) -> None:
    async with preparation.wait():
        await until.wait()


async def test_it_goes_on_when_all_gave_up_and_is_left_when_it_is_ready() -> None:
    work = Work()
    preparation = Preparation("a", work)
    waiting = asyncio.create_task(_hold(preparation, asyncio.Event()))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await turns()
    assert not work.left.is_set()
    async with asyncio.timeout(20):
        work.gate.set()
        await work.left.wait()
    assert work.entered


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    work = Work()
    work.fails = True
    done = asyncio.Event()
    Preparation("a", work).add_done_callback(done.set)
    work.gate.set()
    with caplog.at_level(logging.WARNING, "smidgen.runtime"):
        await asyncio.wait_for(done.wait(), 20)
    assert [record.getMessage() for record in caplog.records] == ["a could not be got ready: No."]


async def test_closing_ends_it_for_those_who_wait() -> None:
    work = Work()
    preparation = Preparation("a", work)
    waiting = asyncio.create_task(_hold(preparation, asyncio.Event()))
    await turns()
    await preparation.aclose()
    with pytest.raises(EngineUnavailable):
        await waiting
    assert work.left.is_set() and not work.entered
