"""The one way that requests of all client families go: admitted, run by an agent or as a completion, counted.

Everything here is on the runtime's home loop, which is the server's.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent import AgentModel
from smidgen.agent.completion import Write, Written
from smidgen.agent.deadline import Deadline
from smidgen.api.admission import Admission, current_turn
from smidgen.api.agents.known import ForAgent, known_agents, patterns_of
from smidgen.api.metrics import Metrics
from smidgen.api.streams import Stream
from smidgen.config import Serve
from smidgen.errors import EngineUnavailable, ErrorInfo, InvalidRequest, SmidgenError, UnknownModel
from smidgen.events import AgentEvent, Failed, Finished, Notice
from smidgen.messages import Embeddings, Message, Timings
from smidgen.models.library import ModelFile
from smidgen.patterns import Pattern
from smidgen.runtime.agent import Agent, AgentOptions
from smidgen.runtime.leased import completed
from smidgen.runtime.runtime import Runtime
from smidgen.tools.external import ExternalTool
from smidgen.tools.registry import near_names

log = logging.getLogger("smidgen.api")
prompts_log = logging.getLogger("smidgen.api.prompts")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
"""Of a model that was pulled. Whatever could be a path or an address is none."""

DEFAULT_NAMES = ("", "default")
"""What clients send that leave the choice of the model to the server."""

Keep = float | None | msgspec.UnsetType
"""Seconds for which a model stays without being used, None for as long as there is room, UNSET for the server's own."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The `smidgen` field of answers: how the answer came about, which no other server tells."""

    strategy: str
    warnings: tuple[str, ...] = ()
    queue_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0
    cached_tokens: int = 0
    forced_tokens: int = 0


class Service:
    """Close what it runs by closing the runtime. Raises ConfigError for agents that can't be answered."""

    def __init__(self, runtime: Runtime, serve: Serve, metrics: Metrics | None = None) -> None:
        known_agents(runtime.config)  # what is wrong with them is told at the start
        self.patterns = patterns_of(runtime.config)
        """Of agents by name, those that answer with one."""
        self.runtime = runtime
        self.serve = serve
        self.admission = Admission(serve.streams, serve.queue, serve.queue_s)
        self.metrics = metrics or Metrics()
        self.started = int(time.time())
        self.background = 0
        """Runs that nobody waits for and that take no turn."""
        self._draining_since: float | None = None

    def drain(self) -> None:
        """From now on nothing new is begun; what runs goes on."""
        if self._draining_since is None:
            self._draining_since = time.monotonic()

    def draining_for(self) -> float:
        """Seconds, 0 if it isn't."""
        return 0.0 if self._draining_since is None else time.monotonic() - self._draining_since

    # --- models -----------------------------------------------------------------------------------------------------

    def model(self, name: str | None) -> str:
        """The spec to use for a name that a client gave. Only pulled models can be named, the one that the server was
        started with, and agents, which have one (`ForAgent`). Raises UnknownModel, ModelNotPulled."""
        wanted = (name or "").strip()
        default = self.runtime.model_name
        if wanted in DEFAULT_NAMES or wanted == default:
            return default
        plain = wanted.removesuffix(":latest")
        agents = known_agents(self.runtime.config)
        if plain in agents and plain not in {file.name for file in self.installed()}:
            return ForAgent(agents[plain].model or default, plain, agents[plain])
        if plain in (default, self.runtime.name_of(default)):
            return default
        if not NAME.fullmatch(plain) or plain.lower().endswith(".gguf"):
            raise self._unknown(wanted)
        try:
            return self.runtime.resolve(plain).name
        except UnknownModel:
            raise self._unknown(wanted) from None

    def _unknown(self, name: str) -> UnknownModel:
        here = tuple(file.name for file in self.installed())
        near = near_names(name, here)
        hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(here) or 'no models yet'}."
        return UnknownModel(f"There is no model called {name[:200]!r} here.", hint=hint, near=list(near))

    def installed(self) -> tuple[ModelFile, ...]:
        return self.runtime.installed()

    # --- runs -------------------------------------------------------------------------------------------------------

    def chat(
        self,
        model: str,
        messages: Sequence[Message],
        tools: Sequence[ExternalTool] = (),
        *,
        kind: str = "chat",
        keep_s: Keep = msgspec.UNSET,
        **options: Any,
    ) -> Stream:
        """An answer to a conversation. tools: of whoever asked; an agent has its own besides. keep_s: see `Keep`.
        options: `AgentOptions`. Raises InvalidRequest, ConstraintError and the like at once; what goes wrong later is a
        `Failed`, or what `Stream.begin` raises."""
        given: dict[str, Any] = {"max_tokens": 0, "timeout_s": self.serve.answer_s, **options}
        system, own = "", tuple[str, ...]()
        pattern: Pattern | None = None
        if isinstance(model, ForAgent):
            pattern = self.patterns.get(model.name)
            if pattern is not None and tools:
                told = f"{model.name} answers in its own way and takes no tools of whoever asks."
                raise InvalidRequest(told, hint="Ask a model, or another agent.", param="tools")
            system, own = model.agent.system, model.agent.tools
            given.setdefault("max_steps", model.agent.max_steps)
            given["max_tokens"] = options.get("max_tokens", model.agent.max_tokens)
            if model.agent.temperature is not None:
                given.setdefault("temperature", model.agent.temperature)
        given["seed"] = seed_for(pattern, options.get("seed"))
        agent = Agent(
            runtime=self.runtime,
            model=str(model),
            tools=(*own, *tools),
            system=system,
            pattern=pattern,
            **cast(AgentOptions, given),
        )
        asked = next((message.content for message in reversed(messages) if message.role == "user"), "")
        return self.stream(kind, model, lambda: agent.astream(messages), keep_s, asked=lambda: asked)

    def complete(
        self,
        model: str,
        write: Write,
        *,
        kind: str = "completion",
        timeout_s: float | None = None,
        keep_s: Keep = msgspec.UNSET,
    ) -> Stream:
        """A text continued as `write` says."""
        limit = self.serve.answer_s if timeout_s is None else timeout_s
        asked = ""

        async def noted(loaded: AgentModel) -> Written:
            nonlocal asked
            written = await write(loaded)
            asked = "".join(segment.text for segment in written[0].prompt)
            return written

        def start() -> AsyncGenerator[AgentEvent, None]:
            return completed(self.runtime, model, noted, strategy=kind, timeout_s=limit or None)

        return self.stream(kind, model, start, keep_s, asked=lambda: asked)

    def stream(
        self,
        kind: str,
        model: str,
        start: Callable[[], AsyncGenerator[AgentEvent, None]],
        keep_s: Keep = msgspec.UNSET,
        *,
        asked: Callable[[], str] = lambda: "",
    ) -> Stream:
        """Any run of this model, when its turn comes. kind: for the metrics. asked: gives what was asked, for the log,
        once the run has ended; it is called only where the settings want that logged."""
        events = self._admitted(kind, model, start, keep_s)
        return Stream(self._logged(kind, asked, events) if self.serve.prompts else events)

    async def _logged(
        self, kind: str, asked: Callable[[], str], events: AsyncGenerator[AgentEvent, None]
    ) -> AsyncGenerator[AgentEvent, None]:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    line = {"kind": kind, "model": event.model, "asked": asked(), "answered": event.text}
                    prompts_log.info("%s", msgspec.json.encode(line).decode())
                yield event

    def keep(self, model: str, keep_s: Keep = msgspec.UNSET) -> None:
        """How long a model stays after it was last used. Raises UnknownModel, InvalidRequest."""
        self.runtime.keep(model, self.serve.keep_alive_s or None if keep_s is msgspec.UNSET else keep_s)

    async def load(self, model: str, keep_s: Keep = msgspec.UNSET) -> None:
        """Loads a model when the turn comes, and does no more with it. Raises what loading it raises, EngineBusy."""
        async with self.admission.turn():
            self.keep(model, keep_s)
            await self.runtime.aload(model)

    async def embed(
        self, model: str, texts: Sequence[str | tuple[int, ...]], keep_s: Keep = msgspec.UNSET
    ) -> Embeddings:
        """Unit vectors of texts, or of their tokens, when the turn comes. Raises UnsupportedByModel for a model that
        makes none, ContextOverflow for a text that is too long for it, EngineBusy, DeadlineExceeded and the like."""
        async with self.admission.turn() as turn:
            self.keep(model, keep_s)
            with self.metrics.answering("embedding", model, turn.waited_s) as seen:
                deadline = Deadline(self.serve.answer_s or None)
                try:
                    async with self.runtime.lease(model, deadline) as lease:
                        engine = lease.model.engine
                        given = tuple(
                            [text if isinstance(text, str) else await engine.detokenize(text) for text in texts]
                        )
                        vectors = await engine.embed(given, timeout_s=deadline.remaining())
                        name = lease.model.name
                except SmidgenError as error:
                    seen(Failed(error=error.info()))
                    raise
                seen(_embedded(name, vectors))
                return vectors

    async def _admitted(
        self, kind: str, model: str, start: Callable[[], AsyncGenerator[AgentEvent, None]], keep_s: Keep
    ) -> AsyncGenerator[AgentEvent, None]:
        try:
            if self._draining_since is not None:
                raise EngineUnavailable("The server is stopping.", hint="Try again when it was started anew.")
            async with self.admission.turn() as turn:
                current_turn.set(turn)
                self.keep(model, keep_s)
                with self.metrics.answering(kind, model, turn.waited_s) as seen:
                    async with aclosing(start()) as events:
                        async for event in events:
                            seen(event)
                            yield self._outward(event)
        except SmidgenError as error:
            yield Failed(error=error.info())

    @staticmethod
    def _outward(event: AgentEvent) -> AgentEvent:
        """What went wrong inside is for the log: it may hold anything."""
        if not isinstance(event, Failed) or event.error.code != "internal":
            return event
        log.error("a run failed: %s", event.error.message)
        message = "Something went wrong inside smidgen."
        return Failed(error=ErrorInfo(code="internal", message=message, hint="Its log says what."))


def _embedded(model: str, vectors: Embeddings) -> Finished:
    """For the metrics."""
    return Finished(
        text="",
        model=model,
        finish_reason="stop",
        tool_calls=(),
        usage=vectors.usage,
        timings=Timings(),
        warnings=(),
        strategy="embedding",
    )


def told(finished: Finished, events: Sequence[AgentEvent] = ()) -> Told:
    """events: of the same run, for notices that the end doesn't repeat."""
    notices = tuple(event.message for event in events if isinstance(event, Notice))
    timings, usage = finished.timings, finished.usage
    return Told(
        strategy=finished.strategy,
        warnings=tuple(dict.fromkeys((*notices, *finished.warnings))),
        queue_ms=round(timings.queue_s * 1000, 3),
        prefill_ms=round(timings.prefill_s * 1000, 3),
        decode_ms=round(timings.decode_s * 1000, 3),
        cached_tokens=usage.cached_tokens,
        forced_tokens=usage.forced_tokens,
    )


def told_headers(finished: Finished) -> Mapping[str, str]:
    """For answers that come whole, whose headers can still be chosen: the way that worked, and how many warnings."""
    headers = {"x-smidgen-strategy": finished.strategy}
    if finished.warnings:
        headers["x-smidgen-warnings"] = str(len(finished.warnings))
    return headers


def seed_for(pattern: Pattern | None, asked: int | None) -> int | None:
    """A fresh one where none was asked for; but a pattern answers the same request alike: it may keep answers."""
    return fresh_seed() if asked is None and pattern is None else asked


def fresh_seed() -> int:
    return secrets.randbits(31)


def new_id(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(12)}"
