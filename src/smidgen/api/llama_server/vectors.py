"""/embedding and /embeddings in the form from before OpenAI's; ranking, which no model here does."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.delivery import encode, unless_gone
from smidgen.api.documented import ANSWERING, documented, refusing
from smidgen.api.llama_server import answers
from smidgen.api.llama_server.requests import EmbeddingRequest
from smidgen.api.manners import refusal
from smidgen.api.openai.embeddings import embedder
from smidgen.api.service import Service
from smidgen.errors import InvalidRequest, ModelNotPulled, UnknownModel


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["llama-server"])

    embeds = documented("Texts as vectors", answers.VECTORS, refused=ANSWERING)

    @router.post("/embedding", **embeds)
    @router.post("/embeddings", **embeds)
    async def embed(body: EmbeddingRequest, request: Request) -> Response:
        given = body.content if body.content is not None else body.input
        texts = [given] if isinstance(given, str) else given
        if not texts or not all(texts):
            raise InvalidRequest("content has no text to embed.", hint="Give at least one character.")
        if body.embd_normalize not in (None, 2):
            raise InvalidRequest("Vectors have length 1 here.", hint="Leave embd_normalize out, or give 2.")
        try:
            model = embedder(service, body.model)
        except (UnknownModel, ModelNotPulled):
            model = embedder(service, None)
        vectors = await unless_gone(request.receive, service.embed(model, texts))
        if vectors is None:
            return Response(status_code=499)
        told = [{"index": index, "embedding": [vector]} for index, vector in enumerate(vectors.vectors)]
        return Response(encode(told), media_type="application/json")

    refuses = refusing("Rank documents, which no model here does", 501)

    @router.post("/rerank", **refuses)
    @router.post("/reranking", **refuses)
    @router.post("/v1/rerank", **refuses)
    @router.post("/v1/reranking", **refuses)
    async def rerank(request: Request) -> Response:
        status, headers, body = refusal(
            request.url.path,
            501,
            "Documents can't be ranked here.",
            "Embed the query and the documents with /v1/embeddings, and compare the vectors.",
            code="not_supported",
        )
        return Response(body, status_code=status, headers=dict(headers))

    del embed, rerank
    return router
