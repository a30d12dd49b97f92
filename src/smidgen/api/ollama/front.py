"""`/`: browsers get the page, Ollama's clients hear that it is running."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import PlainTextResponse, Response

from smidgen.api.documented import TEXT, documented
from smidgen.api.page import page_response

OLLAMA_PORT = 11434
RUNNING = "Ollama is running"
FRONT = documented(
    "The page, or a word that the server runs", TEXT, kind="text/plain", stream="text/html", also={304: None}
)


def routes() -> APIRouter:
    router = APIRouter()

    @router.get("/", **FRONT)
    @router.head("/", include_in_schema=False)
    async def front(
        request: Request,
        accept: Annotated[str, Header()] = "",
        if_none_match: Annotated[str, Header()] = "",
    ) -> Response:
        server = request.scope.get("server")
        if "text/html" in accept and (server is None or server[1] != OLLAMA_PORT):
            response = page_response(if_none_match)
        else:
            response = PlainTextResponse(RUNNING)
        response.headers["vary"] = "accept"
        return response

    del front
    return router
