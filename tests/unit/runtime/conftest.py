"""A runtime over an engine that says what it is told, without processes."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from smidgen.agent import AgentModel
from smidgen.config import Config
from smidgen.errors import ErrorInfo, ModelNotPulled
from smidgen.events import EngineEvent, Failed, Generated, Notice, Prefilled, TextDelta
from smidgen.messages import (
    Embeddings,
    GenerateRequest,
    Message,
    Prompt,
    Sampling,
    ScoreRequest,
    ScoreResult,
    Segment,
    Timings,
    ToolSpec,
    Usage,
)
from smidgen.models.library import ModelFile
from smidgen.runtime.held import HeldModel
from smidgen.runtime.runtime import Lease, Runtime


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    family: str = "test"
    sampling: Sampling = Sampling(temperature=0.5)
    tool_sampling: Sampling = Sampling()
    dialect: str = "python_call"
    stop: tuple[str, ...] = ("<end>",)


class Template:
    def render(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] | None = None, add_generation_prompt: bool = True
    ) -> Prompt:
        return tuple(Segment(f"{message.role}: {message.content}\n") for message in messages)


class Engine:
    """Says `words`, one a turn of the loop; `requests` are what it was asked, `cancelled` how often it was closed
    before its end, `loops` where it ran."""

    name = "test"
    context = 1000

    def __init__(self) -> None:
        self.words: list[str] = ["one ", "two ", "three"]
        self.error: ErrorInfo | None = None
        self.requests: list[Any] = []
        self.cancelled = 0
        self.closed = 0
        self.pause = 0.0
        self.timeouts: list[float | None] = []
        self.loops: set[int] = set()
        self.started = threading.Event()

    async def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        self.requests.append(request)
        self.started.set()
        self.loops.add(id(asyncio.get_running_loop()))
        try:
            yield Prefilled(prompt_tokens=3, cached_tokens=1)
            for word in self.words:
                await asyncio.sleep(self.pause)
                yield TextDelta(text=word)
            if self.error is not None:
                yield Failed(error=self.error)
                return
            yield Generated(
                text="".join(self.words),
                finish_reason="stop",
                usage=Usage(prompt_tokens=3, completion_tokens=len(self.words)),
                timings=Timings(decode_s=0.1),
            )
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            raise

    async def score(self, request: ScoreRequest) -> ScoreResult:
        self.requests.append(request)
        count = len(request.candidates)
        return ScoreResult(logprobs=tuple(-float(i) for i in range(count)), token_counts=(1,) * count)

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        self.timeouts.append(timeout_s)
        return Embeddings(vectors=tuple((1.0, 0.0) for _ in texts), dimensions=2)

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        return tuple(range(sum(len(segment.text) for segment in prompt)))

    async def detokenize(self, tokens: tuple[int, ...], *, timeout_s: float | None = None) -> str:
        return " ".join(map(str, tokens))

    async def stats(self) -> dict[str, Any]:
        return {}

    async def aclose(self) -> None:
        self.closed += 1


class Models:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.asked: list[str] = []
        self.notices: tuple[Notice, ...] = (Notice(code="context_reduced", message="The context was made smaller."),)
        self.loading: Callable[[], Awaitable[object]] | None = None
        self.kept_s: dict[str, float | None] = {}
        self.loops: list[asyncio.AbstractEventLoop | None] = []
        """Where `held` and `keep` were called."""

    embedder = ""

    def name_of(self, spec: str) -> str:
        return spec

    @asynccontextmanager
    async def lease(self, spec: str) -> AsyncGenerator[Lease, None]:
        self.asked.append(spec)
        if self.loading is not None:
            await self.loading()
        model = AgentModel(name=spec, engine=self.engine, profile=Profile(), template=Template())
        yield Lease(model=model, notices=self.notices)

    def held(self) -> tuple[HeldModel, ...]:
        self.loops.append(running())
        return tuple(HeldModel(name=spec, closes_in_s=self.kept_s.get(spec)) for spec in dict.fromkeys(self.asked))

    def keep(self, spec: str, seconds: float | None) -> None:
        self.loops.append(running())
        self.kept_s[spec] = seconds

    async def unload(self, spec: str) -> bool:
        was_here = spec in self.asked
        self.asked = [other for other in self.asked if other != spec]
        return was_here

    def installed(self) -> tuple[ModelFile, ...]:
        return (self.resolve("small"),)

    def resolve(self, spec: str) -> ModelFile:
        if spec != "small":
            raise ModelNotPulled(f"{spec} is not on this computer yet.")
        return ModelFile(name=spec, path="/small.gguf", sha256="00", bytes=1, source="", license="")

    async def aclose(self) -> None:
        await self.engine.aclose()


def running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def models(engine: Engine) -> Models:
    return Models(engine)


@pytest.fixture(autouse=True)
def no_files_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither their configuration and rules are read, nor is anything kept in their data folder."""
    config = tmp_path / "configuration" / "config.toml"
    config.parent.mkdir()
    config.touch()
    monkeypatch.setenv("SMIDGEN_CONFIG", str(config))
    monkeypatch.setenv("SMIDGEN_HOME", str(tmp_path / "home"))


@pytest.fixture
def new_runtime(models: Models, tmp_path: Path) -> Callable[[], Runtime]:
    config = Config(model="small", max_tokens=99, timeout_s=7, home=str(tmp_path / "home"))
    return lambda: Runtime(config, models=models)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of deadlines, which stands still: set `now`."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("smidgen.agent.deadline.time", clock)
    return clock
