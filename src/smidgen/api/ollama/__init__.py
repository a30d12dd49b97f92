"""Ollama's API, in lines of JSON. What a request can't have is told in the `smidgen` field of the last line.

requests    bodies as the clients send them
durations   keep_alive: numbers of seconds, and durations as Go writes them; pure
options     the options of a request: what reaches the engine, and what is told instead; pure
translate   messages and formats as an agent takes them; pure
names       which model a name stands for
headers     what a model is, from its file's header, read once
lines       the lines of an answer; answers: schemas of what goes back
chat, generate   /api/chat and /api/generate; loading: the ones that only load or unload
embedding   /api/embed and /api/embeddings
models      what is here and in memory: list, show, ps; copy and delete; what isn't supported
pulling     /api/pull
front       `/`: the page for browsers, "Ollama is running" for others
"""

from __future__ import annotations

from fastapi import APIRouter

from smidgen.api.ollama import chat, embedding, front, generate, models, pulling, unsupported
from smidgen.api.ollama.headers import Headers
from smidgen.api.service import Service


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["Ollama"])
    headers = Headers()
    router.include_router(front.routes())
    router.include_router(chat.routes(service))
    router.include_router(generate.routes(service, headers))
    router.include_router(embedding.routes(service))
    router.include_router(models.routes(service, headers))
    router.include_router(pulling.routes(service))
    router.include_router(unsupported.routes())
    return router
