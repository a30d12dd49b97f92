"""Requests without a prompt: they load a model, or with keep_alive 0 let go of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from smidgen.api.delivery import encode, line, unless_gone
from smidgen.api.ollama.lines import MEDIA_TYPE, nanoseconds, now
from smidgen.api.service import Keep, Service

UNLOAD_S = 10.0
"""Seconds that are waited until a model is closed; if it takes longer, it is closed all the same."""


async def only_loaded(
    service: Service, request: Request, model: str, keep_s: Keep, said: Any, streams: bool
) -> Response:
    """said: what the line says where an answer would be. Raises what loading the model raises."""
    began = time.monotonic()
    if keep_s == 0:
        await unloaded(service, model)
        reason = "unload"
    else:
        done = await unless_gone(request.receive, _loaded(service, model, keep_s))
        if done is None:
            return Response(status_code=499)
        reason = "load"
    spent = nanoseconds(time.monotonic() - began)
    told = {
        "model": service.runtime.name_of(model),
        "created_at": now(),
        **said,
        "done": True,
        "done_reason": reason,
        "total_duration": spent,
        "load_duration": spent if reason == "load" else 0,
    }
    if streams:
        return Response(line(told), media_type=MEDIA_TYPE)
    return Response(encode(told), media_type="application/json")


async def _loaded(service: Service, model: str, keep_s: Keep) -> bool:
    await service.load(model, keep_s)
    return True


async def unloaded(service: Service, model: str) -> None:
    """Closes a model as soon as nobody uses it, and waits for that unless somebody does."""
    service.keep(model, 0.0)
    name = service.runtime.name_of(model)
    if any(held.name == name and held.users for held in service.runtime.held()):
        return
    try:
        async with asyncio.timeout(UNLOAD_S):
            await service.runtime.aunload(model)
    except TimeoutError:
        return
