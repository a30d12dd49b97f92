"""Bodies: size, type and depth."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from smidgen.api.manners.depth import SLICE, deeper_than
from smidgen.api.manners.limits import DEPTH, HEAD_BYTES, Limits
from smidgen.config import Serve

SERVE = Serve(body=1000)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells what it got."""
    body, pieces = b"", 0
    while True:
        message = await receive()
        body += message["body"]
        pieces += 1
        if not message["more_body"]:
            break
    kinds = [value.decode() for name, value in scope["headers"] if name == b"content-type"]
    told = json.dumps({"body": body.decode("latin-1"), "pieces": pieces, "types": kinds}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told, "more_body": False})


async def asked(content: Any, headers: Any = (), method: str = "POST", serve: Serve = SERVE) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=Limits(app, serve))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, "/v1/chat/completions", content=content, headers=dict(headers))


JSON = {"content-type": "application/json"}


async def chunked(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_body_of_the_size_that_is_allowed_passes() -> None:
    answer = await asked(b"[" + b" " * 998 + b"]", JSON)
    assert answer.status_code == 200
    assert len(answer.json()["body"]) == 1000


async def test_a_larger_one_is_refused_by_its_length() -> None:
    answer = await asked(b"[" + b" " * 999 + b"]", JSON)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 5000, "99999999999999999999", "-1", "1e3", "²"])
async def test_odd_lengths_are_refused(length: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", length.encode())]}
    await Limits(app, SERVE)(scope, receive, send)
    assert sent[0]["status"] == (413 if length.isascii() and length.isdigit() else 400)


async def test_pieces_come_as_one() -> None:
    answer = await asked(chunked(b'{"a"', b": 1}"), JSON)
    assert answer.json() == {"body": '{"a": 1}', "pieces": 1, "types": ["application/json"]}


async def test_a_larger_one_in_pieces_is_refused_while_it_comes() -> None:
    assert (await asked(chunked(b"[", b" " * 999, b" ]"), JSON)).status_code == 413


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.api+json",
        "text/json",
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
    ],
)
async def test_json_passes_whatever_it_is_called(kind: str, method: str) -> None:
    answer = await asked(b' \n{"a": 1}', {"content-type": kind} if kind else {}, method)
    assert answer.status_code == 200
    assert answer.json()["types"][0].lower().startswith("application/json")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", b"{}"),
        ("application/octet-stream", b"{}"),
        ("text/html", b"{}"),
        ("application/xml", b"{}"),
        ("application/jsonp", b"{}"),
        ("application/x-www-form-urlencoded", b"a=1"),
        ("text/plain", b"hello"),
        ("text/plain", b'"{}"'),
        ("", b"hello"),
        ("", b"   "),
    ],
)
async def test_other_types_do_not(kind: str, body: bytes) -> None:
    answer = await asked(body, {"content-type": kind} if kind else {})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


async def test_no_body_has_no_type() -> None:
    assert (await asked(b"", {"content-type": "text/html"})).status_code == 200
    assert (await asked(None, method="GET")).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_compressed_bodies_are_refused(coding: str) -> None:
    assert (await asked(b"{}", {**JSON, "content-encoding": coding})).status_code == 415


async def test_headers_have_a_limit() -> None:
    assert (await asked(b"{}", {**JSON, "x": "a" * (HEAD_BYTES - 1000)})).status_code == 200
    assert (await asked(b"{}", {**JSON, "x": "a" * HEAD_BYTES})).status_code == 431


def nested(depth: int) -> bytes:
    return b'{"a":[' * (depth // 2) + b"]}" * (depth // 2)


async def test_depth_has_a_limit() -> None:
    assert (await asked(nested(DEPTH), JSON)).status_code == 200
    assert (await asked(nested(DEPTH + 2), JSON)).status_code == 400
    assert (await asked(b"[" * 500, {})).status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":"' + b"[" * 500 + b'"}',
        rb'{"a":"\"' + b"[" * 500 + b'"}',
        rb'{"a":"\\\"' + b"[" * 500 + b'"}',
        b"[" + b"[]," * 500 + b"[]]",
        b'["' + b"[" * 500,
    ],
)
def test_brackets_in_strings_and_side_by_side_are_not_deep(text: bytes) -> None:
    assert not deeper_than(text, DEPTH)


@pytest.mark.parametrize(
    "text",
    [
        rb'{"a":"\\","b":' + b"[" * 100,
        rb'{"a":"\\\\","b":' + b"[" * 100,
        rb'{"a":"\n","b":' + b"[" * 100,
        b'["a","b",' + b"[" * 100,
        b'["' + b"x" * (SLICE - 2) + b'",' + b"[" * 100,
        b"[]" * SLICE + b"[" * 101,
        b"[" * 101 + b"]" * 101,
    ],
)
def test_what_comes_after_strings_counts(text: bytes) -> None:
    assert deeper_than(text, DEPTH)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(one) for one in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(one) for one in value), default=0)
    return 0


TEXT = st.text(alphabet='ab"\\[]{}\n/ü')
VALUES = st.recursive(TEXT | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@given(VALUES, st.booleans())
def test_the_depth_found_is_the_depth_there_is(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth = depth_of(value)
    assert not deeper_than(text, depth)
    assert depth == 0 or deeper_than(text, depth - 1)


async def test_a_client_that_goes_away_is_not_answered() -> None:
    sent: list[Message] = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return next(messages)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"transfer-encoding", b"chunked")]}
    await Limits(app, SERVE)(scope, receive, send)
    assert sent == []
