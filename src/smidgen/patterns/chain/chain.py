"""`Chain`: steps in the order in which they need one another, those that need nothing of each other at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec

from smidgen.errors import NoAnswer
from smidgen.events import AgentEvent, Notice, TextDelta
from smidgen.patterns import Resources, Task
from smidgen.patterns.chain.order import Needs, ordered
from smidgen.patterns.chain.perform import Performer
from smidgen.patterns.chain.steps import Step
from smidgen.patterns.chain.templates import NoSuchValue, Value, filled
from smidgen.patterns.run import Run, guarded


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """steps: see `Step`. answer_as: a template of their values; "" for the last step's value. model: of steps that name
    none. watch: told every step's name and value as soon as it is known.

    Steps see the agent's system message, the request and the values that they name, and nothing of the conversation
    before. A task's limit of tokens is that of the step whose value is the answer as it is; where none is, or no model
    writes it, that is told. Raises ConfigError for steps that can't be put in order: see `order`."""

    steps: tuple[Step, ...]
    name: str = "chain"
    answer_as: str = ""
    model: str = ""
    watch: Callable[[str, Value], Any] | None = None

    def __post_init__(self) -> None:
        ordered(self.steps, self.answer_as)

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        passing = Passing(self, run, ordered(self.steps, self.answer_as))
        async with aclosing(passing.events()) as events:
            async for event in events:
                yield event
        values = passing.values
        try:
            text = filled(self.answer_as or f"{{{self.steps[-1].name}}}", values, fenced=False)
        except NoSuchValue as error:
            raise NoAnswer(f"The answer can't be put together: {error}.", hint="Check that the step has it.") from error
        if not text.strip():
            left_out = [name for name, value in values.items() if value is None]
            raise NoAnswer(
                "The chain ended without an answer.",
                hint=f"Steps without a value: {', '.join(left_out) or 'none'}.",
                left_out=left_out,
            )
        if told := passing.over_limit(text):
            run.warn(told)
            yield Notice(code="option_unused", message=told)
        yield TextDelta(text=text)
        yield run.finished(text, f"{self.name}: {len(self.steps)} steps", "length" if passing.is_cut else "stop")


class Passing:
    """One way through a chain. values: of the request and of all steps that are done."""

    def __init__(self, chain: Chain, run: Run, needs: Needs) -> None:
        self.values: dict[str, Value] = {"request": run.task.request}
        self._chain, self._needs = chain, needs
        self._told: asyncio.Queue[AgentEvent | asyncio.Task[None]] = asyncio.Queue()
        alone = next((step.name for step in chain.steps if chain.answer_as.strip() == f"{{{step.name}}}"), "")
        seen = alone if chain.answer_as else chain.steps[-1].name
        self._most = run.task.max_tokens
        self._performer = Performer(run, self._told.put_nowait, chain.model, seen)
        self._waiting = {step.name: step for step in chain.steps}

    @property
    def is_cut(self) -> bool:
        """Did the answer end at its limit of tokens?"""
        return self._performer.cut

    def over_limit(self, text: str) -> str:
        """That an answer may have more tokens than were asked for, "" if it can't: a token is a byte at least."""
        if not self._most or self._performer.limited or len(text.encode()) <= self._most:
            return ""
        return f"The limit of {self._most} tokens was not used: no model writes this chain's answer in one piece."

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        """Raises what a step raises; the other steps that run are cancelled then."""
        running: set[asyncio.Task[None]] = set()
        try:
            while self._waiting or running:
                for step in self._ready():
                    task = asyncio.create_task(self._perform(step))
                    task.add_done_callback(self._told.put_nowait)  # behind all that it told
                    running.add(task)
                told = await self._told.get()
                if not isinstance(told, asyncio.Task):
                    yield told
                    continue
                running.discard(told)
                told.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _ready(self) -> list[Step]:
        """Steps that wait for nothing any more, taken out."""
        ready = [step for name, step in self._waiting.items() if self._needs[name] <= self.values.keys()]
        for step in ready:
            del self._waiting[step.name]
        return ready

    async def _perform(self, step: Step) -> None:
        value = await self._performer.value(step, dict(self.values))
        self.values[step.name] = value
        if self._chain.watch is not None:
            self._chain.watch(step.name, value)
