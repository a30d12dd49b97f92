"""The loop: asks the planner for the next action, performs it, tells what happened as events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from smidgen.agent import AgentSettings, Supply
from smidgen.agent.perform import Performer
from smidgen.agent.plan import Finish, detail_of, name_of, plan
from smidgen.errors import DeadlineExceeded, ErrorInfo, SmidgenError
from smidgen.events import AgentEvent, Failed, StepStarted
from smidgen.messages import Message
from smidgen.tools import Tool
from smidgen.tools.permissions.guard import Guard
from smidgen.tools.results import Results


async def run(
    model: Supply,
    tools: Sequence[Tool],
    history: Sequence[Message],
    settings: AgentSettings | None = None,
    guard: Guard | None = None,
    embedder: Supply | None = None,
    results: Results | None = None,
) -> AsyncIterator[AgentEvent]:
    """Answer the last user message of `history`. Raises no typed errors: the stream ends in exactly one `Finished` or
    `Failed`. Only the answer's own text comes as `TextDelta`.
    guard: what calls may do, and who is asked; without one, tools with side effects are denied. results: keeps what is
    too long to be read at once, for later runs of the same conversation.
    embedder: a sentence embedder, by which tools are chosen; loaded when one is first looked for.

    Closing the iterator, or cancelling the task, cancels what runs. The model is loaded before the first action that
    needs it. At `timeout_s` whatever is waited for is cut: the run ends in `Finished` with the finish reason "deadline"
    if some of the answer was said, else in `Failed`.
    """
    performer: Performer | None = None
    try:
        settings, guard, results = settings or AgentSettings(), guard or Guard(), results or Results()
        performer = Performer(model, tools, history, settings, guard, results, embedder)
        number = 0
        while True:
            action = plan(performer.state)
            number += 1
            if not isinstance(action, Finish):
                yield StepStarted(number=number, action=name_of(action), detail=detail_of(action))
            async with aclosing(cast(Any, performer.perform(action))) as events:
                async for event in events:
                    yield event
            if performer.ended:
                return
    except DeadlineExceeded as error:
        yield Failed(error=error.info()) if performer is None else performer.overdue(error)
    except SmidgenError as error:
        yield Failed(error=error.info())
    except Exception as error:
        yield Failed(error=_bug(error))


def _bug(error: Exception) -> ErrorInfo:
    return ErrorInfo(
        code="internal",
        message=f"{type(error).__name__}: {error}",
        hint="This is a mistake in smidgen or in a tool's own description; please report it.",
        fault="bug",
        details={"type": type(error).__name__},
    )
