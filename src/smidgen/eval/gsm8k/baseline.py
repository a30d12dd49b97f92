"""The model alone: its own chat template, greedy steps in words, the number read leniently."""

from __future__ import annotations

import time
from collections.abc import Collection

from smidgen.agent import AgentModel
from smidgen.eval import Item, Outcome, as_messages, switched_off
from smidgen.eval.alone import written
from smidgen.eval.gsm8k.numbers import number_in
from smidgen.messages import Message

PROMPT = "{request}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""As its makers recommend. Not taken from `Solving`, which is compared with this and may come to ask otherwise."""


class InWords:
    """A `Solver` without steps."""

    name = "baseline"
    steps: tuple[str, ...] = ()

    def __init__(self, model: AgentModel, *, seed: int = 0) -> None:
        self._model = model
        self._seed = seed

    def with_steps(self, off: Collection[str]) -> InWords:
        switched_off(self.steps, off)
        return self

    async def solve(self, item: Item) -> Outcome:
        started = time.perf_counter()
        *before, last = as_messages(item.request)
        asked = Message(role="user", content=PROMPT.replace("{request}", last.content))
        generated = await written(self._model, self._model.template.render((*before, asked)), seed=self._seed)
        value = number_in(generated.text, whole=generated.finish_reason == "stop")
        return Outcome(
            text="" if value is None else f"{value:.15g}",
            prompt_tokens=generated.usage.prompt_tokens,
            completion_tokens=generated.usage.completion_tokens,
            seconds=time.perf_counter() - started,
            notes={
                "text": generated.text,
                "finish_reason": generated.finish_reason,
                "cached_tokens": generated.usage.cached_tokens,
            },
        )
