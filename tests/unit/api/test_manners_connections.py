"""On the wire: a real server on loopback, and clients that behave badly."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from smidgen.api.manners import stack
from smidgen.api.manners.connections import protocol
from smidgen.api.manners.limits import HEAD_BYTES
from smidgen.config import Serve

QUICK = Serve(request_s=0.3, body=100_000)
PATIENT = Serve(request_s=60, body=100_000)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = (await receive()).get("body", b"")
    host = next(value for name, value in scope["headers"] if name == b"host")
    names = sorted(name.decode() for name, _ in scope["headers"])
    told = json.dumps([scope["method"], scope["path"], host.decode(), len(body), names]).encode()
    if scope["path"] == "/slow":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(8):
            await send({"type": "http.response.body", "body": b"piece ", "more_body": True})
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"end"})
        return
    length = (b"content-length", str(len(told)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": told})


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def served(serve: Serve) -> AsyncGenerator[int, None]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        config = uvicorn.Config(
            stack(app, serve), http=protocol(serve), log_config=None, access_log=False, lifespan="off", ws="none"
        )
        server = Server(config)
        task = asyncio.create_task(server.serve([listening]))
        await server.up.wait()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def heard(self) -> bytes:
        """All until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 20)

    async def answer(self) -> tuple[int, Any]:
        """Status and body of one answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"content-length"))
        return int(head.split()[1]), json.loads(await self.reader.readexactly(length))


@asynccontextmanager
async def connected(port: int) -> AsyncGenerator[Wire, None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass


Connecting = Callable[[Serve], AbstractAsyncContextManager[Wire]]


@pytest.fixture
def wire() -> Connecting:
    @asynccontextmanager
    async def connecting(serve: Serve) -> AsyncGenerator[Wire, None]:
        async with served(serve) as port, connected(port) as opened:
            yield opened

    return connecting


def status(heard: bytes) -> int:
    return int(heard.split()[1])


def request(host: str, target: str = "/v1/models", more: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (request("localhost"), 200),
        (request("[::1]:8012"), 200),
        (request("evil.com"), 403),
        (request("localhost.evil.com"), 403),
        (request("127.0.0.1.evil.com"), 403),
        (request("127.0.0.1:8012@evil"), 400),
        (request("localhost\r\nHost: localhost"), 400),
        (request("localhost\r\nhost: evil.com"), 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (request("localhost", "http://localhost:8012/v1/models"), 200),
        (request("evil.com", "http://localhost:8012/v1/models"), 200),
        (request("localhost", "http://evil.com/v1/models"), 403),
        (request("localhost", "http://localhost@evil.com/v1/models"), 400),
        (request("localhost\r\nHost: evil.com", "http://localhost/"), 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_what_is_said_first(wire: Connecting, said: bytes, expected: int) -> None:
    async with wire(PATIENT) as opened:
        opened.say(said)
        code, _ = await opened.answer()
        assert code == expected


async def test_the_target_tells_the_path_and_the_host(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(request("evil.com", "http://localhost:1/a?b"))
        _, told = await opened.answer()
        assert told[:3] == ["GET", "/a", "localhost:1"]


async def test_headers_that_never_end_are_refused(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000)
        heard = await opened.heard()
        assert status(heard) == 431
        assert b'"param":null' in heard


async def test_a_target_that_never_ends_is_refused(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"GET /" + b"a" * (HEAD_BYTES + 1))
        assert status(await opened.heard()) == 431


async def test_large_headers_that_come_at_once_are_refused(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(request("localhost", more=f"X: {'a' * HEAD_BYTES}\r\n"))
        code, _ = await opened.answer()
        assert code == 431


async def test_trailers_that_never_end_are_cut_off(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ")
        await opened.writer.drain()
        for _ in range(20):
            opened.say(b"a" * 10_000)
            await asyncio.sleep(0.005)
        assert status(await opened.heard()) == 431


async def test_trailers_are_not_taken_for_headers(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n" + request("localhost", "/next")
        )
        _, told = await opened.answer()
        assert told[3] == 2
        assert "x-late" not in told[4]
        _, told = await opened.answer()
        assert told[1] == "/next"


@pytest.mark.parametrize("said", [b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_slow_headers_are_refused(wire: Connecting, said: bytes) -> None:
    async with wire(QUICK) as opened:
        opened.say(said)
        assert status(await opened.heard()) == 408


async def test_headers_that_drip_are_refused(wire: Connecting) -> None:
    async with wire(QUICK) as opened:
        heard = asyncio.create_task(opened.heard())
        opened.say(b"GET / HTTP/1.1\r\n")
        while not heard.done():
            opened.say(b"X: 1\r\n")
            await asyncio.sleep(0.05)
        assert status(heard.result()) == 408


@pytest.mark.parametrize("said", [b"", b"\r\n"])
async def test_a_connection_that_asks_nothing_is_closed_without_a_word(wire: Connecting, said: bytes) -> None:
    async with wire(QUICK) as opened:
        opened.say(said)
        assert await opened.heard() == b""


async def test_a_slow_body_is_refused(wire: Connecting) -> None:
    async with wire(QUICK) as opened:
        heard = asyncio.create_task(opened.answer())
        opened.say(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n{")
        while not heard.done():
            opened.say(b" ")
            await asyncio.sleep(0.05)
        code, told = heard.result()
        assert code == 408
        assert told["error"].startswith("The body")


async def test_a_long_answer_is_not_late(wire: Connecting) -> None:
    async with wire(QUICK) as opened:
        opened.say(b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}\r\n")
        heard = await opened.heard()
        assert heard.count(b"piece") == 8
        assert b"end" in heard


async def test_a_connection_is_used_again(wire: Connecting) -> None:
    async with wire(QUICK) as opened:
        for _ in range(3):
            opened.say(request("localhost"))
            assert (await opened.answer())[0] == 200
            await asyncio.sleep(0.4)


async def test_a_large_body_is_refused_before_it_is_sent(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n")
        code, _ = await opened.answer()
        assert code == 413


async def test_the_reason_reaches_a_client_that_sends_on(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n" + b" " * 5_000_000)
        await opened.writer.drain()
        assert status(await opened.heard()) == 413


async def test_chunks_over_the_limit_are_refused(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        heard = asyncio.create_task(opened.answer())
        while not heard.done():
            opened.say(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            await asyncio.sleep(0.005)
        assert heard.result()[0] == 413


async def test_broken_chunks_are_refused(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(0.05)
        opened.say(b"zz\r\n")
        assert status(await opened.heard()) == 400


async def test_nothing_is_said_in_the_midst_of_another_answer(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(request("localhost", "/slow"))
        await asyncio.sleep(0.15)
        opened.say(b"nonsense\r\n\r\n")
        heard = await opened.heard()
        assert heard.count(b"HTTP/1.1") == 1
        assert b"end" not in heard


H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize("pause", [0, 0.05])
@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 2", b"{}"), ("Transfer-Encoding: chunked", b"2\r\n{}\r\n0\r\n\r\n")],
)
async def test_an_offer_of_http_2_is_passed_over(wire: Connecting, framing: str, body: bytes, pause: float) -> None:
    async with wire(PATIENT) as opened:
        opened.say(f"POST /a HTTP/1.1\r\nHost: localhost\r\n{H2C}{framing}\r\n\r\n".encode())
        await asyncio.sleep(pause)
        opened.say(body)
        code, told = await opened.answer()
        assert (code, told[:4]) == (200, ["POST", "/a", "localhost", 2])
        assert "upgrade" not in told[4]
        opened.say(request("localhost", "/b", H2C) * 3 + request("evil.com", "/c", H2C))
        assert [(await opened.answer())[0] for _ in range(4)] == [200, 200, 200, 403]


async def test_an_offer_does_not_lift_the_limits(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(f"POST / HTTP/1.1\r\nHost: localhost\r\n{H2C}Content-Length: 100001\r\n\r\n".encode())
        assert (await opened.answer())[0] == 413


async def test_many_offers_at_once(wire: Connecting) -> None:
    async with wire(PATIENT) as opened:
        opened.say(request("localhost", "/b", H2C) * 500)
        assert [(await opened.answer())[0] for _ in range(500)] == [200] * 500


async def test_refusals_of_connections_are_logged(wire: Connecting, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "smidgen.api.access")
    async with wire(QUICK) as opened:
        opened.say(b"GET /a?my-private-words HTTP/1.1\r\nHost: localhost\r\nX: my-private-words\r\n")
        await opened.heard()
    (line,) = [json.loads(one.getMessage()) for one in caplog.records if one.name == "smidgen.api.access"]
    assert (line["path"], line["status"]) == ("/a", 408)
    assert "my-private-words" not in caplog.text
