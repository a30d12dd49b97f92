"""ACTS: the tool contract. A tool is a name, a description, a JSON Schema and a function; wrappers add the rest.

Tools that only read are `effect="read"`; whatever changes something outside is `effect="write"` and asks for approval.
What a single call would read, write, run or fetch is its `Use`s, by which permissions are given (permissions/).
A failure inside a tool is data for the model (`ToolOutcome.ok` false), never an exception out of the agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from smidgen.messages import ToolSpec

Effect = Literal["read", "write"]
Fault = Literal["", "arguments", "world", "denied"]
"""Why a call failed: its arguments made no sense, the world wasn't as expected (no such file), nobody approved it."""


Verb = Literal["read", "write", "run", "fetch"]
"""read: looks at files or data; write: changes something outside; run: a program in the sandbox that can change
nothing; fetch: asks something of another computer."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a call would do. path: relative to the workspace, "." for all of it; host: in lower case, without
    a port; command: the words as a shell would be given them. Each is "" where there is none."""

    verb: Verb
    path: str = ""
    host: str = ""
    command: str = ""


class ToolOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `value` is JSON-able. `text` is how the model reads it. `answer`, if not empty, already answers
    the user in words (a template, no model needed). `fault` says why `ok` is false. `tier`: what contained the program
    that was run for it, "" if none was. `material`: the text is what to answer from, and more than the answer; `quotes`
    are its lines with their places, of which an answer shows the one that it rests on."""

    ok: bool
    value: Any
    text: str
    answer: str = ""
    fault: Fault = ""
    tier: str = ""
    material: bool = False
    quotes: tuple[str, ...] = ()


@runtime_checkable
class Tool(Protocol):
    @property
    def spec(self) -> ToolSpec: ...

    @property
    def effect(self) -> Effect: ...

    def preview(self, arguments: Mapping[str, Any]) -> str:
        """What a call would do, in a line, for an approval."""
        ...

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Never raises for bad arguments or a failing tool; both are outcomes with `ok` false."""
        ...


@runtime_checkable
class Using(Protocol):
    """A tool that tells what a call would do. Tools need not: their `effect` stands for it then."""

    def uses(self, arguments: Mapping[str, Any]) -> Sequence[Use]:
        """Never raises: for arguments that make no sense, what they would do if they made some, or nothing."""
        ...


def uses_of(tool: Tool, arguments: Mapping[str, Any]) -> tuple[Use, ...]:
    told = tuple(tool.uses(arguments)) if isinstance(tool, Using) else ()
    return told or (Use(verb=tool.effect),)


@runtime_checkable
class Preparing(Protocol):
    """A tool that must look at something before a model can be told of it, which may take a moment."""

    async def prepared(self) -> Tool:
        """The tool as it is now; asked for before each run. Raises typed errors."""
        ...


@runtime_checkable
class Knowing(Protocol):
    """A tool over its user's own data, which tells by looking there whether a request is about them: better than any
    model can tell from a description."""

    def knows(self, request: str) -> float:
        """How much of what the request is about is there, 0 to 1. Quick, and pure once the tool is prepared."""
        ...

    def arguments_for(self, request: str) -> dict[str, Any] | None:
        """Those of the call that answers it, None where a model has to write them."""
        ...

    def note_for(self, request: str) -> str:
        """What a model that writes the call is told besides, "" for nothing."""
        ...

    @property
    def told(self) -> str:
        """What of the data stands in the tool's own description, "" for nothing."""
        ...
