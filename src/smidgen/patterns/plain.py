"""The simplest patterns, of which others are made: a model asked directly, and an agent with tools."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent.prompts import with_system
from smidgen.events import AgentEvent
from smidgen.messages import Constraint
from smidgen.patterns import AgentWork, Pattern, Resources, Task
from smidgen.patterns.files import Table
from smidgen.patterns.run import Run, Writing, Written, guarded


class Direct(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation goes to the model as it is. system: instructions in front of it. prompt: the user's last words
    are put in place of `{request}` in it."""

    name: str = "direct"
    model: str = ""
    system: str = ""
    prompt: str = "{request}"
    max_tokens: int = 512
    temperature: float | None = None
    constraint: Constraint | None = None
    stop: tuple[str, ...] = ()

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        asked = task if self.prompt == "{request}" else task.asking(self.prompt.replace("{request}", task.request))
        how = Writing(
            max_tokens=task.max_tokens or self.max_tokens,
            temperature=self.temperature,
            constraint=self.constraint,
            stop=self.stop,
            model=self.model,
        )
        async with aclosing(run.stream(with_system(asked.messages, self.system), how)) as events:
            async for event in events:
                if isinstance(event, Written):
                    yield run.finished(event.text, self.name, event.finish_reason)
                else:
                    yield event


class WithTools(msgspec.Struct, frozen=True, kw_only=True):
    """An agent: its tools by name, as `smidgen.Agent` takes them."""

    name: str = "agent"
    model: str = ""
    tools: tuple[str, ...] = ()
    system: str = ""
    max_steps: int = 8

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        work = AgentWork(tools=self.tools, system=self.system, options={"max_steps": self.max_steps})
        named = msgspec.structs.replace(task, model=self.model or task.model)
        async with aclosing(resources.agent(work, named)) as events:
            async for event in events:
                yield event


def read(table: Table) -> Pattern:
    """`kind = "direct"`, with a JSON Schema as `schema` or a regular expression as `regex` if its text must match one;
    `kind = "agent"`. Raises ConfigError."""
    if table.kind == "agent":
        return table.as_struct(WithTools)
    kinds = {"schema": "json_schema", "regex": "regex", "lark": "lark"}
    given = [key for key in (*kinds, "constraint") if key in table.values]
    if len(given) > 1:
        raise table.wrong(f"there is more than one grammar: {', '.join(given)}", "Choose one.")
    changes: dict[str, Any] = {}
    for key in given:
        if key in kinds:
            source = table.values.pop(key)
            if not isinstance(source, (str, dict) if key == "schema" else str):
                raise table.wrong(f"{key} = {source!r} can't be used: it must be text")
            text = json.dumps(source) if isinstance(source, dict) else source
            changes["constraint"] = Constraint(kind=cast(Any, kinds[key]), source=text)
    return table.as_struct(Direct, **changes)
