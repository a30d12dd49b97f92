"""A scripted model for the agent: a template that writes role and content, and a profile of either dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smidgen.agent import AgentModel
from smidgen.engine import Engine
from smidgen.testing.models import PlainProfile, PlainTemplate


@pytest.fixture
def agent_model() -> Callable[..., AgentModel]:
    def make(engine: Engine, **profile: Any) -> AgentModel:
        return AgentModel(name="m", engine=engine, profile=PlainProfile(**profile), template=PlainTemplate())

    return make
