"""What a run tells of itself in its last event: what was said, what tools gave, what was done without."""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.agent import Strategy
from smidgen.agent.context import Fitted
from smidgen.events import FinishReason, Notice, ToolRecord


class Journal:
    """answering: the strategy whose answer is being said, None before one is. said: of that answer so far."""

    def __init__(self) -> None:
        self.records: list[ToolRecord] = []
        self.warnings: list[str] = []
        self.said = ""
        self.finish_reason: FinishReason = "stop"
        self.answering: Strategy | None = None
        self._told_dropped = False

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def dropped(self, fitted: Fitted) -> Iterator[Notice]:
        """Says once per run that the conversation was too long."""
        if fitted.dropped and not self._told_dropped:
            self._told_dropped = True
            said = f"{fitted.dropped} older messages did not fit into the context and were left out."
            self.warn(said)
            yield Notice(code="history_dropped", message=said)
