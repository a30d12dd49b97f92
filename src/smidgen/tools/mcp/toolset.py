"""All tools of a server: as one, until a run begins, and as they are from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from smidgen.errors import InvalidRequest, UnknownTool
from smidgen.events import Notice
from smidgen.messages import ToolSpec
from smidgen.tools import Effect, Tool, ToolOutcome
from smidgen.tools.function import failure
from smidgen.tools.mcp import McpServer
from smidgen.tools.mcp.borrowed import Borrowed
from smidgen.tools.mcp.connection import Connection
from smidgen.tools.mcp.names import given
from smidgen.tools.mcp.offer import Offer, offer_of
from smidgen.tools.registry import near_names
from smidgen.tools.visible import visible

log = logging.getLogger("smidgen.tools.mcp")


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What a server offers now, and what its user must be told of it."""

    offers: tuple[Offer, ...]
    notices: tuple[Notice, ...]


class ServerTools:
    """Stands for the tools of a server, or for the one named `only`, in an agent's list. It is a tool so that it can
    stand there; `expanded` puts the server's own in its place, before each run."""

    def __init__(self, connection: Connection, only: str = "") -> None:
        self.connection = connection
        self._only = only
        self._told: set[Notice] = set()
        self._spec = ToolSpec(
            name=f"mcp:{connection.name}.{only}" if only else f"mcp:{connection.name}",
            description=f"Tools of the MCP server {connection.name}.",
            parameters={"type": "object", "properties": {}},
        )

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    @property
    def effect(self) -> Effect:
        return "write"

    def preview(self, arguments: Mapping[str, Any]) -> str:
        return self._spec.name

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        return failure(f"{self._spec.name} stands for tools that only a run finds out.")

    async def offered(self) -> Offered:
        """The server is started if need be. Each notice comes once. Raises ConfigError and ToolFailed, UnknownTool for
        an `only` that the server doesn't have."""
        found = await offered(self.connection, self._only)
        fresh = tuple(notice for notice in found.notices if notice not in self._told)
        self._told.update(notice for notice in fresh if notice.code != "mcp_restarted")
        return msgspec.structs.replace(found, notices=fresh)


async def offered(connection: Connection, only: str = "") -> Offered:
    """What of a server's list can be used and is wanted. Raises ConfigError, ToolFailed, UnknownTool."""
    listed, again = await connection.tools()
    server, names = connection.name, [tool.name for tool in listed]
    wanted = (only,) if only else connection.server.tools
    notices: list[Notice] = []
    if again:
        notices.append(
            Notice(code="mcp_restarted", message=f"The MCP server {server} had ended and was started again.")
        )
    for name in wanted:
        if name not in names:
            near = near_names(name, names)
            hint = f"Did you mean {', '.join(near)}?" if near else f"It has: {', '.join(names) or 'no tools'}."
            message = f"The MCP server {server} has no tool {name!r}."
            if only:
                raise UnknownTool(message, hint=hint, near=list(near))
            notices.append(Notice(code="mcp_tool_missing", message=f"{message} {hint}"))
    offers: dict[str, Offer] = {}
    for tool in listed:
        if (wanted and tool.name not in wanted) or tool.name in offers:
            continue
        try:
            offers[tool.name] = offer_of(tool)
        except InvalidRequest as error:
            notices.append(_left_out(server, tool.name, error.message))
    return Offered(offers=tuple(offers.values()), notices=tuple(notices))


async def expanded(tools: Sequence[Tool]) -> tuple[tuple[Tool, ...], tuple[Notice, ...]]:
    """The tools, with the servers' own in the place of each ServerTools, and what the user must be told. Servers are
    started side by side. Raises ConfigError, ToolFailed, UnknownTool."""
    sets = [tool for tool in tools if isinstance(tool, ServerTools)]
    if not sets:
        return tuple(tools), ()
    found = await asyncio.gather(*[each.offered() for each in sets])
    notices = [notice for one in found for notice in one.notices]
    wanted: dict[tuple[str, str], tuple[ServerTools, Offer]] = {}
    for each, one in zip(sets, found, strict=True):
        for offer in one.offers:
            wanted.setdefault((each.connection.name, offer.tool), (each, offer))
    taken = [tool.spec.name for tool in tools if not isinstance(tool, ServerTools)]
    borrowed: dict[ServerTools, list[Tool]] = {each: [] for each in sets}
    for name, (each, offer) in zip(given(tuple(wanted), taken), wanted.values(), strict=True):
        if name:
            borrowed[each].append(Borrowed(each.connection, offer, name))
        else:
            notices.append(_left_out(each.connection.name, offer.tool, _TAKEN))
    return (
        tuple(one for tool in tools for one in (borrowed[tool] if isinstance(tool, ServerTools) else [tool])),
        tuple(notices),
    )


_TAKEN = "another tool has its name"


def _left_out(server: str, tool: str, reason: str) -> Notice:
    told = visible(f"{tool!r} of the MCP server {server} is left out: {reason.rstrip('.')}.")
    return Notice(code="mcp_tool_left_out", message=told)


class McpTools:
    """The tools of one server, in your own program:

        async with McpTools(command=["mcp-server-time"]) as server:
            agent = Agent(tools=server.tools)

    The arguments are those of a server in the configuration; name: what it is called in approvals and errors, and
    before names that are taken. The server lives as long as the block. Raises InvalidRequest, and on entering
    ConfigError and ToolFailed.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = (),
        url: str = "",
        env: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        tools: Sequence[str] = (),
        timeout_s: float = 30.0,
        name: str = "mcp",
    ) -> None:
        try:
            server = McpServer(
                command=tuple(command),
                url=url,
                env=dict(env or {}),
                headers=dict(headers or {}),
                tools=tuple(tools),
                timeout_s=timeout_s,
            )
        except ValueError as error:
            raise InvalidRequest(f"This MCP server can't be used: {error}.") from error
        self._connection = Connection(name, server)
        self.tools: tuple[Tool, ...] = ()
        self.notices: tuple[Notice, ...] = ()

    async def __aenter__(self) -> Self:
        try:
            found = await offered(self._connection)
        except BaseException:
            await self._connection.aclose()
            raise
        names = given([(self._connection.name, offer.tool) for offer in found.offers])
        pairs = tuple(zip(names, found.offers, strict=True))
        self.tools = tuple(Borrowed(self._connection, offer, name) for name, offer in pairs if name)
        taken = [_left_out(self._connection.name, offer.tool, _TAKEN) for name, offer in pairs if not name]
        self.notices = (*found.notices, *taken)
        for notice in self.notices:
            log.warning("%s", notice.message)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.aclose()
