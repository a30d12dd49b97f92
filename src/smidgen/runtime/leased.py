"""A runtime's model as a run wants it: leased when it is first needed, held until the run ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

from smidgen.agent import AgentModel
from smidgen.agent.completion import Write, complete
from smidgen.events import AgentEvent, Notice
from smidgen.runtime.runtime import Runtime


class Leased:
    """A `Supply`: leased when the run first needs it, held until the stack is closed.

    Raises UnknownModel for a name that isn't there, even if no model will be needed."""

    def __init__(self, runtime: Runtime, spec: str | None, stack: AsyncExitStack) -> None:
        self.name = runtime.name_of(spec)
        self._runtime = runtime
        self._spec = spec
        self._stack = stack

    async def load(self) -> tuple[AgentModel, tuple[Notice, ...]]:
        lease = await self._stack.enter_async_context(self._runtime.lease(self._spec))
        return lease.model, lease.notices


async def completed(
    runtime: Runtime, spec: str | None, write: Write, *, strategy: str = "completion", timeout_s: float | None = None
) -> AsyncGenerator[AgentEvent, None]:
    """A text continued by a model of the runtime, as `smidgen.agent.completion.complete` tells it. On the home loop
    only. Raises UnknownModel."""
    async with AsyncExitStack() as stack:
        events = complete(Leased(runtime, spec, stack), write, strategy=strategy, timeout_s=timeout_s)
        async with aclosing(cast(Any, events)) as source:
            async for event in source:
                yield event
