"""/api/embed and the older /api/embeddings: texts as unit vectors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.agent.deadline import Deadline
from smidgen.api.delivery import encode, unless_gone
from smidgen.api.documented import ANSWERING, documented
from smidgen.api.ollama import answers
from smidgen.api.ollama.durations import keep
from smidgen.api.ollama.lines import nanoseconds
from smidgen.api.ollama.names import named
from smidgen.api.ollama.options import without_effect
from smidgen.api.ollama.requests import EmbeddingsRequest, EmbedRequest
from smidgen.api.openai.embeddings import shortened
from smidgen.api.service import DEFAULT_NAMES, Keep, Service
from smidgen.engine import Engine
from smidgen.errors import ContextOverflow, InvalidRequest
from smidgen.messages import Embeddings, Segment, Usage

SPARE_TOKENS = 4
"""Of the context, for those that mark a text's beginning and end."""

CUT = "Texts that are too long were cut at the context's end."


def routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post("/api/embed", **documented("Texts as vectors", answers.VECTORS, refused=ANSWERING))
    async def embed(body: EmbedRequest, request: Request) -> Response:
        began = time.monotonic()
        texts = [body.input] if isinstance(body.input, str) else body.input
        work = embedded(service, body, [text for text in texts if text], cuts=body.truncate is not False)
        done = await unless_gone(request.receive, work)
        if done is None:
            return Response(status_code=499)
        told = answer(body, texts, *done)
        total = nanoseconds(time.monotonic() - began)
        return Response(encode({**told, "total_duration": total}), media_type="application/json")

    @router.post("/api/embeddings", **documented("A text as a vector", answers.VECTOR, refused=ANSWERING))
    async def old(body: EmbeddingsRequest, request: Request) -> Response:
        texts = [body.prompt] if body.prompt else []
        done = await unless_gone(request.receive, embedded(service, body, texts, cuts=True))
        if done is None:
            return Response(status_code=499)
        _, vectors, cut = done
        warnings = [*_ignored(body), *([CUT] if cut else [])]
        vector: tuple[float, ...] = vectors.vectors[0] if texts else ()
        told: dict[str, Any] = {"embedding": vector, "smidgen": {"warnings": warnings}}
        return Response(encode(told), media_type="application/json")

    del embed, old
    return router


def answer(body: EmbedRequest, texts: Sequence[str], model: str, vectors: Embeddings, cut: bool) -> dict[str, Any]:
    """Empty texts have empty vectors. Raises InvalidRequest for more dimensions than there are."""
    wanted = body.dimensions or vectors.dimensions
    if vectors.vectors and wanted > vectors.dimensions:
        message = f"{model} has {vectors.dimensions} dimensions, fewer than {wanted}."
        raise InvalidRequest(message, hint="Leave dimensions out.", param="dimensions")
    left = iter(vectors.vectors)
    found = [next(left) if text else () for text in texts]
    return {
        "model": model,
        "embeddings": [shortened(vector, wanted) if wanted < len(vector) else vector for vector in found],
        "prompt_eval_count": vectors.usage.prompt_tokens,
        "smidgen": {"warnings": [*_ignored(body), *([CUT] if cut else [])]},
    }


def _ignored(body: EmbedRequest | EmbeddingsRequest) -> list[str]:
    return [f"options.{told}" for told in without_effect(body.options or {})]


async def embedded(
    service: Service, body: EmbedRequest | EmbeddingsRequest, texts: Sequence[str], *, cuts: bool
) -> tuple[str, Embeddings, bool]:
    """The model's name, a vector for each text, and whether a text was cut for it. Without texts the model is only
    loaded. Raises what `Service.embed` raises."""
    model = await asyncio.to_thread(_embedder, service, body.asked)
    keep_s = keep(body.keep_alive)
    name = service.runtime.name_of(model)
    if not texts:
        await service.load(model, keep_s)
        return name, Embeddings(vectors=(), dimensions=0, usage=Usage()), False
    try:
        return name, await service.embed(model, texts, keep_s), False
    except ContextOverflow:
        if not cuts:
            raise
    shorter = await _shortened(service, model, texts, keep_s)
    return name, await service.embed(model, shorter, keep_s), True


def _embedder(service: Service, name: str) -> str:
    """Of the model that a client named, or else the configured one."""
    if name in DEFAULT_NAMES and (found := service.runtime.embedder_name()):
        return found
    return named(service, name)


async def _shortened(service: Service, model: str, texts: Sequence[str], keep_s: Keep) -> list[str]:
    async with service.admission.turn():
        service.keep(model, keep_s)
        async with service.runtime.lease(model, Deadline(service.serve.answer_s or None)) as lease:
            return [await beginning(text, lease.model.engine) for text in texts]


async def beginning(text: str, engine: Engine) -> str:
    """As much of it as fits into the context."""
    room = max(1, engine.context - SPARE_TOKENS)
    while (size := len(await engine.tokenize((Segment(text, special=False),)))) > room and len(text) > 1:
        text = text[: max(1, min(len(text) - 1, len(text) * room // size))]
    return text
