"""The plan for a text that is only to be continued: load the model, ask it once, tell what came of it.

Completions, and code to be filled in, go this way; the events are those of any other run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent import AgentModel, Supply
from smidgen.agent.asking import Asking
from smidgen.agent.deadline import Deadline
from smidgen.errors import DeadlineExceeded, SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, Generated, Notice, StepStarted, TextDelta
from smidgen.messages import GenerateRequest

Written = tuple[GenerateRequest, tuple[Notice, ...]]
Write = Callable[[AgentModel], Awaitable[Written]]
"""Writes the request for the model that was loaded, with what its user must be told of it (a prompt that was cut).
Raises typed errors."""


async def complete(
    supply: Supply, write: Write, *, strategy: str = "completion", timeout_s: float | None = None
) -> AsyncIterator[AgentEvent]:
    """Raises no typed errors: the stream ends in exactly one `Finished` or `Failed`. At `timeout_s` it ends in
    `Finished` with the finish reason "deadline" if something was said, else in `Failed`."""
    asking = Asking(supply, Deadline(timeout_s))
    warnings: list[str] = []
    said = ""

    def finished(generated: Generated | None) -> Finished:
        return Finished(
            text=said if generated is None else generated.text,
            model=asking.name,
            finish_reason="deadline" if generated is None else generated.finish_reason,
            tool_calls=(),
            usage=asking.account.usage,
            timings=asking.account.timings,
            warnings=tuple(warnings),
            strategy=strategy,
            stop_string="" if generated is None else generated.stop_string,
        )

    try:
        loading = await asking.load()
        request, told = await asking.deadline.wait(lambda: write(asking.model))
        for notice in (*loading, *told):
            warnings.append(notice.message)
            yield notice
        yield StepStarted(number=1, action="generate", detail=strategy)
        left = asking.deadline.remaining()
        if left is not None and (request.timeout_s is None or request.timeout_s > left):
            request = msgspec.structs.replace(request, timeout_s=left)
        async with aclosing(cast(Any, asking.stream(request))) as events:
            async for event in events:
                if isinstance(event, Generated):
                    yield finished(event)
                    return
                if isinstance(event, TextDelta):
                    said += event.text
                yield event
    except DeadlineExceeded as error:
        asking.account.settle()
        yield finished(None) if said.strip() else Failed(error=error.info())
    except SmidgenError as error:
        yield Failed(error=error.info())
