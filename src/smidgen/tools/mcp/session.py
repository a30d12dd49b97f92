"""One connection to a server, from its start to its end. A task of its own holds it, since what the protocol's library
opens has to be closed by the task that opened it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from smidgen.errors import ConfigError, SmidgenError, ToolFailed
from smidgen.tools.mcp import McpServer
from smidgen.tools.mcp.stderr import Tail
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.visible import visible

if TYPE_CHECKING:
    import anyio
    from mcp.client import Client
    from mcp.client.session import IncomingMessage

_TOLD = 2000
"""Characters of standard error in an error."""
_READ_S = 300.0
"""How long a stream of an HTTP server may say nothing; each call has its own limit besides."""

# The library logs what it can't read; it is told in errors here, and goes where the user's own logging says.
for _logger in ("mcp", "client"):
    logging.getLogger(_logger).addHandler(logging.NullHandler())


class Session:
    """name: for errors. Begins when made; wait for `ready`, and end it with `aclose`, on the same loop.

    mode: "auto" finds out which revision of the protocol the server speaks; "legacy" begins as all revisions before
    2026 do."""

    def __init__(self, name: str, server: McpServer, mode: Literal["auto", "legacy"] = "auto") -> None:
        self._name = name
        self._server = server
        self._mode: Literal["auto", "legacy"] = mode
        self._tail = Tail()
        self._garbled = 0
        self._lost = False
        self._client: Client | None = None
        self._scope: anyio.CancelScope | None = None
        self._ending = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"mcp server {name}")

    async def ready(self) -> Client:
        """Raises ConfigError for a server that can't be started or reached as it is configured, ToolFailed for one that
        ends or doesn't answer."""
        await asyncio.shield(self._ready)
        assert self._client is not None
        return self._client

    @property
    def gone(self) -> bool:
        """It has ended by itself, or was closed."""
        return self._lost or self._task.done()

    @property
    def was_ready(self) -> bool:
        return self._client is not None

    @property
    def ended_early(self) -> bool:
        """It was there, and ended before it was ready."""
        return self._lost and self._client is None

    def lose(self) -> None:
        """It has turned out to be of no use any more."""
        self._lost = True

    async def aclose(self) -> None:
        """Ends the server, if it is a program of ours."""
        self._ending.set()
        if self._client is None and self._scope is not None:
            self._scope.cancel()
        await asyncio.wait({self._task})

    async def what_it_said(self, characters: int = _TOLD) -> str:
        """For an error, with a space before it; "" if there is nothing."""
        if self._lost:
            await self._tail.settled()
        parts: list[str] = []
        if self._garbled:
            parts.append(f"It wrote {self._garbled} lines to its standard output that are no messages of the protocol.")
        if text := self._tail.text(characters):
            parts.append(f'Its standard error ends in "{text}".')
        return "".join(f" {part}" for part in parts)

    # --- the task ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        limit = self._server.timeout_s
        error: Exception | None = None
        try:
            # Elsewhere than on the loop, which it would hold for half a second.
            await in_daemon_thread(importlib.import_module, name="mcp.client")
            await self._hold(limit)
        except Exception as raised:  # also groups of them, from the library's own tasks
            error = raised
        finally:
            if not self._ready.done():
                self._ready.set_exception(await self._why(error, limit))
                self._ready.exception()  # nobody may be waiting

    async def _hold(self, limit: float) -> None:
        """Until it is to end. Returns at once where it wasn't ready in time, raises what made it fail."""
        from importlib import metadata

        import anyio
        from mcp.client import Client
        from mcp_types import Implementation

        with anyio.CancelScope(deadline=anyio.current_time() + limit) as self._scope:
            async with Client(
                self._transport(),
                mode=self._mode,
                cache=None,
                message_handler=self._heard,
                client_info=Implementation(name="smidgen", version=metadata.version("smidgen")),
            ) as client:
                self._scope.deadline = math.inf
                self._client = client
                if not self._ready.done():
                    self._ready.set_result(None)
                await self._ending.wait()

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any]:
        """Streams to and from the server, as the library wants them."""
        if self._server.url:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            timeout = httpx2.Timeout(self._server.timeout_s, read=_READ_S)
            async with (
                httpx2.AsyncClient(headers=self._server.headers, timeout=timeout) as http,
                streamable_http_client(self._server.url, http_client=http) as streams,
            ):
                yield streams
            return
        from mcp.client.stdio import StdioServerParameters, stdio_client

        program, *arguments = self._server.command
        parameters = StdioServerParameters(command=program, args=arguments, env=dict(self._server.env))
        with self._tail.open() as errors:
            async with stdio_client(parameters, errlog=errors) as (reading, writing):
                errors.close()  # now only the server holds it
                yield _Watched(reading, self.lose), writing

    async def _heard(self, message: IncomingMessage) -> None:
        if isinstance(message, Exception) and not self._server.url:
            self._garbled += 1

    async def _why(self, error: Exception | None, limit: float) -> SmidgenError:
        """Why it isn't ready."""
        name, server = self._name, self._server
        if self._ending.is_set():
            return ToolFailed(f"The MCP server {name} was closed before it was ready.", server=name)
        causes = tuple(_leaves(error)) if error is not None else ()
        if not server.url and (cause := next((one for one in causes if isinstance(one, OSError | ValueError)), None)):
            return ConfigError(
                f"The MCP server {name} can't be started: {server.command[0]!r}: {_words(cause)}.",
                hint="Install it, or give the program's whole path as the first word of `command`.",
                server=name,
            )
        said = await self.what_it_said()
        what = "answer" if server.url else "become ready"
        if error is None:
            message = f"The MCP server {name} didn't {what} within {limit:g} s.{said}"
        elif self._lost:
            message = f"The MCP server {name} ended before it was ready.{said}"
        else:
            message = f"The MCP server {name} can't be used: {'; '.join(_words(one) for one in causes)}.{said}"
        where = f"Look whether a server listens at {server.url}" if server.url else "Try its command by hand"
        return ToolFailed(message, hint=f"{where}, or give it longer with `timeout_s`.", retryable=True, server=name)


class _Watched:
    """Passes on what is read, and tells when it has ended."""

    def __init__(self, source: Any, ended: Any) -> None:
        self._source = source
        self._ended = ended

    async def receive(self) -> Any:
        import anyio

        try:
            return await self._source.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._ended()
            raise

    async def aclose(self) -> None:
        await self._source.aclose()

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        import anyio

        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> _Watched:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            yield from _leaves(one)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield error


def _words(error: BaseException) -> str:
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return visible(told.strip().rstrip(".")[:300]) or type(error).__name__
