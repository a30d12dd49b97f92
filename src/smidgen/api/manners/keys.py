"""API keys: needed as soon as others than this computer can call, or any is configured."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.types import ASGIApp, Receive, Scope, Send

from smidgen.api.manners.authority import is_loopback
from smidgen.api.manners.refusing import Refusal, has_body, refuse, values
from smidgen.config import Serve
from smidgen.errors import ConfigError

OPEN = frozenset({"/", "/health", "/v1/health"})
OPEN_UNDER = "/page/"
"""What holds no data: the page and its files, and whether the server is up."""


def require_keys(serve: Serve) -> None:
    """Raises ConfigError if the server would answer everyone in the network, or has a key that anybody would guess."""
    if any(not key.strip() for key in serve.keys):
        raise ConfigError("A key is empty.", hint="Take it out of `keys`, or choose a long random one.")
    if not serve.keys and not is_loopback(serve.host):
        raise ConfigError(
            f"On {serve.host or 'all addresses'} others can reach this server, and it has no key.",
            hint=f"Add one, such as --key {secrets.token_urlsafe(24)}, or listen on 127.0.0.1.",
        )


class Keys:
    """Keys are compared as digests and all of them each time, so that the time it takes tells nothing of them."""

    def __init__(self, app: ASGIApp, serve: Serve) -> None:
        self._app = app
        self._needed = bool(serve.keys) or not is_loopback(serve.host)
        self._salt = secrets.token_bytes(32)
        self._digests = tuple(self._digest(one) for key in serve.keys for one in _spellings(key.strip()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._needed or _is_open(scope):
            await self._app(scope, receive, send)
            return
        offered = _offered(scope)
        if self._are_known(offered):
            await self._app(scope, receive, send)
            return
        told = "The API key is not one of this server's." if any(offered) else "This server needs an API key."
        hint = "Send it as `Authorization: Bearer KEY` or `x-api-key: KEY`."
        why = Refusal(401, told, hint, "invalid_api_key")
        await refuse(scope, receive, send, why, unread=has_body(scope))

    def _are_known(self, offered: list[bytes]) -> bool:
        known = False
        for one in offered:
            digest = self._digest(one)
            for key in self._digests:
                known |= hmac.compare_digest(digest, key)
        return known

    def _digest(self, key: bytes) -> bytes:
        return hashlib.blake2b(key, key=self._salt, digest_size=32).digest()


def _offered(scope: Scope) -> list[bytes]:
    """Every key that came, also empty ones."""
    keys = [value.strip() for value in values(scope, b"x-api-key")]
    for value in values(scope, b"authorization"):
        scheme, _, key = value.strip().partition(b" ")
        if scheme.lower() == b"bearer":
            keys.append(key.strip())
    return keys


def _is_open(scope: Scope) -> bool:
    path = str(scope["path"])
    if scope["method"] not in ("GET", "HEAD") or ".." in path.split("/"):
        return False
    return path in OPEN or path.startswith(OPEN_UNDER)


def _spellings(key: str) -> set[bytes]:
    """As clients put it on the wire: most in UTF-8, some in Latin-1 where that can be. None for an empty key."""
    if not key:
        return set()
    spellings = {key.encode("utf-8", "surrogateescape")}
    if all(ord(character) < 256 for character in key):
        spellings.add(key.encode("latin-1"))
    return spellings
