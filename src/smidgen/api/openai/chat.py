"""/v1/chat/completions: an agent's run with the client's own tools, whole or as a stream of chunks; `n` runs for `n`
answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.api.delivery import PATIENCE_S, Streamed, abandoned_with, comment, encode, sse
from smidgen.api.documented import ANSWERING, EVENTS, documented
from smidgen.api.openai import answers, shapes
from smidgen.api.openai.requests import ChatRequest
from smidgen.api.openai.several import Numbered, Several, ended
from smidgen.api.openai.translate import SEEDS, Translated, translated
from smidgen.api.service import Service, Told, fresh_seed, new_id, told_headers
from smidgen.api.streams import Stream
from smidgen.events import AgentEvent, Failed, Finished, Prefilled, TextDelta, TokenLogprob, ToolCalled
from smidgen.messages import ToolCall


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post(
        "/v1/chat/completions",
        **documented("Answer a conversation", answers.CHAT, stream=EVENTS, refused=ANSWERING),
    )
    async def chat(body: ChatRequest, request: Request) -> Response:
        model = service.model(body.model)
        wanted = translated(body)
        count = body.n or 1
        several = Several([_start(service, model, wanted, index) for index in range(count)], service.serve.streams)
        if body.stream:
            async with abandoned_with(request.receive, several):
                await several.begin(PATIENCE_S)
            return Streamed(several, ChatWriter(body, wanted, service.runtime.name_of(model)))
        choices = await ended(request.receive, several, count)
        if choices is None:
            return Response(status_code=499)
        answer = completion(choices, body, wanted)
        return Response(encode(answer), media_type="application/json", headers=dict(told_headers(choices[0][1])))

    del chat
    return router


def _start(service: Service, model: str, wanted: Translated, index: int) -> Callable[[], Stream]:
    """Each answer has a seed of its own, the first the one that was given."""
    options = dict(wanted.options)
    if "seed" in options:
        options["seed"] = (options["seed"] + index) % SEEDS
    elif index:
        options["seed"] = fresh_seed()  # also where the first one has none
    return lambda: service.chat(model, wanted.messages, wanted.tools, **options)


def completion(
    choices: Sequence[tuple[Sequence[AgentEvent], Finished]], body: ChatRequest, wanted: Translated
) -> dict[str, Any]:
    ends = [end for _, end in choices]
    events = [event for told, _ in choices for event in told]
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": ends[0].model,
        "choices": [_choice(index, told, end, body) for index, (told, end) in enumerate(choices)],
        "usage": shapes.usage(shapes.usage_of(ends, len(ends))),
        "timings": shapes.timings_of(ends),
        "smidgen": _told(ends, events, body, wanted),
    }


def _told(ends: Sequence[Finished], events: Sequence[AgentEvent], body: ChatRequest, wanted: Translated) -> Told:
    constrained = "constraint" in wanted.options
    return shapes.told_of(ends, events, wanted.ignored, logprobs=bool(body.logprobs), constrained=constrained)


def _choice(index: int, events: Sequence[AgentEvent], end: Finished, body: ChatRequest) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if end.wanted else end.text, "refusal": None}
    if end.wanted:
        message |= _calls(end.wanted, body)
    logprobs = shapes.logprobs(tokens_of(events), body.top_logprobs or 0) if body.logprobs else None
    return {"index": index, "message": message, "finish_reason": _reason(end, body), "logprobs": logprobs}


def _calls(calls: Sequence[ToolCall], body: ChatRequest) -> dict[str, Any]:
    if body.legacy:
        return {"function_call": shapes.function_call(calls[0])}
    return {"tool_calls": [shapes.call(call, new_id("call_")) for call in calls]}


def _reason(end: Finished, body: ChatRequest) -> str:
    reason = shapes.finish_reason(end.finish_reason)
    return "function_call" if body.legacy and reason == "tool_calls" else reason


def tokens_of(events: Sequence[AgentEvent]) -> list[TokenLogprob]:
    return [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]


class ChatWriter:
    """Events as chunks. Tool calls come whole, each in a chunk of its own."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, body: ChatRequest, wanted: Translated, model: str) -> None:
        self._body = body
        self._wanted = wanted
        self._names = {tool.spec.name for tool in wanted.tools}
        self._noted: dict[int, list[AgentEvent]] = {}
        self._calls: dict[int, int] = {}
        self._ends: dict[int, Finished] = {}
        self._began = time.monotonic()
        self._base: dict[str, Any] = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._uncounted = {"usage": None} if body.counts else {}

    def begin(self) -> bytes:
        return b"".join(self._chunk(index, {"role": "assistant", "content": ""}) for index in range(self._body.n or 1))

    def feed(self, events: Sequence[Numbered]) -> bytes:
        for index, event in events:
            if isinstance(event, shapes.NOTED):
                self._noted.setdefault(index, []).append(event)
        return b"".join(self._said(index, event) for index, event in events)

    def _said(self, index: int, event: AgentEvent) -> bytes:
        match event:
            case TextDelta():
                extra: dict[str, Any] = {}
                if self._body.logprobs:
                    extra["logprobs"] = shapes.logprobs(event.logprobs, self._body.top_logprobs or 0)
                return self._chunk(index, {"content": event.text}, **extra)
            case ToolCalled() if event.call.name in self._names:
                return self._called(index, event.call)
            case Prefilled() if self._body.return_progress:
                progress = shapes.progress(event, time.monotonic() - self._began)
                return self._sent([_delta(index, {})], prompt_progress=progress)
            case Finished():
                return self._ended(index, event)
            case Failed():
                return sse(shapes.error(event.error))
            case _:
                return b""

    def _called(self, index: int, call: ToolCall) -> bytes:
        if self._body.legacy:
            return self._chunk(index, {"function_call": shapes.function_call(call)})
        number = self._calls.get(index, 0)
        self._calls[index] = number + 1
        return self._chunk(index, {"tool_calls": [{"index": number, **shapes.call(call, new_id("call_"))}]})

    def _ended(self, index: int, end: Finished) -> bytes:
        self._ends[index] = end
        told = _told([end], self._noted.get(index, ()), self._body, self._wanted)
        timings = shapes.timings(end.usage, end.timings)
        return self._sent([_delta(index, {}, _reason(end, self._body))], timings=timings, smidgen=told)

    def _chunk(self, index: int, delta: dict[str, Any], **extra: Any) -> bytes:
        return self._sent([{**_delta(index, delta), **extra}])

    def _sent(self, choices: list[dict[str, Any]], **extra: Any) -> bytes:
        return sse({**self._base, "choices": choices, **self._uncounted, **extra})

    def quiet(self) -> bytes:
        return comment("still working")

    def crashed(self, error: BaseException) -> bytes:
        return sse(shapes.error(shapes.crash(error)))

    def end(self) -> bytes:
        if not self._body.counts or not self._ends:
            return b"data: [DONE]\n\n"
        ends = list(self._ends.values())
        used = shapes.usage(shapes.usage_of(ends, len(ends)))
        return sse({**self._base, "choices": [], "usage": used}) + b"data: [DONE]\n\n"


def _delta(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": reason}
