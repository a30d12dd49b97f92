"""The agent's own way to a call: `smidgen.agent.run` with tools that only note what they are called with."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from smidgen.agent import STEPS, AgentModel, AgentSettings, Strategy
from smidgen.agent.run import run
from smidgen.eval import Item, Outcome, as_messages, switched_off
from smidgen.events import AgentEvent, Asked, Failed, FellBack, Finished, Notice, Routed, ToolCalled, Verified
from smidgen.messages import ToolCall, ToolSpec
from smidgen.tools import Effect, ToolOutcome
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.permissions.guard import Guard


class Pipeline:
    """A `Solver`. embedder: the sentence embedder that tools are chosen by, None to do without. The steps are the
    agent's own: without `gate`, say, some tool is always called."""

    name = "smidgen"
    steps: tuple[str, ...] = STEPS

    def __init__(
        self, model: AgentModel, embedder: AgentModel | None = None, *, seed: int = 0, off: Collection[str] = ()
    ) -> None:
        self._model = model
        self._embedder = embedder
        self._seed = seed
        self._off = switched_off(self.steps, off)

    def with_steps(self, off: Collection[str]) -> Pipeline:
        return Pipeline(self._model, self._embedder, seed=self._seed, off=off)

    async def solve(self, item: Item) -> Outcome:
        started = time.perf_counter()
        history, tools = as_messages(item.request), item.tools
        events: list[AgentEvent] = []
        noted = tuple(_Noted(tool) for tool in tools)
        source = run(self._model, noted, history, self._settings(tools), _GUARD, embedder=self._embedder)
        async with aclosing(cast(Any, source)) as stream:
            async for event in stream:
                events.append(event)
        return _outcome(events, time.perf_counter() - started)

    def _settings(self, tools: Sequence[ToolSpec]) -> AgentSettings:
        ways: tuple[Strategy, ...] = ("rules", "constrained", "simplified")
        must_call = "gate" in self._off and bool(tools)
        return AgentSettings(
            strategies=ways, tool_choice="required" if must_call else "auto", seed=self._seed, off=self._off
        )


_GUARD = Guard(yes=True)
"""Nothing is really called."""


def _writing() -> tuple[ToolSpec, ...]:
    """Of the built-in tools, those that change something. Of others, an evaluation doesn't know."""
    return tuple(tool.spec for tool in builtin_tools(Path()) if tool.effect == "write")


class _Noted:
    """A tool that is only described. Its outcome is an answer already, so that no words are generated after it."""

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec
        self.effect: Effect = "write" if spec in _writing() else "read"

    def preview(self, arguments: Mapping[str, Any]) -> str:
        return self.spec.name

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        return ToolOutcome(ok=True, value=None, text="", answer="noted")


def _outcome(events: Sequence[AgentEvent], seconds: float) -> Outcome:
    """Raises what a `Failed` holds."""
    calls: list[ToolCall] = []
    trace: list[str] = []
    usage = None
    for event in events:
        match event:
            case Failed():
                raise event.error.to_exception()
            case Finished():
                usage = event.usage
            case ToolCalled():
                calls.append(event.call)
            case Routed():
                trace.append(f"{event.strategy}: {event.reason}")
            case Verified():
                trace.append(f"{event.check} {'is fine' if event.ok else 'refused: ' + event.reason}")
            case FellBack():
                trace.append(f"{event.from_strategy} given up: {event.reason}")
            case Asked():
                trace.append(f"asked: {event.question}")
            case Notice():
                trace.append(event.message)
            case _:
                pass
    if usage is None:
        raise RuntimeError("an agent's stream ended without a terminal event")
    return Outcome(
        calls=tuple(calls),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        seconds=seconds,
        notes={"trace": trace, "cached_tokens": usage.cached_tokens},
    )
