"""Answers on the wire: whole, or piece by piece as server-sent events or lines of JSON. A client that goes away ends
its run; one that reads nothing for long is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from smidgen.api.streams import Stream
from smidgen.events import AgentEvent, Finished

PATIENCE_S = 2.0
"""Seconds without anything to say after which a stream is opened all the same; errors are then told in it."""

QUIET_S = 10.0
"""Seconds without anything to say after which a sign of life is sent, for proxies and clients that give up."""

STALL_S = 60.0
"""Seconds for which a client may read nothing before it counts as gone."""

encode = msgspec.json.Encoder().encode
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
E_contra = TypeVar("E_contra", contravariant=True)


class Source(Protocol[E_co]):
    """What `Stream` is for one run, and other things for several."""

    @property
    def abandoned(self) -> bool: ...

    async def take(self, timeout_s: float | None = None) -> Sequence[E_co] | None: ...

    def abandon(self) -> None: ...

    async def aclose(self) -> None: ...


class WriterOf(Protocol[E_contra]):
    """Turns events into bytes, in the form that a family of clients reads. Pure but for what it keeps between calls."""

    @property
    def media_type(self) -> str: ...

    def begin(self) -> bytes:
        """What comes first, b"" for nothing."""
        ...

    def feed(self, events: Sequence[E_contra]) -> bytes: ...

    def quiet(self) -> bytes:
        """A sign of life, b"" for none."""
        ...

    def crashed(self, error: BaseException) -> bytes:
        """Told in the midst of a stream, whose status has long been sent."""
        ...

    def end(self) -> bytes:
        """After all events."""
        ...


class Writer(WriterOf[AgentEvent], Protocol):
    """Of the events of one run."""


class Streamed(Response, Generic[E]):
    """`headers`: beside those that every stream has."""

    def __init__(self, stream: Source[E], writer: WriterOf[E], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no", **(headers or {})})
        self.headers["content-type"] = writer.media_type
        del self.headers["content-length"]
        self._stream = stream
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with abandoned_with(receive, self._stream):
            try:
                start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                await self._send(send, start)
                async for body in self._bodies():
                    if body:
                        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})
                if not self._stream.abandoned:
                    await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
            except (TimeoutError, OSError):
                self._stream.abandon()
            finally:
                await self._stream.aclose()

    async def _bodies(self) -> AsyncIterator[bytes]:
        head = self._writer.begin()
        try:
            while True:
                events = await self._stream.take(QUIET_S)
                if events is None:
                    yield head + self._writer.quiet()
                elif events:
                    yield head + self._writer.feed(events)
                else:
                    break
                head = b""
        except Exception as error:
            yield head + self._writer.crashed(error)
        else:
            yield head + self._writer.end()

    @staticmethod
    async def _send(send: Send, message: Message) -> None:
        async with asyncio.timeout(STALL_S):
            await send(message)


@asynccontextmanager
async def abandoned_with(receive: Receive, *streams: Source[Any]) -> AsyncGenerator[None, None]:
    """While this lasts, streams are abandoned as soon as the client is gone."""
    watch = asyncio.get_running_loop().create_task(_watched(receive, streams))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait({watch})


async def _watched(receive: Receive, streams: Sequence[Source[Any]]) -> None:
    await _gone(receive)
    for stream in streams:
        stream.abandon()


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, E]) -> E | None:
    """What a coroutine returns; None if the client went away first, which cancels it. Raises what it raises."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    watch = loop.create_task(_gone(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.wait({task, watch})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def whole(receive: Receive, stream: Stream) -> tuple[list[AgentEvent], Finished | None]:
    """Everything that a run tells, and its end, None if the client went away first. Raises the run's typed error."""
    try:
        async with abandoned_with(receive, stream):
            return await stream.end()
    finally:
        await stream.aclose()


def sse(data: Any, event: str = "") -> bytes:
    """One server-sent event with JSON in it."""
    name = f"event: {event}\n".encode() if event else b""
    return b"%bdata: %b\n\n" % (name, encode(data))


def comment(text: str) -> bytes:
    """A server-sent event that clients skip."""
    return f": {text}\n\n".encode()


def line(data: Any) -> bytes:
    return encode(data) + b"\n"
