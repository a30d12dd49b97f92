"""Verified and solved answers of a real small model: constrained, checked, computed, voted on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smidgen.config import Config
from smidgen.models.library import ModelFile
from smidgen.patterns.solving import Solving
from smidgen.patterns.verified import Json, Number, Tests, Verified
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime

pytestmark = [pytest.mark.model, pytest.mark.slow]

NAME = "qwen2.5-coder-0.5b"


@pytest.fixture
def config(model_file: Callable[[str], ModelFile]) -> Config:
    model_file(NAME)
    return Config(model=NAME, audit="off", tuned="off")


async def test_what_a_grammar_forbids_is_not_said_and_what_a_check_refuses_is_asked_again(config: Config):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    tests = "assert add(2, 3) == 5\nassert add('a', 'b') == 'ab'"
    async with Runtime(config) as runtime:
        number = Verified(check=Number(integer=True, min=0), constrain=True)
        answer = await Agent(runtime=runtime, pattern=number).arun("How many legs does a spider have?")
        assert answer.tool_calls[-1].result == int(answer.text) >= 0
        person = Verified(check=Json(schema=schema), constrain=True)
        answer = await Agent(runtime=runtime, pattern=person).arun("Write as JSON: Maria is 34 years old.")
        assert answer.tool_calls[-1].result == {"name": "Maria", "age": 34}
        code = Verified(check=Tests(tests=tests), retries=2)
        answer = await Agent(runtime=runtime, pattern=code).arun("Write a Python function add(a, b) that adds them.")
        assert "def add" in answer.text and "```" not in answer.text


async def test_word_problems_are_solved_by_programs_and_steps(config: Config):
    async with Runtime(config) as runtime:
        agent = Agent(runtime=runtime, pattern=Solving(samples=4, at_once=4))
        answer = await agent.arun("A crate has 12 rows of 8 bottles. 6 bottles are broken. How many are whole?")
    assert answer.text == str(answer.tool_calls[0].result) == "90"
    assert answer.strategy.startswith("solving: ")
