"""What there is to call: a tool for each agent, and tools themselves, as the protocol lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mcp_types as types

from smidgen.api.agents.named import agents_of, named
from smidgen.api.service import Service
from smidgen.config import AgentConfig
from smidgen.errors import ConfigError, SmidgenError, UnknownTool
from smidgen.messages import JsonSchema
from smidgen.runtime.agent import as_tools, prepared
from smidgen.runtime.toolbox import DATES, WEB
from smidgen.tools import Tool
from smidgen.tools.mcp.borrowed import Borrowed
from smidgen.tools.mcp.names import given
from smidgen.tools.mcp.toolset import ServerTools, expanded
from smidgen.tools.registry import near_names

DEFAULT_TOOLS = ("calculator", *DATES)
"""Offered unless others are chosen: they only read, and touch no files."""

_TEXT: JsonSchema = {"type": "string"}
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {**_TEXT, "description": "The answer."},
        "model": {**_TEXT, "description": "The model that answered."},
        "strategy": {**_TEXT, "description": "The way that worked: rules, constrained, simplified, plain or refusal."},
        "finish_reason": {**_TEXT, "description": "stop, or why the answer ended before it was complete."},
        "warnings": {"type": "array", "items": _TEXT},
        "tool_calls": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": _TEXT,
                    "arguments": {"type": "object"},
                    "result": {},
                    "ok": {"type": "boolean"},
                },
                "required": ["name", "arguments", "result", "ok"],
            },
        },
    },
    "required": ["text", "model", "strategy", "finish_reason", "warnings", "tool_calls"],
}
"""The schema of an agent's structured result."""


class Offered:
    """agents: by name, all if None; tools: as `Agent` takes their names. tell: gets what the user must be told of tools
    that are left out. Raises UnknownAgent, UnknownTool, InvalidRequest, ConfigError."""

    def __init__(
        self,
        service: Service,
        *,
        agents: Sequence[str] | None = None,
        tools: Sequence[str] = DEFAULT_TOOLS,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._service = service
        self._tell = tell
        self._tools = as_tools(tools, service.runtime)
        self._agents = self._named(tuple(agents_of(service)) if agents is None else tuple(dict.fromkeys(agents)))
        if not self._tools and not self._agents:
            raise ConfigError("There is nothing to offer: no tools and no agents.", hint="Name some of either.")

    def _named(self, agents: Sequence[str]) -> Mapping[str, str]:
        for agent in agents:
            named(self._service, agent)
        taken = [tool.spec.name for tool in self._tools]
        names = given([("agent", agent) for agent in agents], taken)
        for name, agent in zip(names, agents, strict=True):
            if not name:
                raise ConfigError(f"Something else is called like the agent {agent!r}.", hint="Rename the agent.")
        return dict(zip(names, agents, strict=True))

    def agent(self, name: str) -> str | None:
        """The agent that a tool stands for."""
        return self._agents.get(name)

    async def tool(self, name: str) -> Tool:
        """Ready to be called. Raises UnknownTool, and what a tool raises that can't be made ready."""
        found = next((tool for tool in self._tools if tool.spec.name == name), None)
        if found is None or isinstance(found, ServerTools):
            found = next((tool for tool in await self._all() if tool.spec.name == name), None)
        if found is None:
            known = (*self._agents, *[tool.spec.name for tool in await self._all()])
            near = near_names(name, known)
            hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(known)}."
            raise UnknownTool(f"There is no tool called {name!r}.", hint=hint, near=list(near))
        return await prepared(found)

    async def _all(self) -> tuple[Tool, ...]:
        """With the tools of servers in the place of those that stand for them; none that is called like an agent."""
        found, notices = await expanded(self._tools)
        for notice in notices:
            self._tell(notice.message)
        return tuple(tool for tool in found if not self._is_taken(tool))

    def _is_taken(self, tool: Tool) -> bool:
        taken = tool.spec.name in self._agents
        if taken:
            self._tell(f"The tool {tool.spec.name} is left out: an agent has its name.")
        return taken

    async def listed(self) -> list[types.Tool]:
        """Raises what a tool raises that can't be made ready."""
        agents = agents_of(self._service)
        tools = [await prepared(tool) for tool in await self._all()]
        return [
            *[self._agent_listed(name, agents[agent], agent) for name, agent in self._agents.items()],
            *[_listed(tool) for tool in tools],
        ]

    def _agent_listed(self, name: str, agent: AgentConfig, title: str) -> types.Tool:
        tools = as_tools(agent.tools, self._service.runtime)
        described = agent.description.strip() or "Answers a request."
        having = f", with the tools {', '.join(tool.spec.name for tool in tools)}" if tools else ""
        writes = any(tool.effect == "write" for tool in tools)
        return types.Tool(
            name=name,
            title=title,
            description=f"{described} By a small language model on the server's computer{having}.",
            input_schema={
                "type": "object",
                "properties": {
                    "request": {**_TEXT, "description": "What is asked, complete: nothing is remembered from before."},
                    "model": {**_TEXT, "description": f"Another model than {self._model_of(agent)}, by its name."},
                },
                "required": ["request"],
                "additionalProperties": False,
            },
            output_schema=ANSWER,
            annotations=types.ToolAnnotations(
                read_only_hint=not writes, destructive_hint=writes, open_world_hint=any(map(_is_open, tools))
            ),
        )

    def _model_of(self, agent: AgentConfig) -> str:
        runtime = self._service.runtime
        spec = agent.model or runtime.model_name
        try:
            return runtime.name_of(spec)
        except SmidgenError:  # told to whoever asks it
            return spec


def _listed(tool: Tool) -> types.Tool:
    writes = tool.effect == "write"
    return types.Tool(
        name=tool.spec.name,
        description=tool.spec.description,
        input_schema={"type": "object", "properties": {}, **tool.spec.parameters},
        annotations=types.ToolAnnotations(
            read_only_hint=not writes, destructive_hint=writes, open_world_hint=_is_open(tool)
        ),
    )


def _is_open(tool: Tool) -> bool:
    """May it reach other computers?"""
    return tool.spec.name in WEB or isinstance(tool, Borrowed | ServerTools)
