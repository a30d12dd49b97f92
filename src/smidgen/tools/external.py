"""Tools that whoever asks runs themself, a client over HTTP. A model is told of them; a call of one ends the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smidgen.messages import ToolSpec
from smidgen.tools import Effect, Tool, ToolOutcome
from smidgen.tools.function import failure


class ExternalTool:
    """Only described here. A run that wants it called ends in `Finished` with finish reason "tool_calls", and goes on
    when it is given the conversation again with the results."""

    effect: Effect = "read"

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec

    def preview(self, arguments: Mapping[str, Any]) -> str:
        return self.spec.name

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        return failure(f"{self.spec.name} is run by whoever asked, not here.")


def is_external(tool: Tool) -> bool:
    return isinstance(tool, ExternalTool)
