"""Sends a refusal, also to a client that is still sending."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.types import Receive, Scope, Send

from smidgen.api.manners.shapes import refusal

LINGER_S = 2.0
"""Seconds for which a refused body is still read. To close at once would reset the connection, and the client would see
that instead of the reason."""

LINGER_BYTES = 64_000_000


class Refusal(msgspec.Struct, frozen=True):
    """Why a request goes no further."""

    status: int
    message: str
    hint: str = ""
    code: str = "invalid_request"


async def refuse(scope: Scope, receive: Receive, send: Send, why: Refusal, *, unread: bool) -> None:
    """unread: there may be a body that nobody has read; the connection is then closed after it."""
    request_id = str(scope.get("state", {}).get("request_id", ""))
    status, headers, body = refusal(
        scope["path"], why.status, why.message, why.hint, code=why.code, request_id=request_id
    )
    told = {**headers, "content-length": str(len(body)), "cache-control": "no-store"}
    if unread:
        told["connection"] = "close"
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": unread})
    if unread:
        await _read_away(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_away(receive: Receive) -> None:
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_S):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


def has_body(scope: Scope) -> bool:
    """Whether the headers announce one."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
        for name, value in scope["headers"]
    )


def values(scope: Scope, name: bytes) -> list[bytes]:
    """Every value of a header, in the order sent. name: in lower case."""
    return [value for key, value in scope["headers"] if key == name]
