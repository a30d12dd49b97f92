"""/api/chat: an agent's run with the client's own tools."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.documented import ANSWERING, LINES, documented
from smidgen.api.ollama import answers, translate
from smidgen.api.ollama.durations import keep
from smidgen.api.ollama.lines import Asked, answered, context_of
from smidgen.api.ollama.loading import only_loaded
from smidgen.api.ollama.names import named
from smidgen.api.ollama.requests import ChatRequest
from smidgen.api.service import Service


def routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post("/api/chat", **documented("Answer a conversation", answers.CHAT, stream=LINES, refused=ANSWERING))
    async def chat(body: ChatRequest, request: Request) -> Response:
        model = await asyncio.to_thread(named, service, body.asked)
        keep_s = keep(body.keep_alive)
        if not body.messages:
            said = {"message": {"role": "assistant", "content": ""}}
            return await only_loaded(service, request, model, keep_s, said, body.streams)
        wanted = translate.chat(body)
        asked = Asked(
            "chat",
            body,
            service.runtime.name_of(model),
            context_of(service),
            ignored=wanted.ignored,
            tools=[tool.spec.name for tool in wanted.tools],
        )
        stream = service.chat(model, wanted.messages, wanted.tools, keep_s=keep_s, **wanted.options)
        return await answered(request, stream, asked, streams=body.streams)

    del chat
    return router
