"""Servers on this computer that stand in for the public internet: names and addresses lead to them, nothing leaves."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from smidgen.tools.web.client import Client

PUBLIC = "93.184.216.34"
OTHER = "93.184.216.35"
NOT_PUBLIC = ("127.0.0.1", "::1", "169.254.169.254", "10.0.0.1")
TLS_NAMES = ("secure.test", "api.search.brave.com")

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes | str = b"", *headers: str, status: str = "200 OK", kind: str = "text/plain") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + data


def redirect(location: str, *headers: str) -> bytes:
    return reply("", f"Location: {location}", *headers, status="302 Found")


class Internet:
    """answers: by path, in place of which 404 is said. names: what they resolve to. requests: what was asked, in order.
    trapped: how many connections came for addresses that aren't public."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.names: dict[str, Sequence[str]] = {
            "example.test": [PUBLIC],
            "other.test": [OTHER],
            "localhost": ["127.0.0.1"],
        }
        self.requests: list[str] = []
        self.looked_up: list[str] = []
        self.trapped = 0
        self.server_names: list[str | None] = []
        self.connect_to: dict[tuple[str, int], tuple[str, int]] = {}
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and is made faster than one that does

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.looked_up.append(host)
        return self.names.get(host, ())

    def client(self, **more: Any) -> Client:
        settings: dict[str, Any] = {"resolve": self.resolve, "connect_to": self.connect_to, "tls": self.tls, **more}
        return Client(**settings)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            path = request.split(" ")[1].partition("?")[0]
            answer = self.answers.get(path, reply("nothing here", status="404 Not Found"))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def trap(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trapped += 1
        writer.write(reply("SECRET"))
        writer.close()


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    net = Internet()
    server = await asyncio.start_server(net.serve, "127.0.0.1", 0)
    trap = await asyncio.start_server(net.trap, "127.0.0.1", 0)
    for ip in (PUBLIC, OTHER):
        net.connect_to[ip, 80] = server.sockets[0].getsockname()
    for ip in NOT_PUBLIC:
        for port in (80, 443):
            net.connect_to[ip, port] = trap.sockets[0].getsockname()
    yield net
    for listening in (server, trap):
        listening.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and server.pem and server.key for TLS_NAMES, signed by it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("makes its certificates with openssl, which isn't here")
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    new = f"{openssl} req -x509 -config openssl.cnf -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
    names = ",".join(f"DNS:{name}" for name in TLS_NAMES)
    for more in (
        "-keyout ca.key -out ca.pem -subj /CN=Authority -addext basicConstraints=critical,CA:TRUE",
        "-keyout server.key -out server.pem -subj /CN=Server -CA ca.pem -CAkey ca.key"
        f" -addext basicConstraints=CA:FALSE -addext subjectAltName={names}",
    ):
        command = shlex.split(f"{new} {more}")
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"openssl makes no certificate: {made.stderr.splitlines()[-1:]}")
    return folder


@pytest.fixture
async def secure(internet: Internet, certificates: Path) -> AsyncIterator[Internet]:
    """The same, with port 443, TLS_NAMES, and a client that trusts the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.sni_callback = lambda _, name, __: internet.server_names.append(name)
    server = await asyncio.start_server(internet.serve, "127.0.0.1", 0, ssl=context)
    for ip in (PUBLIC, OTHER):
        internet.connect_to[ip, 443] = server.sockets[0].getsockname()
    internet.names.update({name: [PUBLIC] for name in TLS_NAMES})
    internet.tls = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    yield internet
    server.close()


@pytest.fixture
def answer() -> Callable[..., bytes]:
    return reply


@pytest.fixture
def leads_to() -> Callable[..., bytes]:
    return redirect
