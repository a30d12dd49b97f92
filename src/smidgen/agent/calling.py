"""One call of one tool, with its limits and its permission. Whatever goes wrong is an outcome, never an exception."""

from __future__ import annotations

from smidgen.agent import AgentSettings
from smidgen.agent.deadline import Deadline
from smidgen.errors import DeadlineExceeded, SmidgenError
from smidgen.messages import ToolCall
from smidgen.tools import Tool, ToolOutcome
from smidgen.tools.conversation import conversation
from smidgen.tools.function import failure
from smidgen.tools.permissions import Ask, Ruling
from smidgen.tools.permissions.guard import Guard
from smidgen.tools.wrappers import TimeLimited


async def outcome_of(
    tool: Tool, call: ToolCall, settings: AgentSettings, guard: Guard, ruling: Ruling, deadline: Deadline
) -> ToolOutcome:
    """Never raises. At the run's deadline the call, or the wait for its approval, is given up, and the outcome says
    which of them it was."""
    waits = False

    async def ask(wanted: ToolCall, preview: str) -> bool:
        nonlocal waits
        waits = True
        approved = guard.ask is not None and await guard.ask(wanted, preview)
        waits = False
        return approved

    limited = TimeLimited(tool, settings.tool_timeout_s)
    asked = None if guard.ask is None else ask
    try:
        return await deadline.wait(lambda: _guarded(guard, limited, call, ruling, asked, settings.conversation))
    except DeadlineExceeded:
        if waits:
            return failure(f"{call.name} was not approved before the run's time limit and did not run.", "denied")
        return failure(f"{call.name} was given up at the run's time limit.")


async def _guarded(
    guard: Guard, tool: Tool, call: ToolCall, ruling: Ruling, ask: Ask | None, number: int
) -> ToolOutcome:
    """A tool that breaks its promise not to raise is contained; so is an approval that does."""
    try:
        with conversation(number):
            return await guard.call(tool, call, ruling, ask)
    except SmidgenError as error:
        return failure(str(error))
    except Exception as error:
        return failure(f"{type(error).__name__}: {error}")
