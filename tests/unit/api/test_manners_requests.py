"""Ids, and the line in the log."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from smidgen.api.manners import stack
from smidgen.config import Serve

PROMPT = "my-private-words"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if scope["path"] == "/crash":
        raise ValueError(PROMPT)
    seen = scope["state"]["request_id"].encode()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-seen", seen)]})
    for _ in range(3):
        await send({"type": "http.response.body", "body": PROMPT.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def asked(path: str = "/v1/models", headers: Any = None, **given: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=stack(app, Serve()), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(given.pop("method", "GET"), path, headers=headers, **given)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "smidgen.api.access"]


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "smidgen.api.access")


async def test_every_request_has_an_id_of_its_own() -> None:
    first, second = await asked(), await asked()
    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] == first.headers["x-seen"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_a_plain_id_of_the_client_is_kept() -> None:
    assert (await asked(headers={"x-request-id": "a-1_B.2"})).headers["x-request-id"] == "a-1_B.2"


@pytest.mark.parametrize("sent", ["", "a" * 65, "a b", "a,b", "<script>", "ü"])
async def test_an_odd_one_is_replaced(sent: str) -> None:
    answer = await asked(headers=[(b"x-request-id", sent.encode())])
    assert answer.headers["x-request-id"].startswith("req_")


async def test_of_two_ids_none_is_kept() -> None:
    answer = await asked(headers=[("x-request-id", "a"), ("x-request-id", "b")])
    assert answer.headers["x-request-id"].startswith("req_")


async def test_anthropic_clients_find_it_where_they_look() -> None:
    answer = await asked("/v1/messages", {"x-request-id": "a"})
    assert answer.headers["request-id"] == "a"
    assert "request-id" not in (await asked("/v1/models")).headers


async def test_one_line_at_the_end_tells_everything_but_words(caplog: pytest.LogCaptureFixture) -> None:
    body = {"prompt": PROMPT}
    path = f"/v1/chat/completions?key={PROMPT}"
    await asked(path, {"x-request-id": "a", "authorization": PROMPT}, method="POST", json=body)
    (line,) = lines(caplog)
    assert line.pop("seconds") >= 0
    assert line == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 201,
        "bytes": 3 * len(PROMPT),
        "request": "a",
        "gone": False,
    }
    assert PROMPT not in caplog.text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"host": "evil.com"}, f'{{"a": "{PROMPT}"}}', 403),
        ({"content-type": "text/html"}, PROMPT, 415),
        ({}, PROMPT, 415),
        ({}, "[" * 200 + PROMPT, 400),
    ],
)
async def test_refusals_have_a_line_too(
    caplog: pytest.LogCaptureFixture, headers: dict[str, str], body: str, status: int
) -> None:
    answer = await asked(headers=headers, method="POST", content=body)
    (line,) = lines(caplog)
    assert line["status"] == answer.status_code == status
    assert line["request"] == answer.headers["x-request-id"]
    assert line["bytes"] == len(answer.content)
    assert PROMPT not in caplog.text
    assert PROMPT not in answer.text


async def test_a_crash_has_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    await asked("/crash")
    (line,) = lines(caplog)
    assert line["status"] == 0
    assert PROMPT not in caplog.text


async def test_a_path_can_not_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    await asked('/a%0a{"method"')
    (record,) = [record for record in caplog.records if record.name == "smidgen.api.access"]
    assert "\n" not in record.getMessage()


async def test_it_tells_that_the_client_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass

    messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/slots", "headers": [(b"host", b"localhost")]}
    await stack(waiting, Serve())(scope, receive, send)
    assert lines(caplog)[0]["gone"] is True


async def test_websockets_are_closed() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await stack(app, Serve())({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_the_pieces_of_an_answer_reach_the_socket_as_they_are() -> None:
    """No copy, no task, no coroutine in between: what the route awaits is what the server's own `send` gave."""
    handed: list[tuple[Message, Any]] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    def send(message: Message) -> Any:
        async def sent() -> None: ...

        coroutine = sent()
        handed.append((message, coroutine))
        return coroutine

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece: Message = {"type": "http.response.body", "body": b"x", "more_body": True}
        awaited = send(piece)
        assert handed[-1][0] is piece
        assert handed[-1][1] is awaited
        await awaited

    origin = [(b"host", b"localhost"), (b"origin", b"http://a.example")]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": origin}
    await stack(streaming, Serve(origins=("http://a.example",), keys=("k",)))(scope, receive, send)
    assert len(handed) == 2
