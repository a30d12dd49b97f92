"""Limits of bodies: size, time, type and depth. A body is read whole here and handed on in one piece, so that a route
gets it checked and without waiting; answers are not touched."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smidgen.api.manners.depth import deeper_than
from smidgen.api.manners.refusing import Refusal, has_body, refuse, values
from smidgen.config import Serve

DEPTH = 100
"""How deeply the JSON of a request may be nested."""

HEAD_BYTES = 65_536
"""Bytes of a request's line and headers together."""

PLAIN_TYPES = frozenset({b"", b"text/plain", b"application/x-www-form-urlencoded"})
"""What simple clients say of the JSON that they send: curl -d, fetch with a string, those that say nothing."""

_JSON = (b"content-type", b"application/json")
_JSON_HINT = "Send JSON, with `Content-Type: application/json`."
_BODYLESS = ("GET", "HEAD", "OPTIONS", "TRACE")


class Limits:
    def __init__(self, app: ASGIApp, serve: Serve) -> None:
        self._app = app
        self._body = serve.body
        self._request_s = serve.request_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = has_body(scope)
        why = self._refused_unread(scope, announced)
        if why is not None:
            await refuse(scope, receive, send, why, unread=announced)
            return
        if not announced and scope["method"] in _BODYLESS:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._request_s or None):
                body = await self._read(receive)
        except TimeoutError:
            told = f"The body didn't arrive within {self._request_s:g} s."
            await refuse(scope, receive, send, Refusal(408, told, code="request_timeout"), unread=True)
            return
        if body is None:
            return
        if isinstance(body, Refusal):
            await refuse(scope, receive, send, body, unread=True)
            return
        if body:
            why = _refused(scope, body)
            if why is not None:
                await refuse(scope, receive, send, why, unread=False)
                return
            scope = _called_json(scope)
        await self._app(scope, _replaying(body, receive), send)

    def _refused_unread(self, scope: Scope, announced: bool) -> Refusal | None:
        """By the headers alone."""
        head = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        head += len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        if head > HEAD_BYTES:
            return Refusal(431, f"The headers are longer than {HEAD_BYTES} bytes.", code="headers_too_large")
        if not announced:
            return None
        for length in values(scope, b"content-length"):
            if not length.isdigit():
                return Refusal(400, "Content-Length is no number.")
            if len(length) > 18 or int(length) > self._body:
                return self._too_large()
        for coding in values(scope, b"content-encoding"):
            if coding.strip().lower() not in (b"", b"identity"):
                return Refusal(415, "Bodies that are compressed are not read.", _JSON_HINT, "unsupported_media_type")
        kind = _content_type(scope)
        return None if kind in PLAIN_TYPES or _is_json(kind) else _unsupported(kind)

    async def _read(self, receive: Receive) -> bytes | Refusal | None:
        """None: the client went away."""
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._body:
                return self._too_large()
            if piece:
                pieces.append(piece)
            if not message.get("more_body", False):
                return b"".join(pieces)

    def _too_large(self) -> Refusal:
        hint = "`body` in the configuration of the server sets how much."
        return Refusal(413, f"The body is larger than {self._body} bytes.", hint, "body_too_large")


def _refused(scope: Scope, body: bytes) -> Refusal | None:
    kind = _content_type(scope)
    if not _is_json(kind) and body.lstrip(b" \t\r\n")[:1] not in (b"{", b"["):
        return _unsupported(kind)
    if deeper_than(body, DEPTH):
        return Refusal(400, f"The body is nested more than {DEPTH} deep.")
    return None


def _unsupported(kind: bytes) -> Refusal:
    said = f" but said to be {kind.decode('latin-1')[:100]!r}" if kind else ""
    return Refusal(415, f"The body is not JSON{said}.", _JSON_HINT, "unsupported_media_type")


def _content_type(scope: Scope) -> bytes:
    """Without its parameters, in lower case; b"" for none. Of several the last is taken, so none hides behind JSON."""
    kinds = values(scope, b"content-type")
    return kinds[-1].partition(b";")[0].strip().lower() if kinds else b""


def _is_json(kind: bytes) -> bool:
    return kind in (b"application/json", b"text/json") or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _called_json(scope: Scope) -> Scope:
    """What is JSON is called so from here on: routes read nothing else."""
    if _content_type(scope) == b"application/json":
        return scope
    headers = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    return {**scope, "headers": [*headers, _JSON]}


def _replaying(body: bytes, receive: Receive) -> Receive:
    """The body, then whatever comes: that the client goes away."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying
