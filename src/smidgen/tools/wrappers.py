"""What a tool gains by being wrapped: approval, a time limit, a limit on the result's size, a prefix to its name.

Each wraps one Tool and is a Tool. Wrappers combine: `Approved(TimeLimited(tool, 5), ask)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from smidgen.messages import ToolCall, ToolSpec
from smidgen.tools import Effect, Tool, ToolOutcome, Use, uses_of
from smidgen.tools.function import failure


class Wrapped:
    """Passes everything through."""

    def __init__(self, inner: Tool) -> None:
        self.inner = inner

    @property
    def spec(self) -> ToolSpec:
        return self.inner.spec

    @property
    def effect(self) -> Effect:
        return self.inner.effect

    def preview(self, arguments: Mapping[str, Any]) -> str:
        return self.inner.preview(arguments)

    def uses(self, arguments: Mapping[str, Any]) -> Sequence[Use]:
        return uses_of(self.inner, arguments)

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        return await self.inner.call(arguments)


class Approved(Wrapped):
    """Asks before a call that changes something. `ask` None, or an answer other than True, denies it."""

    def __init__(self, inner: Tool, ask: Callable[[ToolCall, str], Awaitable[bool]] | None) -> None:
        super().__init__(inner)
        self._ask = ask

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        if self.effect == "write":
            if self._ask is None:
                return failure(f"{self.spec.name} changes something and nobody is there to approve it.", "denied")
            call = ToolCall(name=self.spec.name, arguments=dict(arguments))
            if await self._ask(call, self.preview(arguments)) is not True:
                return failure(f"The user did not approve {self.spec.name}.", "denied")
        return await self.inner.call(arguments)


class TimeLimited(Wrapped):
    """A call that takes longer than `seconds` is given up. A plain function's thread can't be stopped and runs on."""

    def __init__(self, inner: Tool, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        try:
            return await asyncio.wait_for(self.inner.call(arguments), self._seconds)
        except TimeoutError:
            return failure(f"{self.spec.name} took longer than {self._seconds:g} s and was given up.")


class SizeLimited(Wrapped):
    """The model reads at most `characters` of the result; the cut is told in the text. `value` stays whole."""

    def __init__(self, inner: Tool, characters: int) -> None:
        super().__init__(inner)
        self._characters = characters

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        outcome = await self.inner.call(arguments)
        whole = len(outcome.text)
        if whole <= self._characters:
            return outcome
        text = f"{outcome.text[: self._characters]}\n[cut: {self._characters} of {whole} characters shown]"
        return msgspec.structs.replace(outcome, text=text)


class Prefixed(Wrapped):
    """The same tool under `prefix` + name."""

    def __init__(self, inner: Tool, prefix: str) -> None:
        super().__init__(inner)
        self._spec = msgspec.structs.replace(inner.spec, name=prefix + inner.spec.name)

    @property
    def spec(self) -> ToolSpec:
        return self._spec
