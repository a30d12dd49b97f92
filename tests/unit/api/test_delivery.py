"""Answers on the wire, called as a server calls them: what is sent, and what a client that goes away or stalls ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping, Sequence
from typing import Any

import pytest

from smidgen.api import delivery
from smidgen.api.delivery import Streamed, line, sse, whole
from smidgen.api.streams import Stream
from smidgen.events import AgentEvent, TextDelta

Message = MutableMapping[str, Any]


class Plain:
    """Texts as lines."""

    media_type = "text/plain"

    def begin(self) -> bytes:
        return b"begin;"

    def feed(self, events: Sequence[AgentEvent]) -> bytes:
        return b"".join(event.text.encode() + b";" for event in events if isinstance(event, TextDelta))

    def quiet(self) -> bytes:
        return b"quiet;"

    def crashed(self, error: BaseException) -> bytes:
        return f"crashed {error};".encode()

    def end(self) -> bytes:
        return b"end;"


class Wire:
    """What a server gives to a response. gone: set it, and the client is."""

    def __init__(self, *, stalls: bool = False) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.stalls = stalls
        self.news = asyncio.Event()

    async def shows(self, text: bytes, times: int = 1) -> None:
        while self.body.count(text) < times:
            self.news.clear()
            await self.news.wait()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.news.set()
        if self.stalls and len(self.sent) > 1:
            await asyncio.Event().wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Run:
    def __init__(self, *texts: str, forever: bool = False, error: Exception | None = None) -> None:
        self.texts, self.forever, self.error, self.closed = texts, forever, error, False

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        try:
            for text in self.texts:
                yield TextDelta(text=text)
            if self.error is not None:
                raise self.error
            if self.forever:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def sent(run: Run, wire: Wire) -> None:
    await Streamed(Stream(run.events()), Plain(), {"x-own": "1"})({"type": "http"}, wire.receive, wire.send)


async def test_a_stream_begins_tells_and_ends() -> None:
    wire = Wire()
    await sent(Run("a", "b"), wire)
    assert wire.body == b"begin;a;b;end;"
    start = wire.sent[0]
    headers = dict(start["headers"])
    assert start["status"] == 200 and headers[b"content-type"] == b"text/plain" and headers[b"x-own"] == b"1"
    assert b"content-length" not in headers
    assert wire.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_client_that_goes_away_ends_the_run() -> None:
    wire, run = Wire(), Run("a", forever=True)
    task = asyncio.create_task(sent(run, wire))
    await wire.shows(b"a;")
    wire.gone.set()
    await task
    assert run.closed and wire.sent[-1].get("more_body") is True  # nothing more is sent


async def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "STALL_S", 0.02)
    wire, run = Wire(stalls=True), Run("a", forever=True)
    await sent(run, wire)
    assert run.closed


async def test_silence_is_broken_by_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "QUIET_S", 0.01)
    wire, run = Wire(), Run(forever=True)
    task = asyncio.create_task(sent(run, wire))
    await wire.shows(b"quiet;", times=2)
    wire.gone.set()
    await task
    assert wire.body.startswith(b"begin;quiet;quiet;")


async def test_a_crash_is_told_in_the_stream() -> None:
    wire = Wire()
    await sent(Run("a", error=RuntimeError("boom")), wire)
    assert wire.body == b"begin;a;crashed boom;"


async def test_a_whole_answer_is_given_up_when_the_client_goes_away() -> None:
    wire, run = Wire(), Run("a", forever=True)
    task = asyncio.create_task(whole(wire.receive, Stream(run.events())))
    await asyncio.sleep(0.01)
    wire.gone.set()
    _, end = await task
    assert end is None and run.closed


def test_frames_hold_json_in_one_line() -> None:
    framed = sse({"text": "a\nb\u2028c"}, event="delta")
    assert framed.startswith(b"event: delta\ndata: ") and framed.endswith(b"\n\n") and framed.count(b"\n") == 3
    assert json.loads(framed.split(b"data: ")[1]) == {"text": "a\nb\u2028c"}
    assert line({"a": 1}) == b'{"a":1}\n'
