"""One server: connected when it is first needed, and again where it has ended; its tools listed and called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smidgen.errors import SmidgenError, ToolFailed
from smidgen.tools import ToolOutcome
from smidgen.tools.function import failure
from smidgen.tools.mcp import McpServer
from smidgen.tools.mcp.content import noted, outcome_of
from smidgen.tools.mcp.session import Session
from smidgen.tools.visible import visible

if TYPE_CHECKING:
    from mcp.shared.exceptions import MCPError
    from mcp_types import Tool as Listed

MOST_PAGES = 100
"""Of a server's list of tools."""
_TOLD = 300
"""Characters of standard error in an outcome."""


class _Lost(Exception):
    """The session has ended by itself."""


class Connection:
    """name: as the configuration has it. On the loop where it is first used; a call may come from any other. Close it
    with `aclose`, which ends the server."""

    def __init__(self, name: str, server: McpServer) -> None:
        self.name = name
        self.server = server
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._closed = False

    async def tools(self) -> tuple[tuple[Listed, ...], bool]:
        """All that the server offers now, in its order; and whether it had ended and was started again for it. Raises
        ConfigError and ToolFailed."""
        session, again = await self._connected()
        try:
            return await self._listed(session), again
        except _Lost:
            session, _ = await self._connected()
        try:
            return await self._listed(session), True
        except _Lost as error:
            raise self._no_list(f"ended while it listed its tools{await session.what_it_said()}") from error

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        """tool: by the server's own name. A server that has ended before is started again, once, and the outcome says
        so. One that ends meanwhile isn't asked twice: it may have done already what was asked."""
        loop = self._loop
        if loop is not None and loop is not asyncio.get_running_loop():
            elsewhere = asyncio.run_coroutine_threadsafe(self._call(tool, arguments), loop)
            return await asyncio.wrap_future(elsewhere)
        return await self._call(tool, arguments)

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.aclose()

    async def _listed(self, session: Session) -> tuple[Listed, ...]:
        """Raises ToolFailed, and _Lost where another session may do better."""
        from mcp.shared.exceptions import MCPError

        client = await session.ready()
        found: list[Listed] = []
        cursor: str | None = None
        try:
            async with asyncio.timeout(self.server.timeout_s):
                for _ in range(MOST_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    found += page.tools
                    if (cursor := page.next_cursor) is None:
                        return tuple(found)
            said = f"lists its tools on more than {MOST_PAGES} pages."
        except TimeoutError:
            session.lose()
            said = f"didn't list its tools within {self.server.timeout_s:g} s.{await session.what_it_said()}"
        except MCPError as error:
            if self._is_lost(session, error):
                raise _Lost from error
            said = f"didn't list its tools: {visible(error.message)}.{await session.what_it_said()}"
        except ValueError as error:  # pydantic's
            said = f"lists its tools in a way that can't be read: {visible(str(error).splitlines()[0])}."
        raise self._no_list(said)

    def _no_list(self, said: str) -> ToolFailed:
        hint = "Try again, or leave its tools out."
        return ToolFailed(f"The MCP server {self.name} {said}", hint=hint, retryable=True, server=self.name)

    def _is_lost(self, session: Session, error: MCPError) -> bool:
        """Is this the end of the session? One over HTTP tells it only by such errors."""
        from mcp_types import CONNECTION_CLOSED

        told = error.code == CONNECTION_CLOSED or error.message == "Session terminated"
        if self.server.url and told:
            session.lose()
        return session.gone

    async def _call(self, tool: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        from mcp.shared.exceptions import MCPError

        try:
            session, again = await self._connected()
            client = await session.ready()
        except SmidgenError as error:
            return failure(str(error))
        try:
            result = await client.call_tool(tool, dict(arguments), read_timeout_seconds=self.server.timeout_s)
        except MCPError as error:
            return await self._failed(session, tool, error)
        except Exception as error:  # an answer that isn't what the protocol or the tool's own schema says
            said = str(error).splitlines()[:1]
            return failure(f"The MCP server {self.name} answered {tool} in a way that can't be read: {' '.join(said)}")
        outcome = outcome_of(result)
        note = f"[The MCP server {self.name} had ended and was started again: what it kept in memory is lost.]"
        return noted(outcome, note) if again else outcome

    async def _failed(self, session: Session, tool: str, error: MCPError) -> ToolOutcome:
        from mcp_types import INVALID_PARAMS, REQUEST_TIMEOUT

        if self._is_lost(session, error):
            return failure(
                f"The connection to the MCP server {self.name} ended during {tool}, which may have been done or not. "
                f"The next call begins a new one.{await session.what_it_said(_TOLD)}"
            )
        if error.code == REQUEST_TIMEOUT:
            return failure(f"{tool} took longer than {self.server.timeout_s:g} s and was given up.")
        return failure(visible(error.message, keep="\n\t"), "arguments" if error.code == INVALID_PARAMS else "world")

    async def _connected(self) -> tuple[Session, bool]:
        """Ready; and whether it takes the place of one that had ended by itself. Raises ConfigError and ToolFailed."""
        async with self._starting:
            if self._closed:
                raise ToolFailed(f"The MCP server {self.name} is closed.")
            self._loop = asyncio.get_running_loop()
            again = self._session is not None and self._session.gone and self._session.was_ready
            if self._session is not None and self._session.gone:
                await self._session.aclose()
                self._session = None
            if self._session is not None:
                await self._session.ready()
                return self._session, False
            self._session = Session(self.name, self.server)
            try:
                await self._session.ready()
            except ToolFailed:
                if not self._session.ended_early:
                    await self._drop()
                    raise
                # Some servers of earlier revisions end at a first message that isn't theirs.
                await self._drop()
                self._session = Session(self.name, self.server, "legacy")
                await self._ready_or_dropped()
            except SmidgenError:
                await self._drop()
                raise
            return self._session, again

    async def _ready_or_dropped(self) -> None:
        assert self._session is not None
        try:
            await self._session.ready()
        except SmidgenError:
            await self._drop()
            raise

    async def _drop(self) -> None:
        if self._session is not None:
            await self._session.aclose()
            self._session = None
