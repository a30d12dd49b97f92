"""Where a completion ends besides its model's own end: at a line that is indented less than the cursor's, and by time
once a line is whole."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from smidgen.events import AgentEvent, Failed, Finished, Prefilled, StepStarted, TextDelta
from smidgen.messages import Timings, Usage


class Lines:
    """Text in, text out; what follows a newline is held back until it is known to belong.

    indent: blanks and tabs that a line must begin with, 0 for any number; the first line, the cursor's own, is free."""

    def __init__(self, indent: int) -> None:
        self._indent = indent
        self._held = ""
        self.over = False
        self.has_new_line = False

    def feed(self, text: str) -> str:
        if self.over:
            return ""
        self._held += text
        said = ""
        while self._indent and (at := self._held.find("\n")) >= 0:
            following = self._held[at + 1 :]
            blank = len(following) - len(following.lstrip(" \t\n"))
            if blank == len(following):  # nothing that tells yet
                said, self._held = said + self._held[:at], self._held[at:]
                break
            line_start = following.rfind("\n", 0, blank) + 1
            if blank - line_start < self._indent:
                said, self._held, self.over = said + self._held[:at], "", True
                break
            said, self._held = said + self._held[: at + 1 + blank], self._held[at + 1 + blank :]
        else:
            said, self._held = said + self._held, ""
        self.has_new_line |= "\n" in said or self._held.startswith("\n")
        return said

    def end(self) -> str:
        """What was held back when no more text came."""
        held, self._held = self._held, ""
        return held


async def limited(
    events: AsyncGenerator[AgentEvent, None],
    count: Callable[[str], Awaitable[int]],
    *,
    model: str,
    indent: int = 0,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[AgentEvent, None]:
    """The events of a completion, broken off where it should end. seconds: since its first text, after which it ends as
    soon as it has a whole line. count: tokens of a text. model: its name."""
    lines = Lines(indent)
    said = ""
    began = first = clock()
    prefilled = Prefilled(prompt_tokens=0, cached_tokens=0)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                text = lines.feed(event.text)
                said += text
                if text:
                    yield msgspec.structs.replace(event, text=text)
                late = seconds is not None and lines.has_new_line and clock() - first >= seconds
                if late or lines.over:
                    break
                continue
            if isinstance(event, StepStarted):
                began = clock()
            elif isinstance(event, Prefilled):
                prefilled, first = event, clock()
            elif isinstance(event, Finished) and (rest := lines.end()):
                yield TextDelta(text=rest)
            yield event
            if isinstance(event, Finished | Failed):
                return
    used = Usage(
        prompt_tokens=prefilled.prompt_tokens,
        cached_tokens=prefilled.cached_tokens,
        completion_tokens=await count(said),
    )
    yield Finished(
        text=said,
        model=model,
        finish_reason="length",
        tool_calls=(),
        usage=used,
        timings=Timings(prefill_s=first - began, decode_s=clock() - first),
        warnings=(),
        strategy="infill",
    )
