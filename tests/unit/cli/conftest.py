"""The command line over a scripted model: real arguments, output and exit statuses, no process and no file."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from smidgen.agent import AgentModel
from smidgen.cli.main import main
from smidgen.config import Config
from smidgen.errors import SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta
from smidgen.messages import Sampling, Timings, Usage
from smidgen.runtime.runtime import Lease
from smidgen.testing import ScriptedEngine


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    family: str = "test"
    sampling: Sampling = Sampling()
    tool_sampling: Sampling = Sampling()
    dialect: str = "python_call"
    stop: tuple[str, ...] = ()


class Script:
    """What the agent will do: yield `events`, then finish with `text`, or fail with `error`. `seen` is what each run
    was given."""

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []
        self.text = "Forty-two."
        self.finish: dict[str, Any] = {}
        self.error: SmidgenError | None = None
        self.crash: Exception | None = None
        self.load_error: SmidgenError | None = None
        self.notices: tuple[Notice, ...] = ()
        self.pause = 0.0
        self.seen: list[SimpleNamespace] = []

    async def run(
        self, model: Any, tools: Any, history: Any, settings: Any, guard: Any, embedder: Any, results: Any
    ) -> AsyncGenerator[AgentEvent, None]:
        self.seen.append(
            SimpleNamespace(model=model.name, tools=[t.spec.name for t in tools], history=history, settings=settings)
        )
        self.seen[-1].guard = guard
        _, notices = await model.load()
        for notice in notices:
            yield notice
        for event in self.events:
            yield event
        await asyncio.sleep(self.pause)
        if self.crash is not None:
            raise self.crash
        if self.error is not None:
            yield Failed(error=self.error.info())
            return
        yield TextDelta(text=self.text[:5])
        yield TextDelta(text=self.text[5:])
        finish = {
            "text": self.text,
            "model": model.name,
            "finish_reason": "stop",
            "tool_calls": (),
            "usage": Usage(prompt_tokens=5, cached_tokens=2, completion_tokens=3),
            "timings": Timings(decode_s=0.5),
            "warnings": (),
            "strategy": "plain",
        }
        yield Finished(**(finish | self.finish))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    script = Script()

    class Loader:
        embedder = ""

        def __init__(self, config: Config) -> None:
            script.config = config  # type: ignore[attr-defined]

        def name_of(self, spec: str) -> str:
            return spec

        @asynccontextmanager
        async def lease(self, spec: str) -> AsyncGenerator[Lease, None]:
            if script.load_error is not None:
                raise script.load_error
            model = AgentModel(name=spec, engine=ScriptedEngine(), profile=Profile(), template=object())  # type: ignore[arg-type]
            yield Lease(model=model, notices=script.notices)

        async def aclose(self) -> None:
            script.closed = True  # type: ignore[attr-defined]

    async def ready(*_: object) -> None:
        if script.load_error is not None:
            raise script.load_error

    monkeypatch.setattr("smidgen.runtime.loading.Loader", Loader)
    monkeypatch.setattr("smidgen.cli.preparing.make_ready", ready)
    monkeypatch.setattr("smidgen.agent.run.run", script.run)
    for name in ("SMIDGEN_MODEL", "SMIDGEN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config.toml"
    config.write_text('model = "tiny"\n', encoding="utf-8")
    monkeypatch.setenv("SMIDGEN_CONFIG", str(config))
    monkeypatch.setenv("SMIDGEN_HOME", str(tmp_path / "home"))
    return script


class Done(SimpleNamespace):
    status: int
    out: str
    err: str


@pytest.fixture
def smidgen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run the command line in this process; `stdin` is piped in."""

    def run(*arguments: str, stdin: str = "") -> Done:
        read, write = os.pipe()
        with open(write, "w", encoding="utf-8") as end:  # noqa: PTH123
            end.write(stdin)
        with open(read, encoding="utf-8") as piped:  # noqa: PTH123
            monkeypatch.setattr("sys.stdin", piped)
            try:
                status = main(arguments)
            except SystemExit as left:
                status = int(left.code or 0)
        captured = capsys.readouterr()
        return Done(status=status, out=captured.out, err=captured.err)

    return run
