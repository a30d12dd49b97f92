"""WAYS to an answer that a small model can go: each usable alone, all of one shape, so that one may hold another.

run        what a pattern asks of models while it answers, and what it has used of them
files      patterns as TOML files
plain      a model asked directly; agent: an agent with tools
router/    an intent from examples, then a template, a rule, a minimal prompt or another pattern
verified/  an answer that code checks, else the next way
solving/   arithmetic by programs that the model writes, voted on
chain/     steps with a prompt, a grammar, an extraction and a check of their own; chain of density
micro/     small agents for one task each, whose output is run before it is believed
memory/    long conversations in a short context
cached/    answers that were given before
fallback/  the next way when one fails; cascades over several models

A pattern decides in code what it can and keeps what the model must do small. It never raises a typed error while it
answers: its stream ends in exactly one `Finished` or `Failed`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from smidgen.agent import Supply
from smidgen.agent.deadline import Deadline
from smidgen.errors import InvalidRequest
from smidgen.events import AgentEvent
from smidgen.messages import Message
from smidgen.tools.programs import Executed


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be answered: a conversation that ends in the user's words.

    model: for whatever names none of its own, "" for the default. seed: for all that is drawn. max_tokens: of a text
    that the user sees, 0 for the pattern's own limit."""

    messages: tuple[Message, ...]
    model: str = ""
    seed: int = 0
    max_tokens: int = 0

    def __post_init__(self) -> None:
        if not self.messages or self.messages[-1].role not in ("user", "tool"):
            raise InvalidRequest("There is nothing to answer.", hint="The last message must be the user's.")

    @property
    def request(self) -> str:
        """The user's last words."""
        return next((message.content for message in reversed(self.messages) if message.role == "user"), "")

    def asking(self, text: str) -> Task:
        """The same with other last words of the user's; what tools gave after them stays."""
        turns = list(self.messages)
        last = max((place for place, message in enumerate(turns) if message.role == "user"), default=len(turns))
        turns[last : last + 1] = [Message(role="user", content=text)]
        return msgspec.structs.replace(self, messages=tuple(turns))


def task_of(request: str, **options: Any) -> Task:
    return Task(messages=(Message(role="user", content=request),), **options)


class AgentWork(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent within a pattern is: its tools by name, instructions, and options of `AgentSettings`."""

    tools: tuple[str, ...] = ()
    system: str = ""
    options: dict[str, Any] = {}


class Resources(Protocol):
    """What a run of patterns may use. All of it is held until the run ends; the runtime gives it."""

    @property
    def deadline(self) -> Deadline:
        """Of the whole run."""
        ...

    def supply(self, model: str) -> Supply:
        """A model by name, "" for the default; loaded when it is first needed, the same one for each asking. Raises
        UnknownModel."""
        ...

    def embedder(self) -> Supply | None:
        """The sentence embedder, None if there is none to be had without a download."""
        ...

    def scope(self) -> AbstractAsyncContextManager[Resources]:
        """The same, but what models are leased within are given back at its end, so that others may take their room."""
        ...

    async def python(self, code: str, seconds: float) -> Executed:
        """Run a program of its own in the sandbox, without files and network. Raises SandboxUnavailable."""
        ...

    def agent(self, work: AgentWork, task: Task) -> AsyncGenerator[AgentEvent, None]:
        """An agent's answer. Raises UnknownTool, UnknownModel, InvalidRequest."""
        ...


class Pattern(Protocol):
    """A way to an answer."""

    @property
    def name(self) -> str:
        """What it is called in traces: `strategy` of the answers, `action` of steps."""
        ...

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        """Ends in exactly one `Finished` or `Failed`. The `TextDelta`s together are the text of `Finished`: what is
        still to be checked isn't shown. Closing it cancels what runs."""
        ...


__all__ = ["AgentWork", "Pattern", "Resources", "Task", "task_of"]
