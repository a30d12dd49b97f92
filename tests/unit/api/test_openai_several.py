"""Several answers as one: in any order, so many at once, all closed in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from smidgen.api.openai.several import Several
from smidgen.api.streams import Stream
from smidgen.errors import ErrorInfo, UnknownModel
from smidgen.events import AgentEvent, Failed, TextDelta


class Runs:
    """Runs that say their number twice. most: that were open at once; open: now."""

    def __init__(self) -> None:
        self.most = self.open = 0

    def start(self, number: int) -> Callable[[], Stream]:
        return lambda: Stream(self._run(number))

    async def _run(self, number: int) -> AsyncGenerator[AgentEvent, None]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for _ in range(2):
                await asyncio.sleep(0)
                yield TextDelta(text=str(number))
        finally:
            self.open -= 1


async def endless() -> AsyncGenerator[AgentEvent, None]:
    await asyncio.sleep(3600)
    yield TextDelta(text="never")


async def failing() -> AsyncGenerator[AgentEvent, None]:
    yield Failed(error=ErrorInfo(code="unknown_model", message="Not here.", fault="caller"))


async def crashing() -> AsyncGenerator[AgentEvent, None]:
    yield TextDelta(text="a")
    raise RuntimeError("broken")


async def all_of(several: Several) -> dict[int, str]:
    texts: dict[int, str] = {}
    while taken := await several.take():
        for index, event in taken:
            assert isinstance(event, TextDelta)
            texts[index] = texts.get(index, "") + event.text
    return texts


@pytest.mark.parametrize("together", [1, 2, 9])
async def test_all_are_told_and_so_many_run_at_once(together: int) -> None:
    runs = Runs()
    several = Several([runs.start(number) for number in range(5)], together)
    texts = await all_of(several)
    await several.aclose()
    assert texts == {number: str(number) * 2 for number in range(5)}
    assert runs.most <= together
    assert runs.open == 0


async def test_nothing_in_time_is_none_and_loses_nothing() -> None:
    runs = Runs()
    several = Several([lambda: Stream(endless()), runs.start(7)], 2)
    assert await several.take(5)
    while (taken := await several.take(0.01)) is not None:
        assert all(index == 1 for index, _ in taken)
    several.abandon()
    assert await several.take() == []
    await several.aclose()


async def test_who_goes_away_ends_all_and_nothing_more_begins() -> None:
    begun: list[int] = []

    def start(number: int) -> Callable[[], Stream]:
        def begin() -> Stream:
            begun.append(number)
            return Stream(endless())

        return begin

    several = Several([start(number) for number in range(4)], 2)
    waiting = asyncio.get_running_loop().create_task(several.take())
    await asyncio.sleep(0)
    several.abandon()
    assert await waiting == []
    await several.aclose()
    assert begun == [0, 1]
    assert several.abandoned


async def test_an_error_before_the_beginning_closes_all() -> None:
    runs = Runs()
    several = Several([lambda: Stream(failing()), runs.start(1)], 2)
    with pytest.raises(UnknownModel):
        await several.begin()
    assert runs.open == 0
    assert await several.take() == []


async def test_a_crash_is_raised_where_it_is_taken() -> None:
    several = Several([lambda: Stream(crashing())], 1)
    with pytest.raises(RuntimeError, match="broken"):
        await all_of(several)
    await several.aclose()
