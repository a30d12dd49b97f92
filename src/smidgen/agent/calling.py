"""One call of one tool, with its limits and its approval. Whatever goes wrong is an outcome, never an exception."""

from __future__ import annotations

from typing import Any

from smidgen.agent import AgentSettings, Approve
from smidgen.agent.deadline import Deadline
from smidgen.errors import DeadlineExceeded, SmidgenError
from smidgen.messages import ToolCall
from smidgen.tools import Tool, ToolOutcome
from smidgen.tools.function import failure
from smidgen.tools.wrappers import Approved, SizeLimited, TimeLimited


async def outcome_of(
    tool: Tool, call: ToolCall, settings: AgentSettings, approve: Approve | None, deadline: Deadline
) -> ToolOutcome:
    """Never raises. At the run's deadline the call, or the wait for its approval, is given up, and the outcome says
    which of them it was."""
    waits = False

    async def ask(wanted: ToolCall, preview: str) -> bool:
        nonlocal waits
        waits = True
        approved = approve is not None and await approve(wanted, preview)
        waits = False
        return approved

    limited = SizeLimited(TimeLimited(tool, settings.tool_timeout_s), settings.result_chars)
    approved = Approved(limited, None if approve is None else ask)
    try:
        return await deadline.wait(lambda: _guarded(approved, call.arguments))
    except DeadlineExceeded:
        if waits:
            return failure(f"{call.name} was not approved before the run's time limit and did not run.", "denied")
        return failure(f"{call.name} was given up at the run's time limit.")


async def _guarded(tool: Tool, arguments: dict[str, Any]) -> ToolOutcome:
    """A tool that breaks its promise not to raise is contained; so is an approval that does."""
    try:
        return await tool.call(arguments)
    except SmidgenError as error:
        return failure(str(error))
    except Exception as error:
        return failure(f"{type(error).__name__}: {error}")
