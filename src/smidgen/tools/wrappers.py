"""What a tool gains by being wrapped: a time limit, a prefix to its name.

Each wraps one Tool and is a Tool. Wrappers combine: `Prefixed(TimeLimited(tool, 5), "shop_")`. Who may call a tool is
decided elsewhere (permissions/), and so is how much of a long result is read (results.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from smidgen.messages import ToolSpec
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


class Prefixed(Wrapped):
    """The same tool under `prefix` + name."""

    def __init__(self, inner: Tool, prefix: str) -> None:
        super().__init__(inner)
        self._spec = msgspec.structs.replace(inner.spec, name=prefix + inner.spec.name)

    @property
    def spec(self) -> ToolSpec:
        return self._spec
