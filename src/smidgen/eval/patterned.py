"""A pattern as a solver: the answer of an agent that has it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection

from smidgen.errors import NoAnswer
from smidgen.eval import Item, Outcome, as_messages, switched_off
from smidgen.patterns import Pattern
from smidgen.runtime.agent import Agent
from smidgen.runtime.answers import Answer
from smidgen.runtime.runtime import Runtime


class ByPattern:
    """A `Solver` without steps. warm: what is done once before the first request and isn't timed. A pattern that gives
    no answer has none; of what that took, only the time is known."""

    steps: tuple[str, ...] = ()

    def __init__(
        self,
        runtime: Runtime,
        pattern: Pattern,
        *,
        name: str = "smidgen",
        seed: int = 0,
        warm: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self._agent = Agent(runtime=runtime, pattern=pattern, seed=seed, timeout_s=0)
        self._warm = warm

    def with_steps(self, off: Collection[str]) -> ByPattern:
        switched_off(self.steps, off)
        return self

    async def solve(self, item: Item) -> Outcome:
        if self._warm is not None:
            await self._warm()
            self._warm = None
        started = time.perf_counter()
        try:
            answer = await self._agent.arun(as_messages(item.request))
        except NoAnswer as none:
            return Outcome(seconds=time.perf_counter() - started, notes={"trace": [none.message]})
        return Outcome(
            text=answer.text,
            prompt_tokens=answer.usage.prompt_tokens,
            completion_tokens=answer.usage.completion_tokens,
            seconds=time.perf_counter() - started,
            notes={"trace": _trace(answer), "cached_tokens": answer.usage.cached_tokens},
        )


def _trace(answer: Answer) -> list[str]:
    """How it came to the answer."""
    return [answer.strategy, *answer.warnings, *(f"{call.name}: {call.arguments}" for call in answer.tool_calls)]
