"""Many clients, at /mcp of `smidgen serve`, by streamable HTTP."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from smidgen.api.service import Service
from smidgen.config import permissions_path
from smidgen.tools.threads import in_daemon_thread

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from smidgen.api.mcp.server import Serving

log = logging.getLogger("smidgen.api")

PATH = "/mcp"
MOST_SESSIONS = 1000
METHODS = ("POST", "DELETE")
"""Nothing is ever told a client but in answer to its own requests, so there is no stream to GET."""


class Mounted:
    """An ASGI application. It is made ready by the first request. tools, agents: what is offered, as `Offered` takes
    them; None for what it offers by itself. Enter it, or close it with `aclose`, which ends all sessions; on the
    service's loop."""

    def __init__(
        self, service: Service, *, tools: Sequence[str] | None = None, agents: Sequence[str] | None = None
    ) -> None:
        self._service = service
        self._tools = tools
        self._agents = agents
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._holder: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self._closing.set()
        if self._holder is not None:
            await asyncio.wait({self._holder})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in METHODS:
            await Response(status_code=405, headers={"allow": ", ".join(METHODS)})(scope, receive, send)
            return
        manager = await self._manager()
        await manager.asgi_app(scope, receive, send)

    async def _manager(self) -> StreamableHTTPSessionManager:
        if self._ready is None:
            loop = asyncio.get_running_loop()
            self._ready = loop.create_future()
            self._holder = loop.create_task(self._hold(self._ready))
        return await asyncio.shield(self._ready)

    async def _hold(self, ready: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        """All that the library starts is begun and ended by this one task."""
        try:
            await in_daemon_thread(importlib.import_module, name="smidgen.api.mcp.server")
            from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

            serving = self._serving()
            # Host and Origin are looked at before a request comes here, and so is how long it is.
            manager = StreamableHTTPSessionManager(
                serving.protocol, max_sessions=MOST_SESSIONS, max_request_body_size=max(1, self._service.serve.body)
            )
            async with manager.run():
                ready.set_result(manager)
                await self._closing.wait()
            await serving.aclose()
        except Exception as error:
            if ready.done():
                log.error("the end of the MCP server failed", exc_info=error)
            else:
                ready.set_exception(error)
                ready.exception()  # nobody may be waiting
                self._ready = None  # the next request tries again

    def _serving(self) -> Serving:
        from smidgen.api.mcp.calls import Manner
        from smidgen.api.mcp.offered import DEFAULT_TOOLS, Offered
        from smidgen.api.mcp.server import Serving

        tools = DEFAULT_TOOLS if self._tools is None else self._tools
        offered = Offered(self._service, agents=self._agents, tools=tools, tell=lambda text: log.warning("%s", text))
        rules = permissions_path(self._service.runtime.config)
        manner = Manner(to_allow=f"Whoever runs the server can allow it by a rule in {rules}.")
        return Serving(self._service, offered, manner)
