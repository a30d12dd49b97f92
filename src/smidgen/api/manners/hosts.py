"""Host and Origin. A web page can make a browser send requests here, and with a name of its own that leads to this
computer (DNS rebinding) it could read the answers. So a request must use a name that is the server's, and must not come
from another page unless that page's origin is named; named ones get CORS headers."""

from __future__ import annotations

import re
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smidgen.api.manners.authority import Authority, address_of, is_loopback, origin, parsed, with_port
from smidgen.api.manners.refusing import Refusal, has_body, refuse, values
from smidgen.config import Serve

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
EXPOSED = b"x-request-id, request-id, retry-after, www-authenticate, x-smidgen-strategy, x-smidgen-warnings"
PREFLIGHT_S = b"600"
LONGEST_HEADER_LIST = 2048
"""Bytes of names that a preflight may ask for."""

_HEADER_LIST = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_READS = ("GET", "HEAD", "OPTIONS")
_VARY = (b"vary", b"Origin")
_PREFLIGHT_VARY = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")

_HOST_HINT = "Name it with `hosts` in the configuration, or --allow-host, if it should be allowed."
_ORIGIN_HINT = "Name it with `origins` in the configuration, or --allow-origin, if it should be allowed."


class Hosts:
    def __init__(self, app: ASGIApp, serve: Serve) -> None:
        bound = serve.host.strip("[]").lower().removesuffix(".")
        self._app = app
        self._any_address = not is_loopback(bound)
        self._names = frozenset({bound, *(_plain_name(name) for name in serve.hosts)})
        self._everyone = "*" in serve.origins
        self._origins = frozenset(_comparable(one) for one in serve.origins)
        self._vary = bool(self._origins) and not self._everyone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = _host(scope)
        if isinstance(host, Refusal):
            await refuse(scope, receive, send, host, unread=has_body(scope))
            return
        sent = values(scope, b"origin")
        why = self._refused(scope, host, sent)
        if why is not None:
            await refuse(scope, receive, send, why, unread=has_body(scope))
            return
        if sent and self._origins and not _same(scope, host, sent[0]):
            if scope["method"] == "OPTIONS" and values(scope, b"access-control-request-method"):
                await self._preflight(scope, receive, send, sent[0])
                return
            send = _adding(send, [*self._allowing(sent[0]), (b"access-control-expose-headers", EXPOSED)])
        elif self._vary:
            send = _adding(send, [_VARY])
        await self._app(scope, receive, send)

    def _refused(self, scope: Scope, host: Authority, sent: list[bytes]) -> Refusal | None:
        if not self._is_ours(host.name):
            return Refusal(403, f"This server isn't called {host.name!r}.", _HOST_HINT, "host_not_allowed")
        if len(sent) > 1:
            return Refusal(403, "There is more than one Origin header.", code="origin_not_allowed")
        if sent:
            if _same(scope, host, sent[0]) or self._is_named(sent[0]):
                return None
            told = sent[0].decode("latin-1")[:200]
            return Refusal(403, f"Pages of {told!r} may not call this server.", _ORIGIN_HINT, "origin_not_allowed")
        if scope["method"] not in _READS and b"cross-site" in values(scope, b"sec-fetch-site"):
            return Refusal(403, "Other sites' pages may not call this server.", _ORIGIN_HINT, "origin_not_allowed")
        return None

    def _is_ours(self, name: str) -> bool:
        if is_loopback(name) or name in self._names:
            return True
        return self._any_address and address_of(name) is not None

    def _is_named(self, sent: bytes) -> bool:
        return self._everyone or _comparable(sent.decode("latin-1")) in self._origins

    def _allowing(self, sent: bytes) -> list[tuple[bytes, bytes]]:
        """Cookies and the like go with a request only to a server that names the page."""
        if self._everyone:
            return [(b"access-control-allow-origin", b"*")]
        return [(b"access-control-allow-origin", sent), (b"access-control-allow-credentials", b"true"), _VARY]

    async def _preflight(self, scope: Scope, receive: Receive, send: Send, sent: bytes) -> None:
        asked = b", ".join(values(scope, b"access-control-request-headers")).strip()
        if asked and (len(asked) > LONGEST_HEADER_LIST or _HEADER_LIST.fullmatch(asked) is None):
            why = Refusal(400, "Access-Control-Request-Headers is too long or no list of names.")
            await refuse(scope, receive, send, why, unread=has_body(scope))
            return
        headers = [one for one in self._allowing(sent) if one != _VARY]
        headers += [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", PREFLIGHT_S),
            _PREFLIGHT_VARY,
        ]
        if asked:
            headers.append((b"access-control-allow-headers", asked))
        if b"true" in values(scope, b"access-control-request-private-network"):
            headers.append((b"access-control-allow-private-network", b"true"))
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _host(scope: Scope) -> Authority | Refusal:
    sent = values(scope, b"host")
    if len(sent) != 1:
        return Refusal(400, "A request needs one Host header.", f"There are {len(sent)}.", "invalid_host")
    host = parsed(sent[0].decode("latin-1"))
    return host or Refusal(400, "The Host header is no host name or address.", code="invalid_host")


def _same(scope: Scope, host: Authority, sent: bytes) -> bool:
    """Whether a page that this server gave out asks."""
    scheme = str(scope.get("scheme", "http"))
    return origin(sent.decode("latin-1")) == (scheme, with_port(host, scheme))


def _plain_name(name: str) -> str:
    """Of a name in the configuration, which may come with a port."""
    host = parsed(name.strip())
    return host.name if host else name.strip("[] ").lower()


def _comparable(text: str) -> str:
    """An origin in one spelling. Such as have no host, "null" among them, stay as they are."""
    plain = text.strip().rstrip("/")
    pair = origin(plain)
    return plain.lower() if pair is None else f"{pair[0]}://{pair[1].name}:{pair[1].port}"


def _adding(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    """Not a coroutine itself: the pieces of an answer go straight to `send`."""

    def adding(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        return send(message)

    return adding
