"""/v1/models: what is on this computer, with what llama-server tells of models and whether they are in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from smidgen.api.agents.known import ForAgent, known_agents
from smidgen.api.delivery import encode
from smidgen.api.documented import documented
from smidgen.api.openai import answers
from smidgen.api.openai.headers import Header, Headers
from smidgen.api.service import Service
from smidgen.errors import SmidgenError
from smidgen.models.library import ModelFile
from smidgen.runtime.held import HeldModel


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])
    headers = Headers()

    @router.get("/v1/models", **documented("Models and agents on this computer", answers.MODELS))
    async def models() -> Response:
        files = await asyncio.to_thread(_files, service)
        held = {model.name: model for model in service.runtime.held()}
        data = [_entry(service, file, await headers.of(file), held.get(file.name)) for file in files]
        here = {file.name for file in files}
        data += [_agent(service, name) for name in known_agents(service.runtime.config) if name not in here]
        return Response(encode({"object": "list", "data": data}), media_type="application/json")

    @router.get("/v1/models/{name:path}", **documented("One of them", answers.MODEL, refused=(404,)))
    async def model(name: str) -> Response:
        spec = service.model(name)
        if isinstance(spec, ForAgent):
            return Response(encode(_agent(service, spec.name)), media_type="application/json")
        file = await asyncio.to_thread(lambda: service.runtime.resolve(spec))
        held = next((model for model in service.runtime.held() if model.name == file.name), None)
        found = _entry(service, file, await headers.of(file), held)
        return Response(encode(found), media_type="application/json")

    del models, model
    return router


def _agent(service: Service, name: str) -> dict[str, Any]:
    """An agent can be asked like a model."""
    agent = known_agents(service.runtime.config)[name]
    return {
        "id": name,
        "object": "model",
        "created": service.started,
        "owned_by": "smidgen",
        "meta": None,
        "smidgen": {"kind": "agent", "default": False, "description": agent.description, "tools": list(agent.tools)},
    }


def _files(service: Service) -> list[ModelFile]:
    """The pulled ones, and the one that the server was started with, which may be a file anywhere. Reads the disk."""
    files = list(service.installed())
    try:
        own = service.runtime.resolve(service.runtime.model_name)
    except SmidgenError:  # not pulled yet: a request for it says so
        return files
    return files if own.name in {file.name for file in files} else [own, *files]


def _entry(service: Service, file: ModelFile, header: Header | None, held: HeldModel | None) -> dict[str, Any]:
    return {
        "id": file.name,
        "object": "model",
        "created": service.started,
        "owned_by": "llamacpp",
        "meta": _meta(header, held),
        "smidgen": {
            "kind": header.kind if header else None,
            "default": file.name == service.runtime.name_of(service.runtime.model_name),
            "file_bytes": file.bytes,
            "license": file.license,
            "warm": held is not None and not held.loading,
            "loading": held is not None and held.loading,
            "loaded": held.fraction if held else 0.0,
            "users": held.users if held else 0,
            "memory_bytes": held.bytes if held else 0,
            "closes_in_s": held.closes_in_s if held else None,
        },
    }


def _meta(header: Header | None, held: HeldModel | None) -> dict[str, Any] | None:
    """As llama-server has it. n_ctx: of a model in memory."""
    if header is None:
        return None
    meta: dict[str, Any] = {
        "vocab_type": header.vocab_type,
        "n_vocab": header.vocab_size,
        "n_ctx_train": header.trained_context,
        "n_embd": header.embedding_size,
        "n_params": header.parameters,
        "size": header.tensor_bytes,
    }
    return meta | {"n_ctx": held.context} if held and held.context else meta
