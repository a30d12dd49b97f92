"""Scripted engines as a runtime's models: a whole runtime without files and processes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from smidgen.agent import AgentModel
from smidgen.engine import Engine
from smidgen.errors import UnknownModel
from smidgen.messages import Message, Prompt, Sampling, Segment, ToolSpec
from smidgen.models.detect import FimTokens, TokenText
from smidgen.models.library import ModelFile
from smidgen.models.tool_use import ToolUse
from smidgen.runtime.held import HeldModel
from smidgen.runtime.runtime import Lease

FIM = FimTokens(
    prefix=TokenText(1, "<PRE>"),
    suffix=TokenText(2, "<SUF>"),
    middle=TokenText(3, "<MID>"),
    repo=TokenText(4, "<REP>"),
    file=TokenText(5, "<SEP>"),
)


class PlainProfile(msgspec.Struct, frozen=True, kw_only=True):
    family: str = "scripted"
    sampling: Sampling = Sampling(temperature=0.7)
    tool_sampling: Sampling = Sampling()
    dialect: str = "python_call"
    stop: tuple[str, ...] = ()
    tool_use: ToolUse = ToolUse()


class PlainTemplate:
    """`role: content`, a line for each message."""

    def render(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None = None, add_generation_prompt: bool = True
    ) -> Prompt:
        lines = "".join(f"{turn.role}: {turn.content}\n" for turn in messages)
        return (Segment(lines + ("assistant: " if add_generation_prompt else "")),)


class ScriptedModels:
    """A `ModelSource`. engines: by model name. embedder: one of the names, or "". fim: of those that fill in the
    middle."""

    def __init__(
        self, engines: Mapping[str, Engine], *, embedder: str = "", fim: Sequence[str] = (), stop: tuple[str, ...] = ()
    ) -> None:
        self.engines = dict(engines)
        self.embedder = embedder
        self.fim = tuple(fim)
        self.profile = PlainProfile(stop=stop)
        self.leased: dict[str, int] = {}
        self.kept_s: dict[str, float | None] = {}

    @asynccontextmanager
    async def lease(self, spec: str) -> AsyncGenerator[Lease, None]:
        self._known(spec)
        self.leased[spec] = self.leased.get(spec, 0) + 1
        try:
            yield Lease(
                model=AgentModel(
                    name=spec,
                    engine=self.engines[spec],
                    profile=self.profile,
                    template=PlainTemplate(),
                    fim=FIM if spec in self.fim else None,
                )
            )
        finally:
            self.leased[spec] -= 1

    def name_of(self, spec: str) -> str:
        self._known(spec)
        return str(spec)

    def held(self) -> tuple[HeldModel, ...]:
        return tuple(
            HeldModel(name=name, users=users, context=self.engines[name].context, closes_in_s=self.kept_s.get(name))
            for name, users in self.leased.items()
        )

    def keep(self, spec: str, seconds: float | None) -> None:
        self._known(spec)
        self.kept_s[spec] = seconds

    async def unload(self, spec: str) -> bool:
        self._known(spec)
        return self.leased.pop(spec, None) is not None

    def installed(self) -> tuple[ModelFile, ...]:
        return tuple(self.resolve(name) for name in sorted(self.engines))

    def resolve(self, spec: str) -> ModelFile:
        self._known(spec)
        return ModelFile(name=spec, path=f"/models/{spec}.gguf", sha256="0" * 64, bytes=1000, source="", license="")

    async def aclose(self) -> None:
        for engine in self.engines.values():
            await engine.aclose()

    def _known(self, spec: str) -> None:
        if spec not in self.engines:
            raise UnknownModel(f"There is no model called {spec!r}.", hint=f"There are: {', '.join(self.engines)}.")
