"""A run's events as server-sent events, from any number on: live, or as they were stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from smidgen.api.agents.runs import Runs
from smidgen.api.delivery import QUIET_S, STALL_S, comment, encode, unless_gone
from smidgen.sessions import Run

_TYPE = msgspec.json.Decoder(type=dict[str, msgspec.Raw])


def begun(run: Run) -> Mapping[str, Any]:
    return {"type": "run", "run": run.id, "session": run.session, "agent": run.agent, "model": run.model}


def numbered(number: int, data: bytes) -> bytes:
    kind = bytes(_TYPE.decode(data).get("type", b'"event"')).strip(b'"')
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, kind, data)


class Feed(Response):
    """after: the number of the last event that the client has; 0 tells the run itself first. The run doesn't mind
    whether anybody listens."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, runs: Runs, run: Run, after: int = 0) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self.headers["content-type"] = self.media_type
        del self.headers["content-length"]
        self._runs = runs
        self._run = run
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_gone(receive, self._sent(send))

    async def _sent(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            if self._after == 0:
                await _body(send, numbered(0, encode(begun(self._run))))
            async for body in self._bodies():
                await _body(send, body)
            await _body(send, b"", more=False)
        except (TimeoutError, OSError):
            return  # the client is gone, or reads nothing

    async def _bodies(self) -> AsyncIterator[bytes]:
        number = self._after
        live = self._runs.live(self._run.id)
        if live is None:
            for event in await self._runs.store.events(self._run.id, number):
                yield numbered(event.number, event.data)
            return
        over = False
        while not over:
            events, over = await live.after(number, QUIET_S)
            for data in events:
                number += 1
                yield numbered(number, data)
            if not events and not over:
                yield comment("still working")


async def _body(send: Send, body: bytes, *, more: bool = True) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    async with asyncio.timeout(STALL_S):
        await send(message)
