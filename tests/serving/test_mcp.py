"""The official client of the Model Context Protocol, over standard input and output and over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from tests.serving.conftest import SMALLEST, Server, Start

PERCENT = "What is 17.5% of 2,340?"
WRITER = '[agents.writer]\ndescription = "Writes files."\ntools = ["write_file"]\n'


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


def saying(action: str, seen: list[str]) -> Callable[..., Any]:
    async def asked(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        seen.append(params.message)
        return types.ElicitResult(action=action, content={} if action == "accept" else None)  # pyright: ignore[reportArgumentType]

    return asked


def command(home: Path, *arguments: str) -> StdioServerParameters:
    (home / "config.toml").touch()
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "smidgen", "mcp", *arguments],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("SMIDGEN_")},
            "SMIDGEN_CONFIG": str(home / "config.toml"),
            "SMIDGEN_AUDIT": "off",
            "SMIDGEN_TUNED": "off",
        },
        cwd=str(home),
    )


async def test_a_client_that_starts_smidgen(tmp_path: Path) -> None:
    seen: list[str] = []
    server = command(tmp_path, "--model", SMALLEST, "--tools", "calculator,write_file")
    async with Client(server, mode="legacy", elicitation_callback=saying("accept", seen)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["assistant", "calculator", "write_file"]
        assert "409.5" in text_of(await client.call_tool("calculator", {"expression": "17.5% of 2340"}))
        answer = await client.call_tool("assistant", {"request": PERCENT})
        assert "409.5" in text_of(answer)
        assert answer.structured_content["tool_calls"][0]["name"] == "calculator"
        assert not (await client.call_tool("write_file", {"path": "a.txt", "content": "hello"})).is_error
    assert (tmp_path / "a.txt").read_text() == "hello"
    assert len(seen) == 1


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_over_http(server: Server, mode: str) -> None:
    steps: list[str] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async with Client(f"{server.url}/mcp", mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools][:2] == ["assistant", "calculator"]
        assert "409.5" in text_of(await client.call_tool("calculator", {"expression": "17.5% of 2340"}))
        answer = await client.call_tool("assistant", {"request": PERCENT}, progress_callback=progressed)
        assert "409.5" in text_of(answer)
        said = await client.call_tool("assistant", {"request": "Say hello in one word."})
        assert not said.is_error
        assert said.structured_content["text"]
    assert any("calculator" in step for step in steps)


async def test_over_http_with_a_key_and_a_user_who_is_asked(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(WRITER, encoding="utf-8")
    save = {"request": 'write_file(path="a.txt", content="hello")'}
    with start("--model", SMALLEST, "--key", "secret") as server:
        url = f"{server.url}/mcp"
        async with httpx2.AsyncClient() as nobody:
            assert (await nobody.post(url, json={})).status_code == 401
        for action, done in (("", False), ("decline", False), ("accept", True)):
            seen: list[str] = []
            asked = saying(action, seen) if action else None
            async with (
                httpx2.AsyncClient(headers={"Authorization": "Bearer secret"}, timeout=30) as http,
                Client(streamable_http_client(url, http_client=http), elicitation_callback=asked) as client,
            ):
                result = await client.call_tool("writer", save)
            assert (tmp_path / "a.txt").exists() is done
            assert len(seen) == (1 if action else 0)
            told = "permissions.toml" in " ".join(result.structured_content["warnings"])
            assert told is (not action)
        assert server.stop() == 0
