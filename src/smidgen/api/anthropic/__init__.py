"""Anthropic's messages: answers with the client's own tools, whole or as events, and tokens counted beforehand.

requests   bodies as the clients send them
translate  a body as what an agent takes, and what of it can't be acted on; pure
shapes     what goes back, piece by piece; answers: its schemas; pure
answering  /v1/messages and its events
counting   /v1/messages/count_tokens
"""

from __future__ import annotations

from fastapi import APIRouter

from smidgen.api.anthropic import answering, counting
from smidgen.api.service import Service


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["Anthropic"])
    router.include_router(answering.routes(service))
    router.include_router(counting.routes(service))
    return router
