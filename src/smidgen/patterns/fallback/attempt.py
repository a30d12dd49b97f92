"""One way tried under its time limit, its text held back; and what all tries of a run together took."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from smidgen.agent.answer_checks import is_looping
from smidgen.errors import DeadlineExceeded, SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, TextDelta, ToolRecord
from smidgen.messages import Timings, Usage
from smidgen.patterns import Pattern, Task
from smidgen.patterns.fallback.within import Within
from smidgen.patterns.run import Run, bug

GRACE_S = 0.3
"""An engine ends its text itself at the limit, and then its figures are exact; this much later a way is cut."""


class Attempt:
    """end: how it ended, once `events` have; seconds: how long that took, busy_s: without the loading of models.
    shown: what the user has read of it."""

    def __init__(self, pattern: Pattern, task: Task, within: Within, *, show: bool = False) -> None:
        self._pattern, self._task, self._within, self._show = pattern, task, within, show
        self.end: Finished | Failed | None = None
        self.seconds = 0.0
        self._given_s = math.inf
        self.shown = ""

    @property
    def busy_s(self) -> float:
        return max(0.0, self.seconds - self._within.load_s)

    @property
    def least_s(self) -> float:
        """What one that was cut takes at least: no more than it was given, however late the cut came on a busy
        machine."""
        return max(0.0, min(self.busy_s - GRACE_S, self._given_s))

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        """All but the end, and but the text where it isn't to be shown. Raises nothing: what the way raises is its
        `Failed`. At the limit it is closed, which cancels what runs in it."""
        begun = time.monotonic()
        try:
            self._given_s = self._within.deadline.remaining() or math.inf
        except DeadlineExceeded:
            self._given_s = 0.0
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    if isinstance(event, (Finished, Failed)):
                        self.end = event
                    elif not isinstance(event, TextDelta):
                        yield event
                    elif self._show:
                        self.shown += event.text
                        yield event
        finally:
            self.seconds = time.monotonic() - begun
        if self.end is None:
            self.end = Failed(error=bug(RuntimeError(f"{self._pattern.name} ended without a terminal event")))

    async def _events(self) -> AsyncGenerator[AgentEvent, None]:
        try:
            async with aclosing(self._pattern.answer(self._task, self._within)) as events:
                while True:
                    try:
                        event = await self._within.deadline.wait(events.__anext__, GRACE_S)
                    except StopAsyncIteration:
                        return
                    yield event
        except SmidgenError as error:
            yield Failed(error=error.info())
        except Exception as error:
            yield Failed(error=bug(error))


def cut_or_empty(end: Finished) -> str:
    """Why a text is no answer whatever it was asked for; "" if it may be one."""
    if end.finish_reason == "tool_calls":
        return ""
    if not end.text.strip():
        return "nothing was written"
    if end.finish_reason == "deadline":
        return "it was cut at its time limit"
    return "it repeats itself without end" if is_looping(end.text) else ""


class Spent:
    """What all tries of a run took, the ones that weren't accepted included. Of those that failed with an error, what
    they had written by then isn't known."""

    def __init__(self) -> None:
        self.usage, self.timings = Usage(), Timings()
        self.tool_calls: list[ToolRecord] = []

    def add(self, end: Finished | Failed | None) -> None:
        if isinstance(end, Finished):
            self.usage += end.usage
            self.timings += end.timings
            self.tool_calls += end.tool_calls

    def add_run(self, run: Run) -> None:
        """What a check or a confidence test asked of models."""
        self.usage += run.usage
        self.timings += run.timings

    def finished(self, end: Finished, strategy: str, told: Sequence[str]) -> Finished:
        """The accepted answer as the whole chain's. told: warnings in front of its own."""
        return msgspec.structs.replace(
            end,
            usage=self.usage,
            timings=self.timings,
            tool_calls=tuple(self.tool_calls),
            warnings=tuple(dict.fromkeys((*told, *end.warnings))),
            strategy=strategy,
        )
