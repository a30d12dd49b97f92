"""/v1/messages: an agent's run with the client's own tools, whole or as events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.anthropic import answers, shapes
from smidgen.api.anthropic.requests import MessagesRequest
from smidgen.api.anthropic.translate import Translated, translated
from smidgen.api.delivery import PATIENCE_S, Streamed, encode, whole
from smidgen.api.documented import ANSWERING, EVENTS, documented
from smidgen.api.openai.shapes import crash
from smidgen.api.service import Service, told_headers
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta, ToolCalled
from smidgen.messages import ToolCall, Usage


def routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/messages",
        **documented("Answer a conversation", answers.MESSAGE, stream=EVENTS, refused=ANSWERING),
    )
    async def answer(body: MessagesRequest, request: Request) -> Response:
        model = service.model(body.model)
        wanted = translated(body)
        stream = service.chat(model, wanted.messages, wanted.tools, **wanted.options)
        if body.stream:
            try:
                await stream.begin(PATIENCE_S)
            except BaseException:
                await stream.aclose()
                raise
            return Streamed(stream, MessageWriter(wanted, service.runtime.name_of(model)))
        events, end = await whole(request.receive, stream)
        if end is None:
            return Response(status_code=499)
        told = encode(message(events, end, wanted))
        return Response(told, media_type="application/json", headers=dict(told_headers(end)))

    del answer
    return router


def message(events: Sequence[AgentEvent], end: Finished, wanted: Translated) -> dict[str, Any]:
    content = [shapes.text_block(end.text)] if end.text else []
    content += [shapes.call_block(call) for call in end.wanted]
    return {
        **shapes.message(end.model, content, end.usage),
        **shapes.stop_reason(end),
        "smidgen": shapes.told_of(end, events, wanted.ignored),
    }


class MessageWriter:
    """Events as Anthropic's. The arguments of a call come whole, in one piece. The tokens of the prompt are told at
    the end, where all of them are known."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, wanted: Translated, model: str) -> None:
        self._wanted = wanted
        self._model = model
        self._names = {tool.spec.name for tool in wanted.tools}
        self._notices: list[AgentEvent] = []
        self._blocks = 0
        self._in_text = False

    def begin(self) -> bytes:
        return shapes.event("message_start", message=shapes.message(self._model, [], Usage()))

    def feed(self, events: Sequence[AgentEvent]) -> bytes:
        return b"".join(self._said(event) for event in events)

    def _said(self, event: AgentEvent) -> bytes:
        match event:
            case TextDelta() if event.text:
                delta = {"type": "text_delta", "text": event.text}
                return self._opened() + shapes.event("content_block_delta", index=self._blocks, delta=delta)
            case ToolCalled() if event.call.name in self._names:
                return self._closed() + self._called(event.call)
            case Notice():
                self._notices.append(event)
                return b""
            case Finished():
                return self._closed() + self._ended(event)
            case Failed():
                return shapes.error_event(event.error)
            case _:
                return b""

    def _opened(self) -> bytes:
        """A block of text, unless one is open."""
        if self._in_text:
            return b""
        self._in_text = True
        return shapes.event("content_block_start", index=self._blocks, content_block=shapes.text_block(""))

    def _closed(self) -> bytes:
        if not self._in_text:
            return b""
        self._in_text = False
        return self._stopped()

    def _stopped(self) -> bytes:
        self._blocks += 1
        return shapes.event("content_block_stop", index=self._blocks - 1)

    def _called(self, call: ToolCall) -> bytes:
        block: dict[str, Any] = {**shapes.call_block(call), "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments, ensure_ascii=False)}
        start = shapes.event("content_block_start", index=self._blocks, content_block=block)
        return start + shapes.event("content_block_delta", index=self._blocks, delta=delta) + self._stopped()

    def _ended(self, end: Finished) -> bytes:
        told = shapes.told_of(end, self._notices, self._wanted.ignored)
        last = shapes.event("message_delta", delta=shapes.stop_reason(end), usage=shapes.usage(end.usage), smidgen=told)
        return last + shapes.event("message_stop")

    def quiet(self) -> bytes:
        return shapes.event("ping")

    def crashed(self, error: BaseException) -> bytes:
        return shapes.error_event(crash(error))

    def end(self) -> bytes:
        return b""
