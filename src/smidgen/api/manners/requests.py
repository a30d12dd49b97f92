"""An id for every request, and one line of JSON in the log at its end: never what was asked or answered."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smidgen.api.manners.refusing import values
from smidgen.api.manners.shapes import family

log = logging.getLogger("smidgen.api.access")

_PLAIN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_encode = msgspec.json.Encoder().encode


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """method: "" where none was understood. path: without its query. status: 0 if nothing was answered. seconds: until
    the last byte was handed over. bytes: of the answer's body. gone: the client went away before its answer ended."""

    method: str = ""
    path: str
    status: int
    seconds: float = 0.0
    bytes: int
    request: str
    gone: bool = False


def write(line: Line) -> None:
    if log.isEnabledFor(logging.INFO):
        log.info("%s", _encode(line).decode())


class Requests:
    """Puts `request_id` into the scope's state and the answer's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            request = _Request(scope, receive, send)
            try:
                await self._app(scope, request.receive, request.send)
            finally:
                request.log()
        else:
            await self._app(scope, receive, send)


class _Request:
    """`send` is no coroutine: the pieces of an answer are counted and go straight on."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._began = time.perf_counter()
        self._status = self._bytes = 0
        self._ended = self._gone = False
        self._id = _sent_id(scope) or f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = self._id

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._ended:
            self._gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        elif message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._headers()]}
        return self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        told = self._id.encode()
        headers = [(b"x-request-id", told)]
        if family(self._scope["path"]) == "anthropic":
            headers.append((b"request-id", told))
        return headers

    def log(self) -> None:
        line = Line(
            method=self._scope["method"],
            path=self._scope["path"],
            status=self._status,
            seconds=round(time.perf_counter() - self._began, 4),
            bytes=self._bytes,
            request=self._id,
            gone=self._gone,
        )
        write(line)


def _sent_id(scope: Scope) -> str:
    sent = values(scope, b"x-request-id")
    return sent[0].decode() if len(sent) == 1 and _PLAIN_ID.fullmatch(sent[0]) else ""
