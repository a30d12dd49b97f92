"""ACTS: the tool contract. A tool is a name, a description, a JSON Schema and a function; wrappers add the rest.

Tools that only read are `effect="read"`; whatever changes something outside is `effect="write"` and asks for approval.
A failure inside a tool is data for the model (`ToolOutcome.ok` false), never an exception out of the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from smidgen.messages import ToolSpec

Effect = Literal["read", "write"]
Fault = Literal["", "arguments", "world", "denied"]
"""Why a call failed: its arguments made no sense, the world wasn't as expected (no such file), nobody approved it."""


class ToolOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `value` is JSON-able. `text` is how the model reads it. `answer`, if not empty, already answers
    the user in words (a template, no model needed). `fault` says why `ok` is false."""

    ok: bool
    value: Any
    text: str
    answer: str = ""
    fault: Fault = ""


@runtime_checkable
class Tool(Protocol):
    @property
    def spec(self) -> ToolSpec: ...

    @property
    def effect(self) -> Effect: ...

    def preview(self, arguments: Mapping[str, Any]) -> str:
        """What a call would do, in a line, for an approval."""
        ...

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Never raises for bad arguments or a failing tool; both are outcomes with `ok` false."""
        ...
