"""Models that could be pulled: the catalogue, for whoever lets a person choose."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response

from smidgen.api.delivery import encode
from smidgen.api.documented import documented
from smidgen.api.openai.answers import CATALOGUE
from smidgen.api.service import Service
from smidgen.models.catalog import builtin


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["Models"])

    @router.get("/v1/models/catalog", **documented("Models that could be pulled", CATALOGUE))
    async def catalog() -> Response:
        here = {file.name for file in await asyncio.to_thread(service.installed)}
        entries = [
            {
                "name": entry.name,
                "bytes": entry.bytes,
                "license": entry.license,
                "terms": entry.terms,
                "publisher": entry.publisher,
                "kind": entry.kind,
                "context": entry.context,
                "quantization": entry.quantization,
                "installed": entry.name in here,
            }
            for entry in builtin().models
        ]
        return Response(encode({"models": entries}), media_type="application/json")

    del catalog
    return router
