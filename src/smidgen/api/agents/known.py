"""The agents there are: one that is always there, and those of the configuration. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.config import AgentConfig, Config
from smidgen.errors import ConfigError
from smidgen.runtime.toolbox import DATES

ASSISTANT = "assistant"
RESERVED = ("runs", "sessions", "tools")
"""Names that are paths of the API already."""


class ForAgent(str):
    """A model's spec that was asked for by an agent's name: whoever runs it runs that agent."""

    name: str
    agent: AgentConfig

    def __new__(cls, spec: str, name: str, agent: AgentConfig) -> ForAgent:
        made = super().__new__(cls, spec)
        made.name, made.agent = name, agent
        return made


def known_agents(config: Config) -> Mapping[str, AgentConfig]:
    """Raises ConfigError."""
    for name in RESERVED:
        if name in config.agents:
            raise ConfigError(f"[agents.{name}] can't be answered: that is a path.", hint="Give it another name.")
    usual = AgentConfig(description="Answers, calculates, and knows the calendar.", tools=("calculator", *DATES))
    return {ASSISTANT: usual, **config.agents}
