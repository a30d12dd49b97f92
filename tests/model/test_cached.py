"""A cache of answers with a real model and a real sentence embedder."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.config import Config
from smidgen.errors import SmidgenError
from smidgen.models.library import Library
from smidgen.patterns.cached import Cached
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime

MODELS = ("smollm2-135m", "all-minilm-l6-v2")

pytestmark = pytest.mark.model


@pytest.fixture
def runtime() -> Runtime:
    for model in MODELS:
        try:
            Library().resolve(model)
        except SmidgenError:
            pytest.skip(f"{model} isn't on this computer: smidgen models pull {model}")
    return Runtime(Config(model=MODELS[0], audit="off", tuned="off"))


async def test_a_question_is_answered_again_in_other_words_but_not_a_near_miss(
    runtime: Runtime, tmp_path: Path
) -> None:
    cached = Cached(pattern=Direct(max_tokens=200, temperature=0.0), store=tmp_path / "answers.sqlite")
    async with runtime:
        agent = Agent(runtime=runtime, pattern=cached)
        first = await agent.arun("What is the capital of France?")
        assert first.finish_reason == "stop"
        again = await agent.arun("What is the capital of France?")
        please = await agent.arun("Tell me the capital of France, please.")
        italy = await agent.arun("What is the capital of Italy?")
    assert (again.text, again.strategy) == (first.text, "cached: exact")
    assert please.text == first.text
    assert please.strategy.startswith("cached: by meaning (0.9")
    assert please.usage.prompt_tokens == please.usage.completion_tokens == 0
    assert not italy.strategy.startswith("cached")
    assert cached.store.summary().counts == {"missed": 2, "exact": 1, "by meaning": 1}
