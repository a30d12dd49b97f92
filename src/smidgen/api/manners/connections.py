"""Connections: what uvicorn lets pass. Its parser takes headers of any size and waits for them for ever, ignores the
host of an absolute request target, and loses the body of a request that offers to upgrade to HTTP/2, as Java's client
does. Here headers have a limit (431) and a time (408), the target's host counts, and the offer is passed over."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Literal

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from smidgen.api.manners.limits import HEAD_BYTES
from smidgen.api.manners.refusing import LINGER_S
from smidgen.api.manners.requests import Line, write
from smidgen.api.manners.shapes import refusal
from smidgen.config import Serve

_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_HOP_BY_HOP = frozenset({b"upgrade", b"http2-settings"})
_REASONS = {
    400: (b"Bad Request", "This is no request of HTTP/1.1.", "invalid_request"),
    408: (b"Request Timeout", "The headers didn't arrive in time.", "request_timeout"),
    431: (
        b"Request Header Fields Too Large",
        f"The headers are longer than {HEAD_BYTES} bytes.",
        "headers_too_large",
    ),
}


def protocol(serve: Serve) -> type[asyncio.Protocol]:
    """For `uvicorn.Config(http=…)`. Headers have `request_s` to arrive, and a connection that asks nothing as long."""

    class Limited(_Limited):
        head_s = serve.request_s

    return Limited


class _Limited(HttpToolsProtocol):
    """_part: what of a request comes now. _unseen: bytes that came since the parser last gave away a body or the end of
    headers: it keeps headers until they end, and those after a body (trailers) too."""

    head_s: float = 30.0
    url: bytes = b""
    _part: Literal["none", "head", "body"] = "none"
    _unseen: int = 0
    _refused: bool = False
    _timer: asyncio.TimerHandle | None = None

    # --- what comes from the socket ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._start(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._unseen += len(data)
        try:
            self._feed(memoryview(data))
        except httptools.HttpParserError:
            self._refuse(400)
            return
        if self._unseen > HEAD_BYTES:
            self._refuse(431)
        elif self._timer is None and (self._part != "none" or self._unseen):
            self._start(self.head_s)

    def _feed(self, data: memoryview) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._begin_again()
            else:
                return

    def _begin_again(self) -> None:
        """The parser stops after headers that offer an upgrade, and skips the body. So another gets them without the
        offer. Raises HttpParserError for CONNECT, which is no offer."""
        version = self.parser.get_http_version().encode()
        lines = [self.scope["method"].encode(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                kept = [one for one in value.split(b",") if one.strip().lower() not in _HOP_BY_HOP]
                value = b",".join(kept)
            if name not in _HOP_BY_HOP:
                lines += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        try:
            self.parser.feed_data(b"".join([*lines, b"\r\n"]))
        except httptools.HttpParserUpgrade as error:
            raise httptools.HttpParserError("not an origin server's method") from error

    # --- what comes from the parser ---------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part = "head"
        self._stop()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._part == "head":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
            return
        self._part, self._unseen = "body", 0
        self._stop()
        self._take_host_of_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unseen = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._part, self._unseen = "none", 0
        self._stop()
        super().on_message_complete()

    def _take_host_of_target(self) -> None:
        """RFC 9112, 3.2.2: the host of an absolute target replaces the Host header."""
        target = _ABSOLUTE.match(self.url)
        others = [pair for pair in self.headers if pair[0] != b"host"]
        if target is not None and len(self.headers) - len(others) == 1:
            self.headers[:] = [(b"host", target.group(1)), *others]

    # --- time and refusals ------------------------------------------------------------------------------------------

    def _start(self, seconds: float) -> None:
        if seconds > 0:
            self._timer = self.loop.call_later(seconds, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        """A body that a route still waits for is not this one's business, nor is an answer that goes on."""
        self._timer = None
        if self._answering() and not self._refused:
            return
        if self._part == "head" and not self._refused:
            self._refuse(408)
        else:
            self.transport.close()

    def _answering(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete

    def _refuse(self, status: int) -> None:
        """In the midst of another answer nothing can be told. Else the reason is, and what still comes is dropped for a
        while: to close at once would reset the connection before the client has read it."""
        self._stop()
        if self._answering():
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        reason, message, code = _REASONS[status]
        path = self.url.partition(b"?")[0].decode("latin-1")
        request_id = f"req_{secrets.token_hex(12)}"
        _, headers, body = refusal(path, status, message, code=code, request_id=request_id)
        told = {**headers, "x-request-id": request_id, "content-length": str(len(body)), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, head.encode("latin-1"), body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        write(Line(path=path, status=status, bytes=len(body), request=request_id))
        self._refused = True
        self._start(LINGER_S)
