"""Servers on standard input and output: a real one, and some with faults."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import ConfigError, ToolFailed, UnknownTool
from smidgen.tools import Tool
from smidgen.tools.function import tool
from smidgen.tools.mcp import McpServer, McpTools
from smidgen.tools.mcp.connection import Connection
from smidgen.tools.mcp.toolset import ServerTools, expanded

TIME = [sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"]

FAULTY = r"""
import json, os, sys, time

folder, mode = sys.argv[1], sys.argv[2]
with open(os.path.join(folder, "starts"), "a") as starts:
    starts.write(f"{os.getpid()}\n")


def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(said, **more):
    return {"content": [{"type": "text", "text": said}], **more}


if mode == "garbage":
    for _ in range(3):
        print("Welcome to the server!", flush=True)
    sys.stdin.read()
if mode == "silent":
    print("still thinking", file=sys.stderr, flush=True)
    sys.stdin.read()
if mode == "dead":
    sys.exit("no database")
for line in sys.stdin:
    asked = json.loads(line)
    method, number, given = asked["method"], asked.get("id"), asked.get("params", {})
    if mode == "strict" and method == "server/discover":
        sys.exit("expected initialize")
    if method == "initialize":
        say({"id": number, "result": {
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "faulty", "version": "1"}}})
    elif method == "tools/list":
        with open(os.path.join(folder, "tools.json")) as tools:
            every = json.load(tools)
        at = int(given.get("cursor", 0))
        more = {"nextCursor": str(at + 2)} if at + 2 < len(every) else {}
        if mode == "endless":
            more = {"nextCursor": "0"}
        say({"id": number, "result": {"tools": every[at : at + 2], **more}})
    elif method == "tools/call":
        name = given["name"]
        if name == "echo":
            print("not json", flush=True)
            say({"id": number, "result": text(given["arguments"]["text"])})
        elif name == "env":
            say({"id": number, "result": text(os.environ.get("TOLD", "") + os.environ.get("SECRET", ""))})
        elif name == "fail":
            say({"id": number, "result": text("It can't.", isError=True)})
        elif name == "refuse":
            say({"id": number, "error": {"code": -32602, "message": "no such\x1b argument"}})
        elif name == "broken":
            say({"id": number, "result": {"content": "what?"}})
        elif name == "die":
            sys.exit("out of memory")
        # "hang" is never answered
    elif number is not None:
        say({"id": number, "error": {"code": -32601, "message": "Method not found"}})
"""

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
NAMES = ("echo", "env", "fail", "refuse", "broken", "die", "hang")


def described(*names: str, schema: dict[str, Any] = TEXT) -> list[dict[str, Any]]:
    return [{"name": name, "description": f"It can {name}.", "inputSchema": schema} for name in names]


class Faulty:
    """A folder with the server's program, the list of its tools, and a line for each time it was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "faulty.py"
        self.program.write_text(FAULTY, encoding="utf-8")
        self.offer(*described(*NAMES))

    def offer(self, *tools: dict[str, Any]) -> None:
        (self.folder / "tools.json").write_text(json.dumps(tools), encoding="utf-8")

    def command(self, mode: str = "") -> tuple[str, ...]:
        return (sys.executable, str(self.program), str(self.folder), mode)

    @property
    def processes(self) -> list[int]:
        return [int(line) for line in (self.folder / "starts").read_text().splitlines()]

    @asynccontextmanager
    async def connected(self, mode: str = "", **settings: Any) -> AsyncIterator[Connection]:
        connection = Connection("odd", McpServer(command=self.command(mode), **settings))
        try:
            yield connection
        finally:
            await connection.aclose()


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    return Faulty(tmp_path)


def is_there(process: int) -> bool:
    """Running, or ended and not yet waited for."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# --- a real server --------------------------------------------------------------------------------------------------


async def test_a_real_server_is_started_asked_and_ended() -> None:
    async with McpTools(command=TIME, name="time") as server:
        current, convert = server.tools
        assert [current.spec.name, convert.spec.name] == ["get_current_time", "convert_time"]
        assert current.effect == "read"
        assert current.spec.parameters["required"] == ["timezone"]
        assert "UTC" in current.spec.parameters["properties"]["timezone"]["description"]
        outcome = await current.call({"timezone": "Asia/Tokyo"})
        assert outcome.ok
        assert outcome.value["timezone"] == "Asia/Tokyo"
        assert "+09:00" in outcome.text
        wrong = await current.call({"timezone": "Nowhere"})
        assert not wrong.ok and "Nowhere" in wrong.text
        shown = current.preview({"timezone": "UTC"})
        assert shown == 'get_current_time({"timezone": "UTC"}), by the MCP server time'
    closed = await current.call({"timezone": "UTC"})
    assert (closed.ok, closed.text) == (False, "The MCP server time is closed.")


# --- calls ----------------------------------------------------------------------------------------------------------


async def test_what_goes_wrong_in_a_call_is_an_outcome(faulty: Faulty) -> None:
    async with faulty.connected(timeout_s=10) as odd:
        assert (await odd.call("echo", {"text": "again"})).text == "again"  # though it writes what is no message
        assert (await odd.call("fail", {})).text == "It can't."
        refused = await odd.call("refuse", {})
        assert (refused.fault, refused.text) == ("arguments", "no such\\x1b argument")
        broken = await odd.call("broken", {})
        assert not broken.ok and "can't be read" in broken.text
        assert len(faulty.processes) == 1


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_goes_on(faulty: Faulty) -> None:
    async with faulty.connected(timeout_s=0.5) as odd:
        hung = await odd.call("hang", {})
        assert (hung.ok, hung.text) == (False, "hang took longer than 0.5 s and was given up.")
        assert (await odd.call("echo", {"text": "still here"})).ok
        assert len(faulty.processes) == 1


async def test_a_server_that_died_is_started_again_at_the_next_call_which_says_so(faulty: Faulty) -> None:
    async with faulty.connected() as odd:
        died = await odd.call("die", {})
        assert not died.ok
        assert "may have been done or not" in died.text
        assert "out of memory" in died.text
        assert len(faulty.processes) == 1, "what may have been done isn't done twice"
        after = await odd.call("echo", {"text": "hello"})
        assert after.ok
        assert after.text.startswith("hello\n[The MCP server odd had ended and was started again")
        assert after.value == "hello"
        assert (await odd.call("echo", {"text": "hello"})).text == "hello"
        assert len(faulty.processes) == 2
    assert not any(map(is_there, faulty.processes))


async def test_a_server_gets_the_variables_it_was_given_and_no_others(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "key")
    async with faulty.connected(env={"TOLD": "yes"}) as odd:
        assert (await odd.call("env", {})).text == "yes"


async def test_calls_from_another_loop_are_made_on_the_servers_own(faulty: Faulty) -> None:
    async with faulty.connected() as odd:
        await odd.tools()
        outcome = await asyncio.to_thread(lambda: asyncio.run(odd.call("echo", {"text": "from afar"})))
        assert outcome.text == "from afar"


# --- starting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("dead", 'ended before it was ready. Its standard error ends in "no database".'),
        ("silent", 'didn\'t become ready within 0.5 s. Its standard error ends in "still thinking".'),
        ("garbage", "within 0.5 s. It wrote 3 lines to its standard output that are no messages of the protocol."),
    ],
)
async def test_a_server_that_does_not_get_ready_is_a_typed_error(faulty: Faulty, mode: str, said: str) -> None:
    async with faulty.connected(mode, timeout_s=0.5 if mode != "dead" else 10) as odd:
        with pytest.raises(ToolFailed) as caught:
            await odd.tools()
        assert said in caught.value.message
        assert "Try its command by hand" in caught.value.hint
        assert not any(map(is_there, faulty.processes))
        outcome = await odd.call("echo", {"text": "x"})
        assert not outcome.ok and "The MCP server odd" in outcome.text


@pytest.mark.parametrize("program", ["no-such-program-anywhere", str(Path(__file__).parent)])
async def test_a_command_that_cannot_be_run_is_the_configurations_fault(program: str) -> None:
    connection = Connection("odd", McpServer(command=(program,)))
    with pytest.raises(ConfigError, match="can't be started") as caught:
        await connection.tools()
    assert "whole path" in caught.value.hint
    await connection.aclose()


async def test_a_server_that_knows_only_the_old_beginning_is_started_with_that(faulty: Faulty) -> None:
    async with faulty.connected("strict") as odd:
        assert (await odd.call("echo", {"text": "hello"})).text == "hello"
        assert len(faulty.processes) == 2


async def test_closing_ends_a_server_that_is_still_starting(faulty: Faulty) -> None:
    async with faulty.connected("silent") as odd:
        listing = asyncio.ensure_future(odd.tools())
        while not (faulty.folder / "starts").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
    with pytest.raises(ToolFailed, match="closed"):
        await listing
    assert not any(map(is_there, faulty.processes))


# --- lists ----------------------------------------------------------------------------------------------------------


async def names_of(*tools: Tool) -> tuple[list[str], list[str]]:
    found, notices = await expanded(tools)
    return [one.spec.name for one in found], [notice.message for notice in notices]


@tool
def echo(text: str) -> str:
    """A tool of one's own that is called as a server's."""
    return text


async def test_all_pages_of_a_list_are_read_anew_before_each_run(faulty: Faulty) -> None:
    async with faulty.connected() as odd:
        every = ServerTools(odd)
        assert await names_of(every) == ([*NAMES], [])
        faulty.offer(*described("echo", "brand_new"))
        assert await names_of(every) == (["echo", "brand_new"], [])
        assert await names_of(echo, every) == (["echo", "odd_echo", "brand_new"], [])


async def test_a_list_that_never_ends_is_an_error(faulty: Faulty) -> None:
    async with faulty.connected("endless") as odd:
        with pytest.raises(ToolFailed, match="more than 100 pages"):
            await odd.tools()


async def test_a_tool_that_cannot_be_used_is_left_out_and_told_once(faulty: Faulty) -> None:
    faulty.offer(*described("echo"), *described("odd\x07", schema={"type": "object", "properties": {"a": {"not": {}}}}))
    async with faulty.connected() as odd:
        every = ServerTools(odd)
        names, told = await names_of(every)
        assert names == ["echo"]
        assert told == ["'odd\\x07' of the MCP server odd is left out: The schema keyword 'not' can't be enforced."]
        assert (await names_of(every))[1] == []


async def test_only_the_tools_that_are_wanted_are_given(faulty: Faulty) -> None:
    async with faulty.connected(tools=("fail", "ecko")) as odd:
        names, told = await names_of(ServerTools(odd))
        assert names == ["fail"]
        assert told == ["The MCP server odd has no tool 'ecko'. Did you mean echo?"]
        assert (await names_of(ServerTools(odd, "echo"), ServerTools(odd)))[0] == ["echo", "fail"]
        with pytest.raises(UnknownTool, match="no tool 'ehco'") as caught:
            await names_of(ServerTools(odd, "ehco"))
        assert caught.value.details["near"] == ["echo"]


async def test_a_server_that_died_between_runs_is_started_again_and_the_user_told(faulty: Faulty) -> None:
    async with faulty.connected() as odd:
        every = ServerTools(odd)
        for _ in range(2):
            await odd.call("die", {})
            names, told = await names_of(every)
            assert names == [*NAMES]
            assert told == ["The MCP server odd had ended and was started again."]
        assert len(faulty.processes) == 3
