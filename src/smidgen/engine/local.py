"""A model file in a supervised worker process, as an Engine.

A crash of the worker is a pause: the stream goes on where it was, after a `Resumed` event (see `desk`, `quarantine`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from smidgen.engine import validate
from smidgen.engine.desk import Desk
from smidgen.engine.job import Generation, Question
from smidgen.errors import EngineUnavailable, ProtocolError
from smidgen.events import EngineEvent, Failed, Generated, Notice
from smidgen.messages import Embeddings, GenerateRequest, Prompt, ScoreRequest, ScoreResult
from smidgen.supervise.child import Child
from smidgen.supervise.plan import Limits
from smidgen.wire import (
    ClearCache,
    Detokenize,
    Embed,
    Embedded,
    GetStats,
    LoadOptions,
    ModelInfo,
    ParentMessage,
    RenderNative,
    Score,
    Scored,
    Stats,
    Text,
    Tokenize,
    Tokens,
    WorkerMessage,
)

USUAL = Limits()
WORKER = "smidgen.worker"
A = TypeVar("A", bound=WorkerMessage)


class LocalEngine:
    """Await `open` before anything else, and `aclose` in the end; or use it as an async context manager.

    limits: when a worker counts as hung and how often it is replaced. crash_folder: where crash reports are kept, None
    for nowhere. on_notice: told of restarts, quarantines and of giving up; called from the event loop.
    spare: a worker process started ahead, which this engine now owns.
    Raises InvalidRequest for options out of range.
    """

    def __init__(
        self,
        name: str,
        options: LoadOptions,
        *,
        limits: Limits = USUAL,
        worker_module: str = WORKER,
        crash_folder: Path | None = None,
        on_notice: Callable[[Notice], None] | None = None,
        spare: Child | None = None,
    ) -> None:
        validate.load_options(options)
        self._name = name
        self.options = options
        self._desk = Desk(
            name,
            options,
            limits=limits,
            module=worker_module,
            crash_folder=crash_folder,
            on_notice=on_notice,
            spare=spare,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def info(self) -> ModelInfo:
        """Of the open model. Raises EngineUnavailable before `open`."""
        if self._desk.info is None:
            raise EngineUnavailable(f"{self._name} isn't open.", hint="Await open() first.", retryable=False)
        return self._desk.info

    @property
    def context(self) -> int:
        return self.info.context

    @property
    def pid(self) -> int | None:
        """Of the present worker process, None between two."""
        return self._desk.supervisor.pid

    @property
    def restarts(self) -> int:
        """How often the worker was replaced."""
        return self._desk.supervisor.restarts

    @property
    def load_fraction(self) -> float:
        """Of the file that is being opened, 0.0 to 1.0."""
        return self._desk.supervisor.fraction

    async def open(self) -> ModelInfo:
        """Start the worker and load the model. Raises ModelLoadFailed, OutOfMemory and the like as the worker refused
        it, EngineUnavailable if the worker crashes again and again."""
        return await self._desk.open()

    async def __aenter__(self) -> LocalEngine:
        try:
            await self.open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        """Raises InvalidRequest or ConstraintError at once; EngineBusy, EngineUnavailable and what the worker refuses
        (ContextOverflow) from the first `anext`, before any event."""
        validate.generate_request(request)
        return self._events(request)

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        desk = self._desk
        job = Generation(desk.number(), asyncio.get_running_loop().time(), request)
        desk.accept(job)
        try:
            while True:
                events = await job.take()
                if job.refusal is not None:
                    raise job.refusal
                for event in events:
                    yield event
                    if isinstance(event, Generated | Failed):
                        return
        finally:
            desk.drop(job)

    async def score(self, request: ScoreRequest) -> ScoreResult:
        validate.score_request(request)

        def write(wire_id: int, remaining: float | None) -> ParentMessage:
            return Score(id=wire_id, request=msgspec.structs.replace(request, timeout_s=remaining))

        shape = {"candidates": len(request.candidates), "prompt_characters": _characters(request.prompt)}
        return (await self._ask("score", Scored, write, shape, request.timeout_s, worker_knows_deadline=True)).result

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        validate.texts(texts)
        validate.timeout(timeout_s)
        shape = {"texts": len(texts), "characters": sum(len(text) for text in texts)}
        return (await self._ask("embed", Embedded, lambda i, _: Embed(id=i, texts=texts), shape, timeout_s)).result

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        validate.prompt(prompt, allow_empty=True)
        validate.timeout(timeout_s)
        shape = {"prompt_characters": _characters(prompt)}
        return (
            await self._ask("tokenize", Tokens, lambda i, _: Tokenize(id=i, prompt=prompt), shape, timeout_s)
        ).tokens

    async def detokenize(self, tokens: tuple[int, ...], *, timeout_s: float | None = None) -> str:
        validate.token_ids(tokens, self.info.vocab_size)
        validate.timeout(timeout_s)
        shape = {"tokens": len(tokens)}
        return (
            await self._ask("detokenize", Text, lambda i, _: Detokenize(id=i, tokens=tokens), shape, timeout_s)
        ).text

    async def render_native(self, messages: Sequence[tuple[str, str]], add_generation_prompt: bool = True) -> str:
        """(role, content) pairs rendered by the native library's own template engine. Raises UnsupportedByModel."""
        pairs = tuple(messages)
        validate.pairs(pairs)

        def write(wire_id: int, _: float | None) -> ParentMessage:
            return RenderNative(id=wire_id, messages=pairs, add_generation_prompt=add_generation_prompt)

        return (await self._ask("render", Text, write, {"messages": len(pairs)})).text

    async def stats(self) -> dict[str, Any]:
        """The worker's counters (see wire.Stats), and of this side: restarts, queued, in_flight, worker_pid."""
        values = (await self._ask("stats", Stats, lambda i, _: GetStats(id=i), {})).values
        return values | self._own_stats()

    async def clear_cache(self) -> dict[str, Any]:
        """Drop all idle prefixes. Returns the stats afterwards."""
        values = (await self._ask("clear", Stats, lambda i, _: ClearCache(id=i), {})).values
        return values | self._own_stats()

    async def aclose(self) -> None:
        """Fails what is in flight with EngineUnavailable; afterwards there is no process. Safe to call twice."""
        await self._desk.aclose()

    def _own_stats(self) -> dict[str, Any]:
        return {
            "restarts": self.restarts,
            "queued": self._desk.waiting,
            "in_flight": self._desk.sent,
            "worker_pid": self.pid,
        }

    async def _ask(
        self,
        kind: str,
        answer: type[A],
        write: Callable[[int, float | None], ParentMessage],
        shape: dict[str, Any],
        timeout_s: float | None = None,
        *,
        worker_knows_deadline: bool = False,
    ) -> A:
        accepted = asyncio.get_running_loop().time()
        job = Question(
            self._desk.number(),
            accepted,
            timeout_s,
            kind,
            write,
            shape,
            worker_knows_deadline=worker_knows_deadline,
        )
        self._desk.accept(job)
        try:
            message = await job.answer
        finally:
            self._desk.drop(job)
        if not isinstance(message, answer):
            raise ProtocolError(f"The worker answered {kind} with {type(message).__name__}.")
        return message


def _characters(prompt: Prompt) -> int:
    return sum(len(segment.text) for segment in prompt)
