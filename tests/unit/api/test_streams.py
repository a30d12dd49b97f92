"""A run's events on their way to a client: nothing lost, nothing held up, everything closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from smidgen.api.streams import Stream
from smidgen.errors import ErrorInfo, ModelNotPulled
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta
from smidgen.messages import Timings, Usage

END = Finished(
    text="ab",
    model="m",
    finish_reason="stop",
    tool_calls=(),
    usage=Usage(),
    timings=Timings(),
    warnings=(),
    strategy="plain",
)
TEXTS: tuple[AgentEvent, ...] = (TextDelta(text="a"), TextDelta(text="b"))
FAILED = Failed(error=ErrorInfo(code="model_not_pulled", message="Not here.", fault="caller"))


class Source:
    """closed: whether its generator was left."""

    def __init__(self, events: Sequence[AgentEvent | BaseException], pause: asyncio.Event | None = None) -> None:
        self.events, self.pause, self.closed = events, pause, False

    async def run(self) -> AsyncGenerator[AgentEvent, None]:
        try:
            for event in self.events:
                if isinstance(event, BaseException):
                    raise event
                yield event
            if self.pause is not None:
                await self.pause.wait()
        finally:
            self.closed = True


async def test_all_events_come_in_order_and_then_none() -> None:
    stream = Stream(Source((*TEXTS, END)).run())
    events, end = await stream.end()
    assert events == [*TEXTS, END] and end == END
    assert await stream.take() == []


async def test_what_has_gathered_is_taken_at_once() -> None:
    stream = Stream(Source((*TEXTS, END)).run())
    await asyncio.sleep(0.01)
    assert await stream.take() == [*TEXTS, END]


async def test_a_slow_reader_holds_up_nobody() -> None:
    source = Source((*TEXTS, END))
    stream = Stream(source.run())
    await asyncio.sleep(0.01)
    assert source.closed  # the run is over, though nothing was read
    assert await stream.take() == [*TEXTS, END]


async def test_beginning_raises_the_error_of_a_run_that_failed_before_it_began() -> None:
    stream = Stream(Source((Notice(code="x", message="y"), FAILED)).run())
    with pytest.raises(ModelNotPulled, match="Not here"):
        await stream.begin()
    await stream.aclose()


async def test_beginning_keeps_what_came_before() -> None:
    stream = Stream(Source((Notice(code="x", message="y"), *TEXTS, FAILED)).run())
    await stream.begin()
    events = [event for _ in range(4) for event in await stream.take() or ()]
    assert events == [Notice(code="x", message="y"), *TEXTS, FAILED]


async def test_beginning_waits_no_longer_than_its_patience() -> None:
    source = Source((), asyncio.Event())
    stream = Stream(source.run())
    await stream.begin(0.01)
    assert await stream.take(0.01) is None
    await stream.aclose()
    assert source.closed


async def test_a_crash_is_raised_once_everything_before_it_was_taken() -> None:
    stream = Stream(Source((*TEXTS, RuntimeError("boom"))).run())
    await stream.begin()
    taken = await stream.take()
    while taken and len(taken) < 2:
        taken += await stream.take() or []
    assert taken == list(TEXTS)
    with pytest.raises(RuntimeError, match="boom"):
        await stream.take()


async def test_abandoning_ends_the_run_and_the_reading() -> None:
    source = Source(TEXTS, asyncio.Event())
    stream = Stream(source.run())
    await stream.begin()
    stream.abandon()
    assert await stream.end() == ([], None)
    await stream.aclose()
    assert source.closed
