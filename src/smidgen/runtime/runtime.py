"""`Runtime`: models, engines and configuration wired together, with a blocking and an asynchronous way in."""

from __future__ import annotations

import asyncio
import atexit
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypedDict, TypeVar, Unpack, cast

import msgspec

from smidgen.agent import AgentModel
from smidgen.agent.deadline import Deadline
from smidgen.config import Config, load_config
from smidgen.engine import validate
from smidgen.errors import DeadlineExceeded, InvalidRequest
from smidgen.events import EngineEvent, Failed, Notice
from smidgen.messages import (
    Constraint,
    Embeddings,
    GenerateRequest,
    Message,
    Prompt,
    Sampling,
    ScoreRequest,
    ScoreResult,
    Segment,
)
from smidgen.runtime.answers import Collector, Generation
from smidgen.runtime.bridge import Bridge

if TYPE_CHECKING:
    from smidgen.models.library import ModelFile
    from smidgen.runtime.held import HeldModel
    from smidgen.runtime.toolbox import Toolbox

T = TypeVar("T")

MessageLike = Message | Mapping[str, Any]
PromptLike = str | Sequence[MessageLike]


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A model held in memory while it is used, and what was decided while loading it that its user must be told."""

    model: AgentModel
    notices: tuple[Notice, ...] = ()


class ModelSource(Protocol):
    """Where a runtime gets its models from; `smidgen.runtime.loading.Loader` is one."""

    def lease(self, spec: str) -> AbstractAsyncContextManager[Lease]:
        """A model, loaded if need be. Cancelling the wait for it doesn't end the load."""
        ...

    @property
    def embedder(self) -> str:
        """A sentence embedder that can be leased without fetching it first, "" if there is none."""
        ...

    def name_of(self, spec: str) -> str:
        """What the lease's model will be called, without fetching or loading it. Raises UnknownModel."""
        ...

    def held(self) -> tuple[HeldModel, ...]:
        """The models in memory and those on their way there."""
        ...

    def keep(self, spec: str, seconds: float | None) -> None:
        """Close a model after so many seconds without a lease, also one that isn't loaded yet: 0 as soon as nobody uses
        it, None when its room is needed. Raises UnknownModel, InvalidRequest."""
        ...

    async def unload(self, spec: str) -> bool:
        """Close a model as soon as nobody uses it, and wait for that. False if it isn't in memory. Raises
        UnknownModel."""
        ...

    def installed(self) -> tuple[ModelFile, ...]:
        """The models on this computer that were pulled, by name."""
        ...

    def resolve(self, spec: str) -> ModelFile:
        """The file of a model on this computer, without any network. Raises ModelNotPulled, UnknownModel."""
        ...

    async def aclose(self) -> None: ...


class GenerateOptions(TypedDict, total=False):
    """Keyword arguments of `generate` and `stream`.

    model: another than the runtime's. max_tokens: new tokens at most. temperature, seed: single fields of `sampling`.
    stop: strings before which the text ends. schema: a JSON Schema that the text must match; `constraint` for the other
    kinds. timeout_s: seconds until the text is cut off with finish reason "deadline", getting the model included: one
    that isn't ready by then is the error DeadlineExceeded. 0 means no limit.
    """

    model: str | None
    max_tokens: int | None
    sampling: Sampling | None
    temperature: float | None
    seed: int | None
    stop: Sequence[str]
    schema: Mapping[str, Any] | None
    constraint: Constraint | None
    logprobs: int
    timeout_s: float | None


class Runtime:
    """Runs models in worker processes under one memory budget.

    config: None reads the file and the environment. model: used where a call names none.

    Open it with `with` or `async with`, or let the first call do so and end with `close` or `aclose`. Blocking methods
    may be called from any thread but not inside an event loop; those with an `a` in front may be awaited in any loop.
    Opened with `async with`, everything runs on that loop; else on a loop of the runtime's own, in a thread.
    All methods raise the typed errors of `smidgen.errors`.
    """

    def __init__(
        self, config: Config | None = None, *, model: str | None = None, models: ModelSource | None = None
    ) -> None:
        self._config = load_config() if config is None else config
        self._model = model or self._config.model
        self._models = models
        self._bridge = Bridge()
        self._told: set[Notice] = set()
        self._closed = False

    @property
    def config(self) -> Config:
        return self._config

    @property
    def model_name(self) -> str:
        """What is used where a call names no model."""
        if not self._model:
            from smidgen.runtime.loading import default_spec

            self._model = default_spec(self._config)
        return self._model

    def use(self, model: str) -> None:
        """From now on use this model where a call names none."""
        self._model = model

    @property
    def closed(self) -> bool:
        return self._closed

    @cached_property
    def toolbox(self) -> Toolbox:
        """The built-in tools, and what those of this runtime share."""
        from smidgen.runtime.toolbox import Toolbox

        return Toolbox(self._config)

    @property
    def bridge(self) -> Bridge:
        return self._bridge

    # --- opening and closing ----------------------------------------------------------------------------------------

    def open(self) -> Self:
        """Ready for calls. Loads no model; the first call that needs one does."""
        self._source()
        self._bridge.home()
        return self

    async def aopen(self) -> Self:
        self._bridge.adopt()
        self._source()
        return self

    def close(self) -> None:
        """Free all models and end their processes. Does nothing the second time. Raises InvalidRequest, and closes
        nothing, for what was opened with `async with` and inside any event loop: there `aclose` is the way."""
        if self._closed:
            return
        if self._bridge.adopted:
            raise InvalidRequest(
                "This runtime lives on an event loop, which must end its processes.",
                hint="Write `await runtime.aclose()` in that loop, or leave its `async with`.",
            )
        if self._bridge.owns_thread:
            self._bridge.call(self._end_all)
        self._closed = True
        atexit.unregister(self._close_at_exit)
        self._bridge.stop()

    def _close_at_exit(self) -> None:
        """Processes of an adopted loop end by themselves when this one does."""
        if not self._bridge.adopted:
            self.close()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._close_at_exit)
        if self._bridge.started:
            await self._bridge.await_(self._end_all)
        await asyncio.to_thread(self._bridge.stop)

    async def _end_all(self) -> None:
        """Whatever runs in other processes."""
        try:
            if "toolbox" in self.__dict__:
                await self.toolbox.aclose()
        finally:
            if self._models is not None:
                await self._models.aclose()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.aopen()

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # --- models -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(self, spec: str | None = None, deadline: Deadline | None = None) -> AsyncGenerator[Lease, None]:
        """A model, loaded if need be, that isn't evicted meanwhile. On the home loop only: raises InvalidRequest in
        any other. Raises DeadlineExceeded if it isn't ready by the deadline; it goes on being loaded then."""
        if not self._bridge.is_home:
            raise InvalidRequest(
                "A model can only be leased on the loop that its runtime lives on.",
                hint="Open the runtime with `async with Runtime()` in this loop.",
            )
        spec = spec or self.model_name
        async with AsyncExitStack() as stack:
            entering = self._source().lease(spec)
            lease = await (deadline or Deadline(None)).model(spec, lambda: stack.enter_async_context(entering))
            fresh = tuple(notice for notice in lease.notices if notice not in self._told)
            self._told.update(fresh)
            yield Lease(model=lease.model, notices=fresh)

    def embedder_name(self) -> str:
        """The sentence embedder that tools are chosen by; "" if there is none to be had without a download."""
        return self._source().embedder

    async def lease_embedder(self, stack: AsyncExitStack) -> AgentModel | None:
        """That embedder, held until the stack is closed. On the home loop only. Raises what a lease raises."""
        name = self.embedder_name()
        return (await stack.enter_async_context(self.lease(name))).model if name else None

    def name_of(self, spec: str | None = None) -> str:
        """What a model is called in answers; it isn't loaded for that. Raises UnknownModel."""
        return self._source().name_of(spec or self.model_name)

    def load(self, spec: str | None = None) -> str:
        """Load a model now rather than at the first request. Returns its name."""
        return self._bridge.call(lambda: self._load(spec))

    async def aload(self, spec: str | None = None) -> str:
        return await self._bridge.await_(lambda: self._load(spec))

    async def _load(self, spec: str | None) -> str:
        async with self._source().lease(spec or self.model_name) as lease:
            return lease.model.name

    def held(self) -> tuple[HeldModel, ...]:
        """The models in memory and those on their way there: their size, users, progress and when they will be closed.
        From any thread or loop, as `keep`."""
        return self._at_home(lambda: self._source().held())

    def keep(self, spec: str | None, seconds: float | None) -> None:
        """Close a model after so many seconds in which nothing used it: 0 as soon as nobody uses it, None (as long as
        nothing else is said) when its room is needed. Counted anew after each use; remembered for one that isn't loaded
        yet, and when it is loaded again. Raises UnknownModel, and InvalidRequest for seconds below 0."""
        self._at_home(lambda: self._source().keep(spec or self.model_name, seconds))

    def unload(self, spec: str | None = None) -> bool:
        """Close a model as soon as nobody uses it, and wait for that: inside a lease of it, for ever. The next request
        loads it again. False if it wasn't in memory. Raises UnknownModel."""
        return self._bridge.call(lambda: self._source().unload(spec or self.model_name))

    async def aunload(self, spec: str | None = None) -> bool:
        return await self._bridge.await_(lambda: self._source().unload(spec or self.model_name))

    def installed(self) -> tuple[ModelFile, ...]:
        """The models on this computer that were pulled, by name. Reads the disk."""
        return self._source().installed()

    def resolve(self, spec: str | None = None) -> ModelFile:
        """The file of a model on this computer, without any network. Reads the disk, and once the whole of a file that
        is used in place. Raises ModelNotPulled, ChecksumMismatch, UnknownModel."""
        return self._source().resolve(spec or self.model_name)

    def _at_home(self, work: Callable[[], T]) -> T:
        """For what is done at once; also inside another loop, which it hardly holds up."""
        if self._bridge.is_home or not self._bridge.started:
            return work()

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._bridge.home()).result()

    # --- text -------------------------------------------------------------------------------------------------------

    def generate(self, prompt: PromptLike, **options: Unpack[GenerateOptions]) -> Generation:
        """One completion. A string is continued as it stands; messages go through the model's chat template."""
        return self._bridge.call(lambda: self._generate(prompt, options))

    async def agenerate(self, prompt: PromptLike, **options: Unpack[GenerateOptions]) -> Generation:
        return await self._bridge.await_(lambda: self._generate(prompt, options))

    def stream(self, prompt: PromptLike, **options: Unpack[GenerateOptions]) -> Generator[EngineEvent, None, None]:
        """The same as events, ending in one `Generated` or `Failed`. Closing the generator cancels the request."""
        return self._bridge.iterate(lambda: self._stream(prompt, options))

    def astream(self, prompt: PromptLike, **options: Unpack[GenerateOptions]) -> AsyncGenerator[EngineEvent, None]:
        return self._bridge.aiterate(lambda: self._stream(prompt, options))

    async def _generate(self, prompt: PromptLike, options: GenerateOptions) -> Generation:
        collector = Collector(options.get("model") or self.model_name)
        async for event in self._stream(prompt, options):
            collector.feed(event)
        return collector.generation()

    async def _stream(self, prompt: PromptLike, options: GenerateOptions) -> AsyncGenerator[EngineEvent, None]:
        deadline = Deadline(self.timeout(options.get("timeout_s")))
        async with AsyncExitStack() as stack:
            try:
                lease = await stack.enter_async_context(self.lease(options.get("model"), deadline))
                request = self._request(lease.model, prompt, options, deadline)
            except DeadlineExceeded as error:
                yield Failed(error=error.info())
                return
            for notice in lease.notices:
                yield notice
            async with aclosing(_closable(lease.model.engine.generate(request))) as events:
                async for event in events:
                    yield event

    def _request(
        self, model: AgentModel, prompt: PromptLike, options: GenerateOptions, deadline: Deadline
    ) -> GenerateRequest:
        sampling = options.get("sampling") or model.profile.sampling
        if (temperature := options.get("temperature")) is not None:
            sampling = msgspec.structs.replace(sampling, temperature=temperature)
        if (seed := options.get("seed")) is not None:
            sampling = msgspec.structs.replace(sampling, seed=seed)
        constraint, schema = options.get("constraint"), options.get("schema")
        if constraint is not None and schema is not None:
            raise InvalidRequest("Both schema and constraint were given.", hint="Give one of them.")
        if schema is not None:
            constraint = Constraint(kind="json_schema", source=json.dumps(schema))
        stop = tuple(options.get("stop", ()))
        if not isinstance(prompt, str):
            stop = (*model.profile.stop, *stop)
        max_tokens = options.get("max_tokens")
        return GenerateRequest(
            prompt=rendered(model, prompt),
            sampling=sampling,
            constraint=constraint,
            max_tokens=self._config.max_tokens if max_tokens is None else max_tokens,
            stop=stop,
            timeout_s=deadline.remaining(),
            logprobs=options.get("logprobs", 0),
        )

    def timeout(self, asked: float | None) -> float | None:
        """Seconds, from what a call asked for or else the configuration; None means no limit. Raises InvalidRequest."""
        seconds = (self._config.timeout_s if asked is None else asked) or None
        validate.timeout(seconds)
        return seconds

    # --- scores and vectors -----------------------------------------------------------------------------------------

    def score(
        self,
        prompt: PromptLike,
        candidates: Sequence[str],
        *,
        model: str | None = None,
        normalize: Literal["none", "choices"] = "choices",
    ) -> ScoreResult:
        """How likely the model finds each candidate as what comes next: log-probabilities, without sampling."""
        return self._bridge.call(lambda: self._score(prompt, candidates, model, normalize))

    async def ascore(
        self,
        prompt: PromptLike,
        candidates: Sequence[str],
        *,
        model: str | None = None,
        normalize: Literal["none", "choices"] = "choices",
    ) -> ScoreResult:
        return await self._bridge.await_(lambda: self._score(prompt, candidates, model, normalize))

    async def _score(
        self, prompt: PromptLike, candidates: Sequence[str], model: str | None, normalize: Literal["none", "choices"]
    ) -> ScoreResult:
        deadline = Deadline(self.timeout(None))
        async with self.lease(model, deadline) as lease:
            request = ScoreRequest(
                prompt=rendered(lease.model, prompt),
                candidates=tuple(candidates),
                normalize=normalize,
                timeout_s=deadline.remaining(),
            )
            return await lease.model.engine.score(request)

    def embed(self, texts: str | Sequence[str], *, model: str | None = None) -> Embeddings:
        """Unit vectors, one per text. Raises UnsupportedByModel for a model that makes none."""
        return self._bridge.call(lambda: self._embed(texts, model))

    async def aembed(self, texts: str | Sequence[str], *, model: str | None = None) -> Embeddings:
        return await self._bridge.await_(lambda: self._embed(texts, model))

    async def _embed(self, texts: str | Sequence[str], model: str | None) -> Embeddings:
        deadline = Deadline(self.timeout(None))
        async with self.lease(model, deadline) as lease:
            batch = (texts,) if isinstance(texts, str) else tuple(texts)
            return await lease.model.engine.embed(batch, timeout_s=deadline.remaining())

    # --- wiring -----------------------------------------------------------------------------------------------------

    def _source(self) -> ModelSource:
        if self._closed:
            raise InvalidRequest("This runtime is closed.", hint="Make another one.")
        if self._models is None:
            from smidgen.runtime.loading import Loader

            self._models = Loader(self._config)
            atexit.register(self._close_at_exit)
        return self._models


def rendered(model: AgentModel, prompt: PromptLike) -> Prompt:
    """Text as it stands, never read as control tokens; messages through the model's chat template."""
    if isinstance(prompt, str):
        return (Segment(prompt, special=False),)
    return model.template.render(conversation(prompt))


def conversation(messages: Sequence[MessageLike]) -> tuple[Message, ...]:
    """Messages, also as mappings with `role` and `content`. Raises InvalidRequest."""
    try:
        found = tuple(
            message if isinstance(message, Message) else msgspec.convert(dict(message), Message) for message in messages
        )
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise InvalidRequest(
            f"A message can't be used: {error}.", hint='Write {"role": "user", "content": "…"}.'
        ) from error
    for message in found:
        try:
            message.content.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"A message has a lone surrogate at character {error.start}; it can't be encoded as UTF-8.",
                hint="It was read with another encoding than it was written with.",
            ) from error
    return found


def _closable(events: AsyncIterator[EngineEvent]) -> AsyncGenerator[EngineEvent, None]:
    """Engines yield from asynchronous generators; the contract only promises an iterator."""
    if hasattr(events, "aclose"):
        return cast("AsyncGenerator[EngineEvent, None]", events)

    async def pass_on() -> AsyncGenerator[EngineEvent, None]:
        async for event in events:
            yield event

    return pass_on()
