"""smidgen as a server of the Model Context Protocol, asked by the official client: in memory in both revisions of the
protocol, over HTTP, and on standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
import uvicorn
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from smidgen.api.app import application
from smidgen.api.mcp.calls import Manner
from smidgen.api.mcp.http import Mounted
from smidgen.api.mcp.offered import Offered
from smidgen.api.mcp.pending import Parked, Pending, Question
from smidgen.api.mcp.server import Serving
from smidgen.api.service import Service
from smidgen.config import AgentConfig, Config, Serve
from smidgen.errors import ConfigError, EngineCrashed, InvalidRequest, UnknownTool
from smidgen.messages import GenerateRequest, ToolCall
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels

ERAS = ("legacy", "auto")
PERCENT = "What is 17.5% of 2,340?"
SAVE = 'write_file(path="a.txt", content="hello")'

Asked = Callable[..., Any]


class Place:
    """A service over a scripted model "tiny", in a folder of its own."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder

    @asynccontextmanager
    async def client(
        self, mode: str = "legacy", *, manner: Manner | None = None, asked: Asked | None = None, **offered: Any
    ) -> AsyncGenerator[Client]:
        serving = Serving(self.service, Offered(self.service, **offered), manner or Manner(to_allow="Use --yes."))
        try:
            async with Client(serving.protocol, mode=mode, elicitation_callback=asked) as client:
                yield client
        finally:
            await serving.aclose()


@pytest.fixture
async def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[Place]]]:
    settings = tmp_path / "configuration" / "config.toml"
    settings.parent.mkdir()
    settings.touch()
    monkeypatch.setenv("SMIDGEN_CONFIG", str(settings))
    folder = tmp_path / "work"
    folder.mkdir()
    async with AsyncExitStack() as stack:

        async def open_(answers: Any = (), agents: Mapping[str, AgentConfig] | None = None, **config: Any) -> Place:
            models = ScriptedModels({"tiny": ScriptedEngine(answers, name="tiny")})
            given: dict[str, Any] = {"audit": "off", **config, "agents": dict(agents or {})}
            whole = Config(model="tiny", home=str(tmp_path / "home"), workspace=str(folder), **given)
            runtime = await stack.enter_async_context(Runtime(whole, models=models))
            return Place(Service(runtime, whole.serve), folder)

        yield open_


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


def says(action: str, seen: list[str]) -> Asked:
    async def asked(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        seen.append(params.message)
        return types.ElicitResult(action=action, content={} if action == "accept" else None)  # pyright: ignore

    return asked


# --- what is offered ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ERAS)
async def test_agents_and_tools_are_listed_with_what_they_may_do(opened: Any, mode: str) -> None:
    writer = AgentConfig(description="Keeps notes.", tools=("files", "fetch"))
    place = await opened(agents={"note-taker": writer})
    async with place.client(mode, tools=("calculator", "write_file", "fetch")) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == ["assistant", "note_taker", "calculator", "write_file", "fetch"]
    hints = {name: tool.annotations for name, tool in tools.items()}
    assert {name: hint.read_only_hint for name, hint in hints.items() if hint} == {
        "assistant": True,
        "note_taker": False,
        "calculator": True,
        "write_file": False,
        "fetch": True,
    }
    assert {name for name, hint in hints.items() if hint and hint.destructive_hint} == {"note_taker", "write_file"}
    assert {name for name, hint in hints.items() if hint and hint.open_world_hint} == {"note_taker", "fetch"}
    assert tools["assistant"].input_schema["required"] == ["request"]
    assert "Keeps notes." in (tools["note_taker"].description or "")
    assert tools["calculator"].input_schema["properties"]["expression"]["type"] == "string"


async def test_what_is_offered_can_be_chosen_and_must_be_something(opened: Any) -> None:
    place = await opened()
    async with place.client(agents=(), tools=("weekday",)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["weekday"]
    with pytest.raises(ConfigError, match="nothing to offer"):
        Offered(place.service, agents=(), tools=())
    with pytest.raises(InvalidRequest, match="assistent"):
        Offered(place.service, agents=("assistent",))
    with pytest.raises(UnknownTool, match="calculater"):
        Offered(place.service, tools=("calculater",))


async def test_an_agent_that_is_called_like_a_tool_gets_another_name(opened: Any) -> None:
    place = await opened(agents={"calculator": AgentConfig(), "weekday": AgentConfig()})
    async with place.client(tools=("calculator",)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == ["assistant", "agent_calculator", "agent_weekday", "calculator"]


async def test_tools_of_other_servers_are_passed_on(opened: Any) -> None:
    from smidgen.tools.mcp import McpServer

    server = McpServer(command=(sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"))
    place = await opened(mcp={"time": server})
    async with place.client(agents=(), tools=("calculator", "mcp:time.get_current_time")) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["calculator", "get_current_time"]
        result = await client.call_tool("get_current_time", {"timezone": "Asia/Tokyo"})
    assert not result.is_error, text_of(result)
    assert "Asia/Tokyo" in text_of(result)


# --- calls of tools -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ERAS)
async def test_a_tool_is_called(opened: Any, mode: str) -> None:
    async with (await opened()).client(mode) as client:
        result = await client.call_tool("calculator", {"expression": "17.5% of 2340"})
    assert not result.is_error
    assert "409.5" in text_of(result)
    assert "409.5" in json.dumps(result.structured_content["value"])


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("arguments", [{}, {"expression": 5}, {"expression": "2 +"}, {"expresion": "1"}])
async def test_arguments_that_make_no_sense_are_told_in_the_result(
    opened: Any, mode: str, arguments: dict[str, Any]
) -> None:
    async with (await opened()).client(mode) as client:
        result = await client.call_tool("calculator", arguments)
    assert result.is_error
    assert text_of(result)


@pytest.mark.parametrize("mode", ERAS)
async def test_an_unknown_tool_is_an_error_of_the_protocol(opened: Any, mode: str) -> None:
    async with (await opened()).client(mode) as client:
        with pytest.raises(MCPError, match="calculator") as error:
            await client.call_tool("calculater", {})
        assert error.value.code == types.INVALID_PARAMS
        with pytest.raises(MCPError):
            await client.call_tool("write_file", {"path": "a.txt", "content": "x"})  # not offered


@pytest.mark.parametrize("mode", ERAS)
async def test_a_change_that_nobody_can_be_asked_about_is_refused(opened: Any, mode: str) -> None:
    place = await opened()
    async with place.client(mode, tools=("write_file",)) as client:
        result = await client.call_tool("write_file", {"path": "a.txt", "content": "hello"})
    assert result.is_error
    assert text_of(result).endswith("Use --yes.")
    assert not (place.folder / "a.txt").exists()


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize(("action", "done"), [("accept", True), ("decline", False), ("cancel", False)])
async def test_a_change_is_asked_about(opened: Any, mode: str, action: str, done: bool) -> None:
    place, seen = await opened(), list[str]()
    async with place.client(mode, tools=("write_file",), asked=says(action, seen)) as client:
        result = await client.call_tool("write_file", {"path": "a.txt", "content": "hello"})
    assert len(seen) == 1
    assert "a.txt" in seen[0]
    assert result.is_error is not done
    assert (place.folder / "a.txt").exists() is done


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_that_fails_to_ask_its_user_approves_nothing(opened: Any, mode: str) -> None:
    async def asked(context: Any, params: types.ElicitRequestParams) -> types.ErrorData:
        return types.ErrorData(code=types.INTERNAL_ERROR, message="no window")

    place = await opened()
    async with place.client(mode, tools=("write_file",), asked=asked) as client:
        if mode == "legacy":
            result = await client.call_tool("write_file", {"path": "a.txt", "content": "hello"})
            assert result.is_error
            assert "no window" in text_of(result)
        else:
            with pytest.raises(MCPError, match="no window"):
                await client.call_tool("write_file", {"path": "a.txt", "content": "hello"})
    assert not (place.folder / "a.txt").exists()


async def test_a_yes_beforehand_and_a_dry_run(opened: Any) -> None:
    place = await opened()
    arguments = {"path": "a.txt", "content": "hello"}
    async with place.client(tools=("write_file",), manner=Manner(dry_run=True)) as client:
        result = await client.call_tool("write_file", arguments)
        assert not result.is_error
        assert "Dry run" in text_of(result)
        assert not (place.folder / "a.txt").exists()
    async with place.client(tools=("write_file",), manner=Manner(yes=True)) as client:
        assert not (await client.call_tool("write_file", arguments)).is_error
    assert (place.folder / "a.txt").read_text() == "hello"


async def test_the_rules_hold_and_calls_are_logged(opened: Any, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[deny]]\npath = "private/**"\n[[allow]]\ntool = "write_file"\npath = "notes/**"\n')
    place = await opened(permissions=str(rules), audit="on")
    async with place.client(tools=("write_file",), manner=Manner(yes=True)) as client:
        assert (await client.call_tool("write_file", {"path": "private/a", "content": "x"})).is_error
    async with place.client(tools=("write_file",)) as client:
        assert not (await client.call_tool("write_file", {"path": "notes/a", "content": "x"})).is_error
    audit = place.service.runtime.toolbox.audit
    assert audit is not None
    assert sorted(entry.decision for entry in audit.last()) == ["allowed", "denied"]


async def test_an_answer_is_good_for_its_own_call_only_and_once(opened: Any) -> None:
    place = await opened()
    yes: Any = {"approval": types.ElicitResult(action="accept", content={})}
    async with place.client("auto", tools=("write_file",), asked=says("accept", [])) as client:

        async def call(path: str, **more: Any) -> Any:
            return await client.session.call_tool(
                "write_file", {"path": path, "content": "x"}, allow_input_required=True, **more
            )

        asked = await call("a.txt")
        assert isinstance(asked, types.InputRequiredResult)
        with pytest.raises(MCPError, match="waits"):
            await call("b.txt", input_responses=yes, request_state=asked.request_state)
        with pytest.raises(MCPError, match="waits"):
            await call("a.txt", input_responses=yes, request_state="guessed")
        again = await call("a.txt", request_state=asked.request_state)  # without the answer: asked again
        assert isinstance(again, types.InputRequiredResult)
        done = await call("a.txt", input_responses=yes, request_state=again.request_state)
        assert not done.is_error
        with pytest.raises(MCPError, match="waits"):
            await call("a.txt", input_responses=yes, request_state=again.request_state)
    assert [path.name for path in place.folder.iterdir()] == ["a.txt"]


# --- calls that wait ------------------------------------------------------------------------------------------------


def waiting(ended: list[str]) -> Pending:
    async def work(pending: Pending) -> types.CallToolResult:
        try:
            await pending.ask(ToolCall(name="write_file", arguments={}), "write it")
        finally:
            ended.append("ended")
        return types.CallToolResult(content=[])

    return Pending(work)


async def test_calls_that_nobody_comes_back_for_are_given_up() -> None:
    ended: list[str] = []
    parked, pending = Parked(most=1, seconds=60), waiting(ended)
    assert await pending.step() == Question("write it")
    key = parked.park(pending, "write_file", {})
    other = waiting(ended)
    kept = parked.park(other, "write_file", {})  # there is room for one
    assert parked.take(key, "write_file", {}) is None
    assert parked.take(kept, "write_file", {}) is other
    parked.park(other, "write_file", {})
    await parked.aclose()
    assert ended == ["ended", "ended"]


async def test_calls_are_given_up_after_a_while() -> None:
    ended: list[str] = []
    parked, pending = Parked(seconds=0.01), waiting(ended)
    await pending.step()
    key = parked.park(pending, "write_file", {})
    with anyio.fail_after(10):
        while not ended:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    assert parked.take(key, "write_file", {}) is None
    await parked.aclose()


# --- calls of agents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ERAS)
async def test_an_agent_answers_and_tells_its_steps(opened: Any, mode: str) -> None:
    steps: list[tuple[float, str | None]] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, message))

    async with (await opened()).client(mode) as client:
        await client.list_tools()  # from then on the client checks results against their schema
        result = await client.call_tool("assistant", {"request": PERCENT}, progress_callback=progressed)
        assert not result.is_error
        assert "409.5" in text_of(result)
        told = result.structured_content
        assert told["text"] == text_of(result)
        assert told["strategy"] == "rules"
        assert [(call["name"], call["ok"]) for call in told["tool_calls"]] == [("calculator", True)]
    assert [number for number, _ in steps] == [float(number + 1) for number in range(len(steps))]
    assert any("calls calculator" in (said or "") for _, said in steps)


async def test_an_agent_answers_with_the_model_that_is_named(opened: Any) -> None:
    async with (await opened(["Hello."])).client() as client:
        result = await client.call_tool("assistant", {"request": "Say hello", "model": "tiny"})
        assert text_of(result) == "Hello."
        assert result.structured_content["model"] == "tiny"
        unknown = await client.call_tool("assistant", {"request": "Say hello", "model": "/etc/passwd"})
        assert unknown.is_error
        assert "tiny" in text_of(unknown)


@pytest.mark.parametrize("arguments", [{}, {"request": ""}, {"request": 5}, {"request": "Hi", "colour": "red"}])
async def test_an_agent_says_what_is_wrong_with_its_arguments(opened: Any, arguments: dict[str, Any]) -> None:
    async with (await opened(["Hello."])).client() as client:
        assert (await client.call_tool("assistant", arguments)).is_error


async def test_a_run_that_fails_is_a_result(opened: Any) -> None:
    async with (await opened([EngineCrashed("It crashed twice.")])).client() as client:
        result = await client.call_tool("assistant", {"request": "Say hello"})
    assert result.is_error
    assert "It crashed twice." in text_of(result)


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("action", ["accept", "decline", ""])
async def test_what_an_agent_would_change_is_asked_about(opened: Any, mode: str, action: str) -> None:
    place, seen = await opened(agents={"writer": AgentConfig(tools=("files",))}), list[str]()
    async with place.client(mode, asked=says(action, seen) if action else None) as client:
        result = await client.call_tool("writer", {"request": SAVE})
    assert len(seen) == (1 if action else 0)
    assert (place.folder / "a.txt").exists() is (action == "accept")
    warned = "Use --yes." in result.structured_content["warnings"]
    assert warned is (not action)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_cancelled_request_cancels_the_run(opened: Any, mode: str) -> None:
    begun = asyncio.Event()

    def long(request: GenerateRequest) -> str:
        begun.set()
        return "long " * 100_000

    place = await opened(long)
    async with place.client(mode) as client:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "assistant", {"request": "Say much"})
                await begun.wait()
                assert place.service.admission.running == 1
                group.cancel_scope.cancel()
            while place.service.admission.running:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        assert not (await client.call_tool("calculator", {"expression": "1 + 1"})).is_error


async def test_more_than_the_server_admits_is_refused(opened: Any) -> None:
    place = await opened(["long " * 5000], serve=Serve(streams=1, queue=0))
    async with place.client() as client, place.service.admission.turn():
        result = await client.call_tool("assistant", {"request": "Say hello"})
        tool = await client.call_tool("calculator", {"expression": "1 + 1"})
    assert result.is_error
    assert tool.is_error
    assert "Try again" in text_of(tool)


# --- over HTTP ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(service: Service, **offered: Any) -> AsyncGenerator[str]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        async with Mounted(service, **offered) as mounted:
            app = application(service, mcp=mounted)
            config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[opened]))
            try:
                while not server.started:  # noqa: ASYNC110 - that is all that uvicorn tells
                    await asyncio.sleep(0.01)
                yield f"http://127.0.0.1:{opened.getsockname()[1]}/mcp"
            finally:
                server.should_exit = True
                await serving


@pytest.mark.parametrize("mode", ERAS)
async def test_over_http(opened: Any, mode: str) -> None:
    place, seen, steps = await opened(agents={"writer": AgentConfig(tools=("files",))}), list[str](), list[str]()

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message or "")

    async with (
        listening(place.service) as url,
        Client(url, mode=mode, elicitation_callback=says("accept", seen)) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names[:3] == ["assistant", "writer", "calculator"]
        result = await client.call_tool("assistant", {"request": PERCENT}, progress_callback=progressed)
        assert "409.5" in text_of(result)
        await client.call_tool("writer", {"request": SAVE})
    assert (place.folder / "a.txt").read_text() == "hello"
    assert len(seen) == 1
    assert any("calculator" in step for step in steps)


async def test_what_tools_keep_is_a_session_s_own(opened: Any) -> None:
    place = await opened()
    yes = says("accept", [])
    async with (
        listening(place.service, tools=("write_file", "undo_write")) as url,
        Client(url, mode="legacy", elicitation_callback=yes) as first,
        Client(url, mode="legacy", elicitation_callback=yes) as second,
        Client(url, elicitation_callback=yes) as without_session,
    ):
        await first.call_tool("write_file", {"path": "a.txt", "content": "one"})
        assert (await second.call_tool("undo_write", {})).is_error
        assert (await without_session.call_tool("undo_write", {})).is_error
        assert not (await first.call_tool("undo_write", {})).is_error
    assert not (place.folder / "a.txt").exists()


async def test_over_http_a_user_is_told_who_can_allow_it_and_there_is_no_stream_to_get(opened: Any) -> None:
    place = await opened(agents={"writer": AgentConfig(tools=("files",))})
    async with listening(place.service) as url:
        async with Client(url) as client:
            result = await client.call_tool("writer", {"request": SAVE})
            assert any("permissions.toml" in warning for warning in result.structured_content["warnings"])
        async with httpx2.AsyncClient() as http:
            response = await http.get(url, headers={"accept": "text/event-stream"})
            assert (response.status_code, response.headers["allow"]) == (405, "POST, DELETE")
            assert (await http.post(url, content=b"{}")).status_code in (400, 406)
    assert not (place.folder / "a.txt").exists()


# --- on standard input and output -----------------------------------------------------------------------------------


def command(tmp_path: Path, *arguments: str) -> StdioServerParameters:
    settings = tmp_path / "config.toml"
    settings.touch()
    own = {"SMIDGEN_CONFIG": str(settings), "SMIDGEN_HOME": str(tmp_path / "home"), "SMIDGEN_AUDIT": "off"}
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "smidgen", "mcp", "--quiet", "--workspace", str(tmp_path), *arguments],
        env={**{name: value for name, value in os.environ.items() if not name.startswith("SMIDGEN_")}, **own},
        cwd=str(tmp_path),
    )


async def test_on_standard_input_and_output(tmp_path: Path) -> None:
    seen: list[str] = []
    server = command(tmp_path, "--tools", "calculator,write_file", "--agents", "")
    async with Client(server, elicitation_callback=says("accept", seen)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["calculator", "write_file"]
        assert text_of(await client.call_tool("calculator", {"expression": "6 * 7"})).endswith("42")
        long = "x" * 200_000
        assert not (await client.call_tool("write_file", {"path": "a.txt", "content": long})).is_error
    assert (tmp_path / "a.txt").read_text() == long
    assert len(seen) == 1


async def started(given: StdioServerParameters) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        given.command, *given.args, env=given.env, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def test_the_command_says_nothing_but_the_protocol_and_ends_with_its_input(tmp_path: Path) -> None:
    process = await started(command(tmp_path, "--agents", ""))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'no JSON\n\n{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
    assert json.loads(await process.stdout.readline())["id"] == 1
    rest, _ = await process.communicate(b"")
    assert (rest, process.returncode) == (b"", 0)


async def test_the_command_ends_when_it_is_told_to_though_its_input_is_open(tmp_path: Path) -> None:
    process = await started(command(tmp_path, "--agents", ""))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
    await process.stdout.readline()
    process.terminate()
    with anyio.fail_after(20):
        assert await process.wait() == 143
    await process.communicate(b"")


async def test_the_command_tells_what_it_cannot_offer(tmp_path: Path) -> None:
    process = await started(command(tmp_path, "--tools", "calculater"))
    out, error = await process.communicate(b"")
    assert (process.returncode, out) == (2, b"")
    assert b"Did you mean calculator" in error
