"""Agents on small language models, on the computer you already have.

    import smidgen

    with smidgen.Runtime() as runtime:
        agent = smidgen.Agent(runtime=runtime, tools=["calculator"])
        print(agent.run("What is 17.5% of 2,340?"))

The names below are the public ones; each is imported when it is first used. docs/python.md explains them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.errors import SmidgenError
    from smidgen.messages import Constraint, Message, Sampling, ToolCall
    from smidgen.runtime.agent import Agent
    from smidgen.runtime.answers import Answer, Generation
    from smidgen.runtime.chat import Chat
    from smidgen.runtime.runtime import Runtime
    from smidgen.tools.function import tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Answer",
    "Chat",
    "Config",
    "Constraint",
    "Generation",
    "Message",
    "Runtime",
    "Sampling",
    "SmidgenError",
    "ToolCall",
    "tool",
]

_HOMES = {
    "Agent": "smidgen.runtime.agent",
    "Answer": "smidgen.runtime.answers",
    "Chat": "smidgen.runtime.chat",
    "Config": "smidgen.config",
    "Constraint": "smidgen.messages",
    "Generation": "smidgen.runtime.answers",
    "Message": "smidgen.messages",
    "Runtime": "smidgen.runtime.runtime",
    "Sampling": "smidgen.messages",
    "SmidgenError": "smidgen.errors",
    "ToolCall": "smidgen.messages",
    "tool": "smidgen.tools.function",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'smidgen' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
