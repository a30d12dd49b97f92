"""The model alone: asked for a function's body in a chat, the answer begun for it with the text of the problem."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from smidgen.events import AgentEvent, TextDelta
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro.drafting import Drafting, drafts, opened, to_write
from smidgen.patterns.micro.stubs import body_of, read_stub
from smidgen.patterns.run import Run, guarded


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern: the greedy draft, cut where the function ends; nothing is run."""

    name: str = "alone"

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        stub = read_stub(task.request)
        [text] = await drafts(run, to_write(stub), opened(stub), Drafting())
        program = stub.program(body_of(text, stub) or f"{stub.indent}pass")
        yield TextDelta(text=program)
        yield run.finished(program, self.name)
