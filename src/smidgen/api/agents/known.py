"""The agents there are: one that is always there, and those of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smidgen.config import AgentConfig, Config, config_path
from smidgen.errors import ConfigError
from smidgen.patterns import Pattern
from smidgen.patterns.files import load_pattern
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
    for name, agent in config.agents.items():
        if agent.pattern and agent.tools:
            raise ConfigError(f"[agents.{name}] has tools and a pattern.", hint="Give the pattern its tools.")
    usual = AgentConfig(description="Answers, calculates, and knows the calendar.", tools=("calculator", *DATES))
    return {ASSISTANT: usual, **config.agents}


def patterns_of(config: Config) -> dict[str, Pattern]:
    """By agent, of those that answer with one. Made once: they keep what they learn. Raises ConfigError."""
    folder = config_path().parent
    patterns: dict[str, Pattern] = {}
    for name, agent in config.agents.items():
        if agent.pattern:
            try:
                patterns[name] = load_pattern(folder / Path(agent.pattern).expanduser())
            except ConfigError as error:
                raise ConfigError(f"[agents.{name}]: {error.message}", hint=error.hint) from error
    return patterns
