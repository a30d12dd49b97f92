"""Requests that are being read are counted, so that engines can begin them together; see `smidgen.engine.together`."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from smidgen.engine.together import Arrivals


class Together:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._arrivals = Arrivals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        with self._arrivals.one():
            await self._app(scope, receive, send)
