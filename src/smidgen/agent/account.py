"""What a run has used: the engine's own figures, and for a generation that was broken off, what is known of it."""

from __future__ import annotations

import time

from smidgen.events import EngineEvent, Generated, Prefilled, TextDelta
from smidgen.messages import Timings, Usage


class Account:
    """`begin` a generation, let it `see` the events, and `settle` if no `Generated` will come any more.

    `usage` in tokens, `timings` in seconds, both of the whole run.
    """

    def __init__(self) -> None:
        self.usage = Usage()
        self.timings = Timings()
        self._began: float | None = None
        self._prefilled: Prefilled | None = None
        self._prefilled_at = 0.0
        self._pieces = 0

    def begin(self) -> None:
        self._began = time.monotonic()
        self._prefilled = None
        self._pieces = 0

    def see(self, event: EngineEvent) -> None:
        match event:
            case Prefilled():
                self._prefilled = event
                self._prefilled_at = time.monotonic()
            case TextDelta():
                self._pieces += 1
            case Generated():
                self.usage += event.usage
                self.timings += event.timings
                self._began = None
            case _:
                pass

    def settle(self, tokens: int | None = None) -> None:
        """Add a generation that was broken off, once. tokens: those of its text; None counts a token per piece of text,
        which is the least it can have been. Waiting in the queue can't be told from prefill and counts as that."""
        if self._began is None:
            return
        began, now, done = self._began, time.monotonic(), self._prefilled
        self._began = None
        if done is None:
            self.timings += Timings(prefill_s=now - began)
            return
        completion = self._pieces if tokens is None else tokens
        self.usage += Usage(
            prompt_tokens=done.prompt_tokens, cached_tokens=done.cached_tokens, completion_tokens=completion
        )
        self.timings += Timings(prefill_s=self._prefilled_at - began, decode_s=now - self._prefilled_at)
