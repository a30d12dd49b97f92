"""A server over streamable HTTP on this computer, made with the official library."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

from smidgen.errors import ToolFailed
from smidgen.tools import Use
from smidgen.tools.mcp import McpServer, McpTools
from smidgen.tools.mcp.connection import Connection


def shop() -> MCPServer:
    server = MCPServer("shop")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def stock(item: str) -> dict[str, int]:  # pyright: ignore[reportUnusedFunction]
        """How many pieces there are."""
        return {item: 12}

    @server.tool()
    async def order(item: str, ctx: Context) -> str:  # pyright: ignore[reportUnusedFunction]
        """Order a piece."""
        request = ctx.request_context.request
        return f"{item} for {request.headers['x-customer']}"

    return server


@asynccontextmanager
async def served(port: int = 0) -> AsyncIterator[int]:
    """The port where the shop is open."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        app = shop().streamable_http_app()
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started:  # noqa: ASYNC110 - that is all that uvicorn tells
                await asyncio.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}/mcp"


async def test_tools_over_http_are_called_with_the_headers_and_ask_another_computer() -> None:
    async with served() as port, McpTools(url=address(port), headers={"X-Customer": "Anna"}, name="shop") as server:
        stock, order = server.tools
        assert (stock.effect, order.effect) == ("read", "write")
        assert stock.uses({}) == (Use(verb="fetch", host="127.0.0.1"),)  # type: ignore[attr-defined]
        assert [use.verb for use in order.uses({})] == ["write", "fetch"]  # type: ignore[attr-defined]
        assert (await stock.call({"item": "saw"})).value == {"saw": 12}
        assert (await order.call({"item": "saw"})).text == "saw for Anna"


async def test_after_the_server_was_away_the_next_call_begins_anew() -> None:
    async with served() as port:
        connection = Connection("shop", McpServer(url=address(port), timeout_s=5))
        assert [tool.name for tool in (await connection.tools())[0]] == ["stock", "order"]
    away = await connection.call("stock", {"item": "saw"})
    assert not away.ok
    assert "shop" in away.text
    async with served(port):
        again = await connection.call("stock", {"item": "saw"})
        assert again.ok
        await connection.aclose()


async def test_where_no_server_listens_the_error_says_so() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = address(free.getsockname()[1])
    with pytest.raises(ToolFailed, match="can't be used") as caught:
        async with McpTools(url=url, timeout_s=5):
            pass
    assert url in caught.value.hint
