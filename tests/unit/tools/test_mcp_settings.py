"""Servers in the configuration, and agents that are given their tools by name."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from smidgen.config import Config, load_config
from smidgen.errors import ConfigError, UnknownTool
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.runtime.toolbox import Toolbox
from smidgen.tools.mcp import McpServer

TIME = (sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC")


class NoModels:
    """A source of models that has none: whatever runs here needs none."""

    embedder = ""

    def name_of(self, spec: str) -> str:
        return spec

    def lease(self, spec: str) -> Any:
        raise AssertionError("no model is needed")

    async def aclose(self) -> None:
        pass


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load_config({"SMIDGEN_CONFIG": str(path), **environ})


# --- the file -------------------------------------------------------------------------------------------------------


def test_servers_are_read_by_name(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[mcp.time]\ncommand = ["mcp-server-time", "--local-timezone", "UTC"]\ntools = ["get_current_time"]\n'
        'timeout_s = 5\n[mcp.time.env]\nTZ = "UTC"\n'
        '[mcp.far-away]\nurl = "https://example.com/mcp"\nheaders = { Authorization = "Bearer x" }\n',
    )
    assert config.mcp == {
        "time": McpServer(
            command=("mcp-server-time", "--local-timezone", "UTC"),
            env={"TZ": "UTC"},
            tools=("get_current_time",),
            timeout_s=5,
        ),
        "far-away": McpServer(url="https://example.com/mcp", headers={"Authorization": "Bearer x"}),
    }


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ('[mcp.time]\ncommand = ["x"]\ntimout_s = 3', 3, "mcp.time.'timout_s'", "timeout_s"),
        ('[mcp.time]\ncommand = "x"', 2, "mcp.time.command = 'x' can't be used", ""),
        ('\n[mcp.time]\ncommand = ["x"]\nurl = "http://x"', 2, "either a command or a url", ""),
        ("[mcp.time]", 1, "either a command or a url", ""),
        ('[mcp.time]\ncommand = ["x"]\n[mcp.time.env]\nKEY = 3', 3, "mcp.time.env can't be used", ""),
        ('[mcp]\ncommand = ["x"]', 2, "mcp.command is no setting", "[mcp.NAME]"),
        ("mcp = 3", 1, "mcp is no setting", "[mcp.NAME]"),
        ('[mcpp.time]\ncommand = ["x"]', None, "no section [mcpp]", "mcp"),
        ('[mcp."a b"]\ncommand = ["x"]', None, "can't be a name", "letters"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, text: str, line: int | None, said: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert f"config.toml:{line}:" in caught.value.message or line is None
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_values_that_may_be_secret_stand_in_no_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, '[mcp.x]\nurl = "http://x"\nheaders = ["sesame"]')
    assert "sesame" not in str(caught.value)


def test_no_variable_reaches_a_server(tmp_path: Path) -> None:
    for variable in ("SMIDGEN_MCP", "SMIDGEN_MCP_TIME"):
        with pytest.raises(ConfigError, match="is not a setting"):
            read(tmp_path, "", **{variable: "x"})


# --- names and agents -----------------------------------------------------------------------------------------------


def config(tmp_path: Path, **servers: McpServer) -> Config:
    return Config(model="none", home=str(tmp_path), workspace=str(tmp_path), audit="off", embedder="", mcp=servers)


def runtime_of(config: Config) -> Runtime:
    return Runtime(config, models=cast(Any, NoModels()))


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("mcp:tim", "no MCP server called 'tim'", "mcp:time"),
        ("mcp:zebra.now", "no MCP server called 'zebra'", "There are: time."),
        ("mcp-time", "no tool called 'mcp-time'", "mcp:time"),
    ],
)
def test_an_unknown_server_is_refused_with_near_names(tmp_path: Path, name: str, said: str, hint: str) -> None:
    with pytest.raises(UnknownTool, match=said) as caught:
        Toolbox(config(tmp_path, time=McpServer(command=TIME))).tools([name])
    assert hint in caught.value.hint


def test_without_any_server_the_hint_says_how_one_is_added(tmp_path: Path) -> None:
    with pytest.raises(UnknownTool, match="time") as caught:
        Toolbox(config(tmp_path)).tools(["mcp:time"])
    assert "Add [mcp.time] to" in caught.value.hint


async def test_an_agent_calls_a_tool_of_a_server_which_ends_with_the_runtime(tmp_path: Path) -> None:
    given = config(tmp_path, time=McpServer(command=TIME), broken=McpServer(command=("no-such-program",)))
    async with runtime_of(given) as runtime:
        idle = Agent(runtime=runtime, tools=["mcp:broken"])
        assert [tool.spec.name for tool in idle.tools] == ["mcp:broken"], "nothing is started before a run"
        with pytest.raises(ConfigError, match="MCP server broken"):
            await idle.arun("hello")
        agent = Agent(runtime=runtime, tools=["calculator", "mcp:time", "mcp:time.convert_time"])
        answer = await agent.arun('get_current_time(timezone="Asia/Tokyo")')
        assert [(record.name, record.ok) for record in answer.tool_calls] == [("get_current_time", True)]
        assert "Asia/Tokyo" in answer.text
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("mcp server")]


def test_blocking_calls_reach_a_server_too(tmp_path: Path) -> None:
    with runtime_of(config(tmp_path, time=McpServer(command=TIME))) as runtime:
        agent = Agent(runtime=runtime, tools=["mcp:time.convert_time"])
        answer = agent.run('convert_time(source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")')
        assert "21:00" in answer.text


async def test_a_tool_that_changes_something_needs_a_yes(tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(
        "from mcp.server.mcpserver import MCPServer\nserver = MCPServer('x')\n"
        "@server.tool()\ndef greet(name: str) -> str:\n    return f'Hello {name}!'\nserver.run()\n",
        encoding="utf-8",
    )
    asked: list[str] = []

    def approve(call: object, preview: str) -> bool:
        asked.append(preview)
        return len(asked) > 1

    async with runtime_of(config(tmp_path, x=McpServer(command=(sys.executable, str(program))))) as runtime:
        agent = Agent(runtime=runtime, tools=["mcp:x"], approve=approve)
        refused = await agent.arun('greet(name="Anna")')
        allowed = await agent.arun('greet(name="Anna")')
    assert asked == ['greet({"name": "Anna"}), by the MCP server x'] * 2
    assert "Hello" not in refused.text
    assert "Hello Anna!" in allowed.text
