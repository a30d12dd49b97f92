"""The application over scripted models, called without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from smidgen.api.agents.runs import Runs
from smidgen.api.app import application
from smidgen.api.service import Service
from smidgen.config import AgentConfig, Config, Serve
from smidgen.engine import Engine
from smidgen.runtime.runtime import Runtime
from smidgen.sessions import SessionStore
from smidgen.testing import ScriptedEngine, ScriptedModels

Serving = Callable[..., AbstractAsyncContextManager["Client"]]


class Client(httpx2.AsyncClient):
    """`service` is what answers, `models` what it answers with."""

    service: Service
    runs: Runs
    models: ScriptedModels


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """`async with serving(["an answer"]) as client`: a server whose model "tiny" says that; `others` by name, and
    settings of the server by keyword."""
    config_file = tmp_path / "configuration" / "config.toml"
    config_file.parent.mkdir()
    config_file.touch()
    monkeypatch.setenv("SMIDGEN_CONFIG", str(config_file))

    @asynccontextmanager
    async def serve(
        answers: Any = (),
        *,
        engine: Engine | None = None,
        others: dict[str, Engine] | None = None,
        embedder: str = "",
        fim: tuple[str, ...] = ("tiny",),
        scores: dict[str, float] | None = None,
        agents: dict[str, AgentConfig] | None = None,
        **settings: Any,
    ) -> AsyncGenerator[Client, None]:
        tiny = engine or ScriptedEngine(answers, scores=scores, name="tiny")
        models = ScriptedModels({"tiny": tiny, **(others or {})}, embedder=embedder, fim=fim)
        serve = msgspec.convert(settings, Serve)
        config = Config(model="tiny", home=str(tmp_path / "home"), audit="off", serve=serve, agents=agents or {})
        async with Runtime(config, models=models) as runtime:
            service = Service(runtime, serve)
            store = SessionStore(tmp_path / "sessions.sqlite")
            await store.open()
            runs = Runs(service, store)
            transport = httpx2.ASGITransport(app=application(service, runs), raise_app_exceptions=False)
            try:
                async with Client(transport=transport, base_url="http://localhost:8012", timeout=30) as client:
                    client.service, client.models, client.runs = service, models, runs
                    yield client
            finally:
                await runs.aclose()

    return serve
