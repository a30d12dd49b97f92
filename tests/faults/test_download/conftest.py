"""A file server on loopback that misbehaves on request, and a library with short limits."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from smidgen.errors import InvalidModelFile
from smidgen.models.catalog import Catalog, Entry
from smidgen.models.library import Library
from smidgen.models.sources import Limits, Source
from smidgen.models.store import Store


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is answered. cut: bytes sent before the connection is closed. stall_s: wait at `cut` instead."""

    status: int = 0
    cut: int | None = None
    stall_s: float = 0.0
    ignore_range: bool = False
    body: bytes | None = None
    chunked: bool = False
    headers: dict[str, str] = {}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    headers: dict[str, str]


class Site:
    """files: what is there by path. faults: used up in order, one per GET of a path. heads: answers to HEAD."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.heads: dict[str, tuple[int, dict[str, str]]] = {}
        self.etags: dict[str, str] = {}
        self.requests: list[Request] = []
        self.delay_s = 0.0
        self.sent = threading.Event()
        self.closing = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                del format, args

            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):
                    site.answer(self)

            def do_HEAD(self) -> None:
                site.note(self)
                status, headers = site.heads.get(self.path.partition("?")[0], (404, {}))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", "0")
                self.end_headers()

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                del request, client_address

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02))
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def gets(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.method == "GET" and request.path == path]

    def note(self, handler: BaseHTTPRequestHandler) -> str:
        path = handler.path.partition("?")[0]
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Request(method=handler.command, path=path, headers=headers))
        return path

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = self.note(handler)
        script = self.faults.get(path, [])
        fault = script.pop(0) if script else Fault()
        whole = self.files.get(path) if fault.body is None else fault.body
        if whole is None and not fault.status:
            fault = Fault(status=404)
        body, start = whole or b"", 0
        status, headers = 200, {"Content-Type": "application/octet-stream"}
        etag = self.etags.get(path, "")
        if etag:
            headers["ETag"] = etag
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        condition = handler.headers.get("If-Range", etag)
        if asked and not fault.ignore_range and not fault.status and condition == etag:
            start = int(asked[1])
            status = 206 if start < len(body) else 416
            headers["Content-Range"] = (
                f"bytes {start}-{len(body) - 1}/{len(body)}" if status == 206 else f"bytes */{len(body)}"
            )
            body = body[start:] if status == 206 else b""
        handler.send_response(fault.status or status)
        headers |= fault.headers
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif "Content-Length" not in headers:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        end = len(body) if fault.cut is None else min(fault.cut, len(body))
        for place in range(0, end, 16384):
            piece = body[place : min(place + 16384, end)]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if fault.chunked else piece)
            handler.wfile.flush()
            self.sent.set()
            if self.delay_s and self.closing.wait(self.delay_s):
                break
        if fault.cut is not None:
            self.closing.wait(fault.stall_s)
            handler.close_connection = True
        elif fault.chunked:
            handler.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture
def other_site() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture
def fault() -> type[Fault]:
    return Fault


@pytest.fixture(scope="session")
def weights() -> bytes:
    """Stands for a model: the magic, then 2 MB that don't compress."""
    return b"GGUF" + random.Random(7).randbytes(2_000_000)


@pytest.fixture(scope="session")
def digest(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()


@pytest.fixture
def limits() -> Limits:
    return Limits(connect_timeout=2.0, read_timeout=1.0, attempts=3, backoff=0.01, reserve_bytes=0)


def check_magic(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise InvalidModelFile("no magic", reason="magic", offset=0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


MakeLibrary = Callable[..., Library]


@pytest.fixture
def make_library(store: Store, limits: Limits, weights: bytes, digest: str) -> MakeLibrary:
    """A library whose catalogue holds one model, `tiny`, with the given sources."""

    def make(*sources: Source, limits: Limits = limits, sha256: str = digest, bytes: int = len(weights)) -> Library:
        entry = Entry(
            name="tiny",
            file="tiny.gguf",
            bytes=bytes,
            sha256=sha256,
            license="MIT",
            publisher="nobody",
            family="none",
            architecture="none",
            kind="chat",
            context=16,
            quantization="F32",
            sources=sources,
        )
        return Library(store, Catalog(models=(entry,), default="tiny"), limits=limits, validate=check_magic)

    return make


@pytest.fixture
def library(make_library: MakeLibrary) -> Library:
    return make_library()


@pytest.fixture
def is_empty(store: Store) -> Callable[[], bool]:
    """Whether the store holds no model and no file under a final name."""
    return lambda: not store.records() and not list((store.root / "blobs").glob("*"))


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it did not happen within 30 s"
            time.sleep(0.02)

    return wait
