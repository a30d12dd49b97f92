"""A text at once; and the model alone: greedy, whatever is best for its chats left out."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

from smidgen.agent import AgentModel
from smidgen.engine import Engine
from smidgen.events import Failed, Generated
from smidgen.messages import GenerateRequest, Prompt, Sampling

MAX_TOKENS = 512


async def written(model: AgentModel, prompt: Prompt, *, seed: int = 0, max_tokens: int = MAX_TOKENS) -> Generated:
    """Raises what the engine raises."""
    request = GenerateRequest(
        prompt=prompt,
        sampling=Sampling(temperature=0.0, seed=seed),
        max_tokens=max_tokens,
        stop=model.profile.stop,
    )
    return await generated(model.engine, request)


async def generated(engine: Engine, request: GenerateRequest) -> Generated:
    """Raises what the engine raises."""
    async with aclosing(cast(Any, engine.generate(request))) as events:
        async for event in events:
            if isinstance(event, Failed):
                raise event.error.to_exception()
            if isinstance(event, Generated):
                return event
    raise RuntimeError("an engine's stream ended without a terminal event")
