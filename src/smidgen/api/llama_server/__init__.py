"""llama-server's clients, and the editors that complete code: what they send works unchanged.

requests     bodies that they send
sampling     what of a body decides how tokens are drawn, and what has no effect here
runs         one answer to a request: its prompt, its model, what it must be told
completion   /completion and /completions, whole and as a stream
infill       /infill: code around a cursor; pace: how fast prompts are read, and which parts are in the cache
limits       an end of completions after a line, by time or by indentation
text         /tokenize, /detokenize, /apply-template; pieces: texts of single tokens
vectors      /embedding and /embeddings, as they were before OpenAI's
status       /health, /props, /slots, /metrics, adapters
shapes       what goes back; answers: its schemas
"""

from __future__ import annotations

from fastapi import APIRouter

from smidgen.api.llama_server import completion, infill, status, text, vectors
from smidgen.api.service import Service


def routes(service: Service) -> APIRouter:
    router = APIRouter()
    for family in (completion, infill, text, vectors, status):
        router.include_router(family.routes(service))
    return router
