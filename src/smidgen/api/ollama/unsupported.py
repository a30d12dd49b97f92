"""What Ollama can do and smidgen can't, refused in words."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

MAKING = "Models can't be made here: smidgen runs GGUF files as they are. `smidgen models convert` makes one."
PUSHING = "Models can't be pushed from here."


def routes() -> APIRouter:
    router = APIRouter()

    @router.post("/api/create", status_code=501)
    async def create() -> Response:
        raise HTTPException(501, MAKING)

    @router.post("/api/push", status_code=501)
    async def push() -> Response:
        raise HTTPException(501, PUSHING)

    @router.head("/api/blobs/{digest}", status_code=501)
    @router.post("/api/blobs/{digest}", status_code=501)
    async def blob(digest: str) -> Response:
        del digest
        raise HTTPException(501, MAKING)

    del create, push, blob
    return router
