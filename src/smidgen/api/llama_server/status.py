"""/health, /props, /slots, /metrics and adapters: what the server is and does, without prompts and paths."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from smidgen.api.delivery import encode
from smidgen.api.documented import ANSWERING, TEXT, documented
from smidgen.api.faults import LOADING_RETRY_S
from smidgen.api.llama_server import answers
from smidgen.api.llama_server.requests import Adapter
from smidgen.api.manners import refusal
from smidgen.api.service import Service
from smidgen.errors import SmidgenError

STATS_S = 1.0
"""Seconds for an engine to tell its counters."""


class Facts(msgspec.Struct, frozen=True):
    """Of a model file's header."""

    template: str = ""
    bos: str = ""
    eos: str = ""


class Status:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._was_ready = False
        self._facts: dict[str, Facts] = {}

    def loading(self) -> bool:
        """Whether the default model is loaded for the first time. One that was closed since is loaded when needed."""
        name = self._service.runtime.name_of(self._service.runtime.model_name)
        mine = [model for model in self._service.runtime.held() if model.name == name]
        self._was_ready |= any(not model.loading for model in mine)
        return not self._was_ready and bool(mine)

    async def facts(self, path: str) -> Facts:
        if path not in self._facts:
            self._facts[path] = await asyncio.to_thread(_read, path)
        return self._facts[path]

    async def props(self) -> dict[str, Any]:
        """Loads the model if need be. Raises what that raises."""
        from smidgen import __version__

        runtime = self._service.runtime
        self._service.keep(runtime.model_name)
        async with runtime.lease() as lease:
            model, info = lease.model, lease.model.info
            file = await asyncio.to_thread(runtime.resolve)
            facts = await self.facts(file.path)
            native = info.library if info else "unknown"
            profile = msgspec.to_builtins(model.profile.sampling)
            return {
                "default_generation_settings": {"n_ctx": model.engine.context, "params": profile},
                "total_slots": self._service.serve.streams,
                "model_alias": model.name,
                "model_path": f"{model.name}.gguf",
                "chat_template": facts.template,
                "bos_token": facts.bos,
                "eos_token": facts.eos,
                "modalities": {"vision": False, "audio": False},
                "build_info": f"smidgen {__version__} (llama.cpp {native})",
                "is_sleeping": False,
                "smidgen": {"infill": model.fim is not None},
            }

    def slots(self) -> list[dict[str, Any]]:
        """As many as requests are answered at once; those that work come first."""
        running = self._service.admission.running + self._service.background
        contexts = [model.context for model in self._service.runtime.held() if model.context]
        return [
            {"id": number, "n_ctx": max(contexts, default=0), "is_processing": number < running}
            for number in range(self._service.serve.streams)
        ]

    async def metrics(self) -> bytes:
        service = self._service
        held = service.runtime.held()
        figures: list[tuple[str, str, float]] = [
            ("smidgen_requests_running", "Requests that are answered now", service.admission.running),
            ("smidgen_requests_waiting", "Requests that wait for their turn", service.admission.waiting),
            ("smidgen_requests_background", "Runs that nobody waits for", service.background),
            ("smidgen_requests_refused", "Requests refused for want of a turn", service.admission.refused),
            ("smidgen_models_held", "Models in memory", sum(not model.loading for model in held)),
            ("smidgen_models_loading", "Models on their way into memory", sum(model.loading for model in held)),
            ("smidgen_memory_bytes", "What models take in memory, estimated", sum(model.bytes for model in held)),
            ("smidgen_worker_restarts", "Worker processes replaced", sum(model.restarts for model in held)),
        ]
        for name, value in (await self._engines()).items():
            figures.append(
                (f"smidgen_engine_{name}", f"{name.replace('_', ' ')} of the models asked".capitalize(), value)
            )
        for name, text, value in figures:
            service.metrics.set(name, text, value)
        return service.metrics.page() + self._as_llama_server()

    async def _engines(self) -> dict[str, float]:
        """Counters of models that are in use or stay in memory, added up: asking others would keep them from being
        closed."""
        total: dict[str, float] = {}
        for model in self._service.runtime.held():
            if model.loading or (not model.users and model.closes_in_s is not None):
                continue
            try:
                async with asyncio.timeout(STATS_S), self._service.runtime.lease(model.name) as lease:
                    stats = await lease.model.engine.stats()
            except (SmidgenError, TimeoutError):
                continue
            for name, value in stats.items():
                if isinstance(value, int | float) and name != "worker_pid":
                    total[name] = total.get(name, 0) + value
        return total

    def _as_llama_server(self) -> bytes:
        """Under the names that dashboards for llama-server read."""
        metrics, admission = self._service.metrics, self._service.admission
        read = _sum(metrics.prompt_tokens) - _sum(metrics.cached_tokens)
        figures = (
            ("prompt_tokens_total", "counter", "Number of prompt tokens processed.", read),
            (
                "tokens_predicted_total",
                "counter",
                "Number of generation tokens processed.",
                _sum(metrics.completion_tokens),
            ),
            ("requests_processing", "gauge", "Number of requests processing.", admission.running),
            ("requests_deferred", "gauge", "Number of requests deferred.", admission.waiting),
        )
        lines = [
            f"# HELP llamacpp:{name} {text}\n# TYPE llamacpp:{name} {kind}\nllamacpp:{name} {value:g}\n"
            for name, kind, text, value in figures
        ]
        return "".join(lines).encode()


def _sum(counter: Any) -> float:
    samples = [sample for metric in counter.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def _read(path: str) -> Facts:
    from smidgen.models import gguf
    from smidgen.models.detect import detect

    try:
        facts = detect(gguf.read(path))
    except (SmidgenError, OSError):
        return Facts()
    return Facts(facts.template, facts.bos_text, facts.eos_text)


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["llama-server"])
    status = Status(service)

    healthy = documented("Whether it is ready", answers.HEALTH, refused=(503,))

    @router.get("/health", **healthy)
    @router.get("/v1/health", **healthy)
    async def health(request: Request) -> Response:
        if status.loading():
            code, headers, body = refusal(
                request.url.path, 503, "Loading model", code="loading", retry_after=LOADING_RETRY_S
            )
            return Response(body, status_code=code, headers=dict(headers))
        return _json({"status": "ok"})

    @router.get("/props", **documented("What answers here", answers.PROPS, refused=ANSWERING))
    async def props() -> Response:
        return _json(await status.props())

    @router.get("/slots", **documented("What is busy", answers.SLOTS))
    async def slots() -> Response:
        return _json(status.slots())

    @router.get("/metrics", **documented("Figures for Prometheus", TEXT, kind="text/plain"))
    async def metrics() -> Response:
        return Response(await status.metrics(), headers={"content-type": CONTENT_TYPE_LATEST})

    @router.get("/lora-adapters", **documented("Adapters, of which there are none", answers.ADAPTERS))
    async def adapters() -> Response:
        return _json([])

    @router.post("/lora-adapters", **documented("Switch adapters off", answers.DONE, refused=(501,)))
    async def set_adapters(body: list[Adapter], request: Request) -> Response:
        if any(adapter.scale for adapter in body):
            code, headers, told = refusal(
                request.url.path, 501, "Adapters can't be used here.", "Use a model file that has it merged."
            )
            return Response(told, status_code=code, headers=dict(headers))
        return _json({"success": True})

    del health, props, slots, metrics, adapters, set_adapters
    return router


def _json(answer: Any) -> Response:
    return Response(encode(answer), media_type="application/json")
