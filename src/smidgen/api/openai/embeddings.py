"""/v1/embeddings: texts as unit vectors, by the configured embedder or a model of the client's choice."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.delivery import encode, unless_gone
from smidgen.api.documented import ANSWERING, documented
from smidgen.api.openai import answers
from smidgen.api.openai.prompts import given
from smidgen.api.openai.requests import EmbeddingRequest
from smidgen.api.openai.translate import refused
from smidgen.api.service import DEFAULT_NAMES, Service
from smidgen.messages import Embeddings


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post("/v1/embeddings", **documented("Texts as vectors", answers.VECTORS, refused=ANSWERING))
    async def embed(body: EmbeddingRequest, request: Request) -> Response:
        texts = given(body.input)
        if not texts or any(not text for text in texts):
            raise refused("input", "A text to embed is empty.", "Give at least one character of text.")
        model = embedder(service, body.model)
        vectors = await unless_gone(request.receive, service.embed(model, texts))
        if vectors is None:
            return Response(status_code=499)
        return Response(encode(answer(vectors, body, service.runtime.name_of(model))), media_type="application/json")

    del embed
    return router


def embedder(service: Service, name: str | None) -> str:
    """Of the model that a client named, or else the configured one; where there is none, the server's model, which can
    say that it makes no vectors. Raises UnknownModel."""
    if (name or "").strip() in DEFAULT_NAMES and (found := service.runtime.embedder_name()):
        return found
    return service.model(name)


def answer(vectors: Embeddings, body: EmbeddingRequest, model: str) -> dict[str, Any]:
    """Raises InvalidRequest for more dimensions than there are."""
    wanted = body.dimensions or vectors.dimensions
    if wanted > vectors.dimensions:
        raise refused(
            "dimensions", f"{model} has {vectors.dimensions} dimensions, fewer than {wanted}.", "Leave dimensions out."
        )
    warnings = [f"Vectors were cut from {vectors.dimensions} to {wanted} dimensions and made unit length again."]
    cut = [shortened(vector, wanted) if wanted < vectors.dimensions else vector for vector in vectors.vectors]
    packed = body.encoding_format == "base64"
    tokens = vectors.usage.prompt_tokens
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": packed_floats(vector) if packed else vector}
            for index, vector in enumerate(cut)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "smidgen": {"warnings": warnings if wanted < vectors.dimensions else []},
    }


def shortened(vector: Sequence[float], dimensions: int) -> tuple[float, ...]:
    """Its first dimensions, as a unit vector again."""
    kept = vector[:dimensions]
    length = math.sqrt(sum(value * value for value in kept))
    return tuple(value / length if length else 0.0 for value in kept)


def packed_floats(vector: Sequence[float]) -> str:
    """Base64 of little-endian floats of 4 bytes."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
