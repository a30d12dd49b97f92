"""/v1/responses: conversations with function tools, and the answers that later requests refer to."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.delivery import PATIENCE_S, Streamed, abandoned_with, encode, whole
from smidgen.api.documented import ANSWERING, EVENTS, documented
from smidgen.api.openai import answers
from smidgen.api.openai.response_events import ResponseWriter
from smidgen.api.openai.response_requests import ResponseRequest, asked, with_names
from smidgen.api.openai.response_shapes import Frame
from smidgen.api.openai.response_store import Kept, ResponseStore
from smidgen.api.service import Service, new_id, told_headers
from smidgen.messages import Message


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])
    store = ResponseStore()

    @router.post(
        "/v1/responses",
        **documented("Answer, and keep the answer", answers.RESPONSE, stream=EVENTS, refused=ANSWERING),
    )
    async def respond(body: ResponseRequest, request: Request) -> Response:
        model = service.model(body.model)
        before = store.get(body.previous_response_id).conversation if body.previous_response_id else ()
        it = asked(body, before)
        conversation = with_names(before, it.wanted.messages)
        frame = Frame(id=new_id("resp_"), created=int(time.time()), model=service.runtime.name_of(model), request=body)

        def keep(answer: dict[str, Any], turn: Message) -> None:
            if body.kept:
                said = (*before, *with_names(before, it.said), turn)
                store.keep(frame.id, Kept.of(answer, said))

        writer = ResponseWriter(frame, it.wanted, keep)
        stream = service.chat(model, conversation, it.wanted.tools, kind="response", **it.wanted.options)
        if body.stream:
            try:
                async with abandoned_with(request.receive, stream):
                    await stream.begin(PATIENCE_S)
            except BaseException:
                await stream.aclose()
                raise
            return Streamed(stream, writer)
        events, end = await whole(request.receive, stream)
        if end is None:
            return Response(status_code=499)
        writer.feed(events)
        return Response(encode(writer.body), media_type="application/json", headers=dict(told_headers(end)))

    @router.get("/v1/responses/{identifier}", **documented("A kept answer", answers.RESPONSE, refused=(404,)))
    async def kept(identifier: str) -> Response:
        return Response(encode(store.get(identifier).body), media_type="application/json")

    @router.delete("/v1/responses/{identifier}", **documented("Forget an answer", answers.FORGOTTEN, refused=(404,)))
    async def forget(identifier: str) -> Response:
        store.forget(identifier)
        gone = {"id": identifier, "object": "response", "deleted": True}
        return Response(encode(gone), media_type="application/json")

    del respond, kept, forget
    return router
