"""A runtime's models, sandbox and agents as patterns want them, and a pattern's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import cast

from smidgen.agent import AgentModel, Supply
from smidgen.agent.deadline import Deadline
from smidgen.events import AgentEvent, Failed, Finished, Notice
from smidgen.patterns import AgentWork, Pattern, Task
from smidgen.patterns.run import guarded
from smidgen.runtime.agent import Agent, AgentOptions, ApproveLike
from smidgen.runtime.leased import Leased
from smidgen.runtime.runtime import Runtime
from smidgen.tools.programs import Executed


class Shared:
    """A `Supply` that several askings of one run share: it is leased once."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._loaded: AgentModel | None = None
        self._loading = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._supply.name

    async def load(self) -> tuple[AgentModel, tuple[Notice, ...]]:
        async with self._loading:
            if self._loaded is not None:
                return self._loaded, ()
            self._loaded, notices = await self._supply.load()
            return self._loaded, notices


class OfRuntime:
    """`smidgen.patterns.Resources`. stack: what is held until the run ends."""

    def __init__(
        self,
        runtime: Runtime,
        stack: AsyncExitStack,
        timeout_s: float | None,
        approve: ApproveLike | None,
        dry_run: bool,
    ) -> None:
        self.deadline = Deadline(timeout_s)
        self._runtime, self._stack, self._approve, self._dry_run = runtime, stack, approve, dry_run
        self._supplies: dict[str, Supply] = {}

    def supply(self, model: str) -> Supply:
        name = model or self._runtime.model_name
        if name not in self._supplies:
            self._supplies[name] = Shared(Leased(self._runtime, name, self._stack))
        return self._supplies[name]

    def embedder(self) -> Supply | None:
        name = self._runtime.embedder_name()
        return self.supply(name) if name else None

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[OfRuntime, None]:
        async with AsyncExitStack() as stack:
            inner = OfRuntime(self._runtime, stack, None, self._approve, self._dry_run)
            inner.deadline = self.deadline
            yield inner

    async def python(self, code: str, seconds: float) -> Executed:
        return await self._runtime.toolbox.programs.run(code, seconds)

    async def agent(self, work: AgentWork, task: Task) -> AsyncGenerator[AgentEvent, None]:
        options = cast(AgentOptions, {"timeout_s": self.deadline.remaining() or 0, "seed": task.seed, **work.options})
        if task.max_tokens:
            options["max_tokens"] = task.max_tokens
        agent = Agent(
            runtime=self._runtime,
            model=task.model or None,
            tools=work.tools,
            system=work.system,
            approve=self._approve,
            dry_run=self._dry_run,
            **options,
        )
        async with aclosing(agent.astream(task.messages)) as events:
            async for event in events:
                yield event


async def answered(
    runtime: Runtime,
    pattern: Pattern,
    task: Task,
    *,
    timeout_s: float | None,
    approve: ApproveLike | None = None,
    dry_run: bool = False,
) -> AsyncGenerator[AgentEvent, None]:
    """A pattern's events, on the home loop only, which end in one `Finished` or `Failed` whatever the pattern does.
    timeout_s: for the whole run, None for no limit."""
    async with AsyncExitStack() as stack:
        resources = OfRuntime(runtime, stack, timeout_s, approve, dry_run)
        async with aclosing(guarded(lambda: _ending(pattern, task, resources))) as events:
            async for event in events:
                yield event


async def _ending(pattern: Pattern, task: Task, resources: OfRuntime) -> AsyncGenerator[AgentEvent, None]:
    """Raises RuntimeError for a pattern that ends without an end."""
    ended = False
    async with aclosing(pattern.answer(task, resources)) as events:
        async for event in events:
            ended = ended or isinstance(event, (Finished, Failed))
            yield event
    if not ended:
        raise RuntimeError(f"{pattern.name} ended without Finished or Failed")
