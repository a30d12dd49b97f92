"""What callers get back: a `Generation` from a model, an `Answer` from an agent. Frozen data, built from events."""

from __future__ import annotations

import msgspec

from smidgen.events import AgentEvent, EngineEvent, Failed, Finished, FinishReason, Generated, Notice, ToolRecord
from smidgen.messages import Timings, ToolCall, Usage


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One completion. `warnings` are the notices that came with it: downgrades, restarts, templates that fell back."""

    text: str
    model: str
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    stop_string: str = ""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent answered, and how. The same fields as `smidgen run --json`. `wanted`: calls of
    `smidgen.tools.external.ExternalTool`s, which whoever asked runs themself."""

    text: str
    model: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolRecord, ...]
    usage: Usage
    timings: Timings
    warnings: tuple[str, ...]
    strategy: str
    wanted: tuple[ToolCall, ...] = ()

    def __str__(self) -> str:
        return self.text


class Collector:
    """Folds a stream of events into its result. `feed` each event; `generation` or `answer` at the end.

    Raises the stream's typed error when it ended in `Failed`.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._warnings: list[str] = []
        self._end: Generated | Finished | Failed | None = None

    def feed(self, event: EngineEvent | AgentEvent) -> None:
        if isinstance(event, Notice):
            self._warnings.append(event.message)
        elif isinstance(event, (Generated, Finished, Failed)):
            self._end = event

    def generation(self) -> Generation:
        end = self._finish()
        if not isinstance(end, Generated):
            raise TypeError(f"an engine's stream ended in {type(end).__name__}")
        return Generation(
            text=end.text,
            model=self._model,
            finish_reason=end.finish_reason,
            usage=end.usage,
            timings=end.timings,
            stop_string=end.stop_string,
            warnings=tuple(self._warnings),
        )

    def answer(self) -> Answer:
        end = self._finish()
        if not isinstance(end, Finished):
            raise TypeError(f"an agent's stream ended in {type(end).__name__}")
        return answer_of(end, tuple(self._warnings))

    def _finish(self) -> Generated | Finished:
        if isinstance(self._end, Failed):
            raise self._end.error.to_exception()
        if self._end is None:
            raise TypeError("the stream ended without a terminal event")
        return self._end


def answer_of(end: Finished, notices: tuple[str, ...] = ()) -> Answer:
    """The terminal event as an Answer; notices that it doesn't repeat among its warnings are put in front."""
    before = tuple(notice for notice in notices if notice not in end.warnings)
    return Answer(
        text=end.text,
        model=end.model,
        finish_reason=end.finish_reason,
        tool_calls=end.tool_calls,
        usage=end.usage,
        timings=end.timings,
        warnings=before + end.warnings,
        strategy=end.strategy,
        wanted=end.wanted,
    )
