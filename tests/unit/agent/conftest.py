"""A scripted model for the agent: a template that writes role and content, and a profile of either dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from smidgen.agent import AgentModel
from smidgen.engine import Engine
from smidgen.messages import Message, Prompt, Sampling, Segment, ToolSpec
from smidgen.models.tool_use import ToolUse


class PlainProfile(msgspec.Struct, frozen=True, kw_only=True):
    family: str = "test"
    sampling: Sampling = Sampling(temperature=0.7)
    tool_sampling: Sampling = Sampling()
    dialect: str = "python_call"
    stop: tuple[str, ...] = ()
    tool_use: ToolUse = ToolUse()


class PlainTemplate:
    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        add_generation_prompt: bool = True,
    ) -> Prompt:
        return (Segment("".join(f"{turn.role}: {turn.content}\n" for turn in messages) + "assistant: "),)


@pytest.fixture
def agent_model() -> Callable[..., AgentModel]:
    def make(engine: Engine, **profile: Any) -> AgentModel:
        return AgentModel(name="m", engine=engine, profile=PlainProfile(**profile), template=PlainTemplate())

    return make
