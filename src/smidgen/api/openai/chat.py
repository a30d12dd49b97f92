"""/v1/chat/completions: an agent's run with the client's own tools, whole or as a stream of chunks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.delivery import PATIENCE_S, Streamed, comment, encode, sse, whole
from smidgen.api.openai import shapes
from smidgen.api.openai.requests import ChatRequest
from smidgen.api.openai.translate import Translated, translated
from smidgen.api.service import Service, Told, new_id, told, told_headers
from smidgen.errors import ErrorInfo, SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta, TokenLogprob, ToolCalled


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post("/v1/chat/completions")
    async def chat(body: ChatRequest, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        model = service.model(body.model)
        wanted = translated(body)
        stream = service.chat(model, wanted.messages, wanted.tools, **wanted.options)
        try:
            await stream.begin(PATIENCE_S if body.stream else None)
        except BaseException:
            await stream.aclose()
            raise
        if body.stream:
            return Streamed(stream, ChatWriter(body, wanted, service.runtime.name_of(model)))
        events, end = await whole(request.receive, stream)
        if end is None:
            return Response(status_code=499)
        answer = completion(events, end, body, wanted)
        return Response(encode(answer), media_type="application/json", headers=dict(told_headers(end)))

    return router


def completion(events: Sequence[AgentEvent], end: Finished, body: ChatRequest, wanted: Translated) -> dict[str, Any]:
    calls = [shapes.call(call, new_id("call_")) for call in end.wanted]
    message: dict[str, Any] = {"role": "assistant", "content": None if calls else end.text, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": shapes.finish_reason(end.finish_reason)}
    choice["logprobs"] = shapes.logprobs(tokens_of(events), body.top_logprobs or 0) if body.logprobs else None
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": end.model,
        "choices": [choice],
        "usage": shapes.usage(end.usage),
        "timings": shapes.timings(end.usage, end.timings),
        "smidgen": _told(end, events, wanted),
    }


def tokens_of(events: Sequence[AgentEvent]) -> list[TokenLogprob]:
    return [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]


def _told(end: Finished, events: Sequence[AgentEvent], wanted: Translated) -> Told:
    tell = told(end, events)
    return msgspec.structs.replace(tell, warnings=(*tell.warnings, *wanted.ignored))


class ChatWriter:
    """Events as chunks. Tool calls come whole, each in a chunk of its own."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, body: ChatRequest, wanted: Translated, model: str) -> None:
        self._body = body
        self._wanted = wanted
        self._notices: list[AgentEvent] = []
        self._calls = 0
        self._base: dict[str, Any] = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def begin(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def feed(self, events: Sequence[AgentEvent]) -> bytes:
        return b"".join(self._said(event) for event in events)

    def _said(self, event: AgentEvent) -> bytes:
        match event:
            case TextDelta():
                extra: dict[str, Any] = {}
                if self._body.logprobs:
                    extra["logprobs"] = shapes.logprobs(event.logprobs, self._body.top_logprobs or 0)
                return self._chunk({"content": event.text}, **extra)
            case ToolCalled() if event.call.name in {tool.spec.name for tool in self._wanted.tools}:
                call = {"index": self._calls, **shapes.call(event.call, new_id("call_"))}
                self._calls += 1
                return self._chunk({"tool_calls": [call]})
            case Notice():
                self._notices.append(event)
                return b""
            case Finished():
                return self._ended(event)
            case Failed():
                return sse(shapes.error(event.error))
            case _:
                return b""

    def _ended(self, end: Finished) -> bytes:
        extra = {
            "timings": shapes.timings(end.usage, end.timings),
            "smidgen": _told(end, self._notices, self._wanted),
        }
        last = sse({**self._base, "choices": [self._choice({}, shapes.finish_reason(end.finish_reason))], **extra})
        options = self._body.stream_options
        if options is not None and options.include_usage:
            last += sse({**self._base, "choices": [], "usage": shapes.usage(end.usage)})
        return last

    def _chunk(self, delta: dict[str, Any], **extra: Any) -> bytes:
        return sse({**self._base, "choices": [{**self._choice(delta, None), **extra}]})

    @staticmethod
    def _choice(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": reason}

    def quiet(self) -> bytes:
        return comment("still working")

    def crashed(self, error: BaseException) -> bytes:
        info = (
            error.info() if isinstance(error, SmidgenError) else ErrorInfo(code="internal", message="Internal error.")
        )
        return sse(shapes.error(info))

    def end(self) -> bytes:
        return b"data: [DONE]\n\n"
