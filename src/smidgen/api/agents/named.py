"""The agents there are by name, and the agent of a run: a named one with what the request says otherwise."""

from __future__ import annotations

from typing import Any

import msgspec

from smidgen.api.agents.known import known_agents
from smidgen.api.service import Service
from smidgen.config import AgentConfig
from smidgen.errors import InvalidRequest, UnknownAgent
from smidgen.runtime.agent import Agent, ApproveLike
from smidgen.runtime.toolbox import GROUPS, NAMES
from smidgen.tools.registry import near_names


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may choose otherwise than its agent; None leaves it."""

    model: str | None = None
    tools: tuple[str, ...] | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    dry_run: bool = False


def agents_of(service: Service) -> dict[str, AgentConfig]:
    return dict(known_agents(service.runtime.config))


def named(service: Service, name: str) -> AgentConfig:
    """Raises UnknownAgent."""
    agents = agents_of(service)
    if name not in agents:
        near = near_names(name, tuple(agents))
        hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(agents)}."
        raise UnknownAgent(f"There is no agent called {name!r}.", hint=hint, near=list(near))
    return agents[name]


def agent_for(service: Service, name: str, choices: Choices, approve: ApproveLike | None) -> Agent:
    """Raises UnknownAgent, UnknownModel, UnknownTool, ConfigError."""
    config = named(service, name)
    options: dict[str, Any] = {
        "max_tokens": config.max_tokens if choices.max_tokens is None else choices.max_tokens,
        "max_steps": config.max_steps,
        "timeout_s": service.serve.answer_s,
    }
    temperature = config.temperature if choices.temperature is None else choices.temperature
    if temperature is not None:
        options["temperature"] = temperature
    pattern = service.patterns.get(name)
    if pattern is not None and choices.tools:
        told = f"{name} answers in its own way and takes no tools of whoever asks."
        raise InvalidRequest(told, hint="Ask another agent.", param="tools")
    return Agent(
        runtime=service.runtime,
        model=str(service.model(choices.model)) if choices.model else config.model or service.runtime.model_name,
        tools=config.tools if choices.tools is None else choices.tools,
        system=config.system if choices.system is None else choices.system,
        approve=approve,
        dry_run=choices.dry_run,
        pattern=pattern,
        **options,
    )


def told(service: Service) -> list[dict[str, Any]]:
    runtime = service.runtime
    return [
        {
            "name": name,
            "description": agent.description,
            "model": runtime.name_of(agent.model or runtime.model_name),
            "system": agent.system,
            "tools": list(agent.tools),
            "pattern": service.patterns[name].name if name in service.patterns else "",
        }
        for name, agent in agents_of(service).items()
    ]


def tools_told(service: Service) -> dict[str, Any]:
    """All tools that can be given by name."""
    group_of = {tool: group for group, tools in GROUPS.items() for tool in tools}
    tools = [
        {
            "name": tool.spec.name,
            "description": tool.spec.description,
            "effect": tool.effect,
            "group": group_of.get(tool.spec.name, ""),
            "parameters": tool.spec.parameters,
        }
        for tool in service.runtime.toolbox.tools(NAMES)
    ]
    return {"tools": tools, "groups": {group: list(tools) for group, tools in GROUPS.items()}}
