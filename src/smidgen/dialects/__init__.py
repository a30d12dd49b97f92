"""SPEAKS: one file per way of calling tools. Each renders the tools, makes the grammar and parses the call, together.

A dialect is stateless. Parsing never raises: text that isn't a call comes back as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from smidgen.messages import Constraint, Message, ToolCall, ToolSpec


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """Calls in the order written, the text around them, and which strategy found them ("" when none did)."""

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    strategy: str = ""


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        """The system text that tells the model of its tools and how to call them."""
        ...

    def constraint(self, tools: Sequence[ToolSpec]) -> Constraint:
        """A grammar whose every sentence is one valid call of one of the tools."""
        ...

    def parse(self, text: str, tools: Sequence[ToolSpec]) -> Parsed: ...

    def write_call(self, call: ToolCall) -> str:
        """A call as the model would have written it, for the history."""
        ...

    def write_result(self, name: str, result: str) -> Message:
        """A tool's result as the message the model expects next."""
        ...

    def stop(self) -> tuple[str, ...]:
        """Strings after which nothing of the call follows."""
        ...
