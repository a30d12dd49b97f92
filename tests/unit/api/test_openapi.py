"""What `/openapi.json` says is so: requests made from it, right ones and wrong ones, and answers held against it.

The suite tries few and always the same ones; SMIDGEN_TEST_EXAMPLES=200 tries that many of each operation, new ones at
each run.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.unit.api.conftest import Serving

from smidgen.api.agents.runs import Runs
from smidgen.api.app import application
from smidgen.api.manners import stack
from smidgen.api.ollama import pulling
from smidgen.api.service import Service
from smidgen.config import Config, Serve
from smidgen.runtime.runtime import Runtime
from smidgen.sessions import SessionStore
from smidgen.testing import ScriptedEngine, ScriptedModels

LONG = os.environ.get("SMIDGEN_TEST_EXAMPLES", "")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]


def service_of(folder: Path) -> Service:
    serve = Serve(hosts=("testserver",))
    config = Config(model="tiny", home=str(folder / "home"), audit="off", serve=serve)
    engines = {name: ScriptedEngine(lambda _: "What was asked for.", name=name) for name in ("tiny", "vectors")}
    return Service(Runtime(config, models=ScriptedModels(engines, embedder="vectors", fim=("tiny",))), serve)


def application_of(folder: Path) -> tuple[FastAPI, Service, Runs]:
    service = service_of(folder)
    runs = Runs(service, SessionStore(folder / "sessions.sqlite"))
    return application(service, runs), service, runs


class Served:
    """The application with its manners, over scripted models. It is made when its lifespan begins, on the loop on which
    its requests come."""

    def __init__(self) -> None:
        self.folder = Path()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with self._made() as self._app:
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            assert self._app is not None
            await self._app(scope, receive, send)

    @asynccontextmanager
    async def _made(self) -> AsyncGenerator[ASGIApp, None]:
        app, service, runs = application_of(self.folder)
        async with service.runtime:
            await runs.store.open()
            try:
                yield stack(app, service.serve)
            finally:
                await runs.aclose()


def pulled(*given: Any) -> None:
    """Instead of what reaches for the network."""
    tell = given[-1]
    tell({"status": "pulling manifest"})
    tell({"status": "success", "smidgen": {"model": "tiny", "warnings": []}})


served = Served()
api = schemathesis.openapi.from_dict(application_of(Path("unused"))[0].openapi(), config=SchemathesisConfig())
api.app = served
api.config.checks.not_a_server_error.expected_statuses = ["2xx", "3xx", "4xx", "501"]  # what can't be had is told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "configuration" / "config.toml"
    config.parent.mkdir()
    config.touch()
    monkeypatch.setenv("SMIDGEN_CONFIG", str(config))
    monkeypatch.setattr(pulling, "fetched", pulled)
    served.folder = tmp_path


@pytest.mark.usefixtures("folder")
@api.parametrize()
@settings(
    max_examples=int(LONG or 4),
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_answers_are_as_described(case: schemathesis.Case) -> None:
    # Elsewhere other people's clients are humoured: numbers may come as text, for one.
    own = case.path.startswith("/v1/agents")
    case.call_and_validate(checks=[*CHECKS, negative_data_rejection] if own else CHECKS)


# --- the document -----------------------------------------------------------------------------------------------------


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """With method and path."""
    return [
        (f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


async def test_every_operation_has_a_summary_a_tag_and_an_id_of_its_own(serving: Serving) -> None:
    async with serving() as client:
        document = (await client.get("/openapi.json")).json()
    found = operations(document)
    tags = {tag["name"] for tag in document["tags"]}
    assert all(operation["summary"] and set(operation["tags"]) <= tags for _, operation in found)
    assert len({operation["operationId"] for _, operation in found}) == len(found) > 50
    assert not [name for name, _ in found if name.startswith(("GET /page", "POST /mcp"))]
    assert "/mcp" in document["info"]["description"]


def test_answers_have_schemas_and_streams_their_content_types() -> None:
    found = dict(operations(api.raw_schema))
    for name, operation in found.items():
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                assert content["schema"], (name, status, kind)
    assert set(found["GET /"]["responses"]["200"]["content"]) == {"text/plain", "text/html"}
    for name, kind in (
        ("POST /v1/chat/completions", "text/event-stream"),
        ("POST /v1/messages", "text/event-stream"),
        ("POST /infill", "text/event-stream"),
        ("POST /api/chat", "application/x-ndjson"),
        ("POST /v1/agents/{name}/runs", "text/event-stream"),
    ):
        assert set(found[name]["responses"]["200"]["content"]) == {"application/json", kind}


def test_errors_are_in_the_shape_of_whoever_asks_and_never_fastapis() -> None:
    found = dict(operations(api.raw_schema))
    for name, error in (
        ("POST /v1/chat/completions", "OpenAIError"),
        ("POST /v1/messages", "AnthropicError"),
        ("POST /api/chat", "OllamaError"),
        ("POST /infill", "LlamaServerError"),
    ):
        for status in ("400", "404", "413", "503"):
            assert found[name]["responses"][status] == {"$ref": f"#/components/responses/{error}{status}"}
    assert not [name for name, operation in found.items() if "422" in operation["responses"]]
    assert not [name for name in api.raw_schema["components"]["schemas"] if "ValidationError" in name]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/", "GET, HEAD"),
        ("/lora-adapters", "GET, POST"),
        ("/v1/responses/one", "GET, DELETE"),
        ("/v1/agents/sessions/one", "GET, PATCH, DELETE"),
    ],
)
async def test_a_method_that_is_not_there_is_told_all_that_are(serving: Serving, path: str, methods: str) -> None:
    async with serving() as client:
        answer = await client.put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.parametrize(
    "body", [{"input": "Hi", "max_tokens": "5"}, {"input": "Hi", "stream": "no"}, {"input": "Hi", "seed": True}]
)
async def test_the_agents_api_takes_no_value_of_another_type(serving: Serving, body: dict[str, Any]) -> None:
    async with serving() as client:
        answer = await client.post("/v1/agents/assistant/runs", json=body)
    assert answer.status_code == 400


async def test_a_token_that_there_is_not_is_refused(serving: Serving) -> None:
    async with serving(["Never said."]) as client:
        answer = await client.post("/completion", json={"prompt": [2**31 - 1]})
    assert answer.status_code == 400 and "token" in answer.json()["error"]["message"]
