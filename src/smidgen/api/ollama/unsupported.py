"""What Ollama can do and smidgen can't, refused in words."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from smidgen.api.documented import refusing

MAKING = "Models can't be made here: smidgen runs GGUF files as they are. `smidgen models convert` makes one."
PUSHING = "Models can't be pushed from here."


def routes() -> APIRouter:
    router = APIRouter()

    @router.post("/api/create", **refusing("Make a model, which can't be done here", 501))
    async def create() -> Response:
        raise HTTPException(501, MAKING)

    @router.post("/api/push", **refusing("Send a model away, which can't be done here", 501))
    async def push() -> Response:
        raise HTTPException(501, PUSHING)

    @router.head("/api/blobs/{digest}", include_in_schema=False, status_code=501)
    @router.post("/api/blobs/{digest}", **refusing("Take a file for a model, which can't be done here", 501))
    async def blob(digest: str) -> Response:
        del digest
        raise HTTPException(501, MAKING)

    del create, push, blob
    return router
