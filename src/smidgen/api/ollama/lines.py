"""The lines of an answer: pieces of text or calls, then one with figures. An answer that comes whole is one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from fastapi import Request
from fastapi.responses import Response

from smidgen.api.delivery import PATIENCE_S, Streamed, encode, line, whole
from smidgen.api.faults import told as explained
from smidgen.api.ollama.options import context_told
from smidgen.api.ollama.requests import Generating, Options
from smidgen.api.openai import shapes
from smidgen.api.service import Service, Told, new_id, told, told_headers
from smidgen.api.streams import Stream
from smidgen.errors import ErrorInfo
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta, TokenLogprob, ToolCalled
from smidgen.messages import Timings, ToolCall

MEDIA_TYPE = "application/x-ndjson"
REASONS = {"stop": "stop", "length": "length", "deadline": "length", "cancelled": "stop", "tool_calls": "stop"}


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def durations(total_s: float, spent: Timings) -> dict[str, int]:
    """load_duration: all that was neither reading the prompt nor writing: waiting for a turn, loading, choosing."""
    load_s = max(0.0, total_s - spent.prefill_s - spent.decode_s)
    return {"total_duration": nanoseconds(total_s), "load_duration": nanoseconds(load_s)}


class Asked:
    """One request to be answered in lines. said: text and calls in the place where this endpoint has them. context:
    tokens that a model by this name was opened with, 0 if that isn't known. tools: names of the client's."""

    def __init__(
        self,
        kind: Literal["chat", "generate"],
        body: Generating,
        model: str,
        context: Callable[[str], int],
        *,
        ignored: Sequence[str] = (),
        tools: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.tools = frozenset(tools)
        self._kind = kind
        self._body = body
        self._context = context
        self._ignored = tuple(ignored)
        self._began = time.monotonic()

    def piece(self, text: str = "", calls: Sequence[ToolCall] = (), tokens: Sequence[TokenLogprob] = ()) -> Any:
        said: dict[str, Any] = {"response": text}
        if self._kind == "chat":
            message: dict[str, Any] = {"role": "assistant", "content": text}
            if calls:
                message["tool_calls"] = [_call(index, call) for index, call in enumerate(calls)]
            said = {"message": message}
        if self._body.logprobs and tokens:
            said["logprobs"] = shapes.logprobs(tokens, self._body.top_logprobs or 0)["content"]
        return {"model": self.model, "created_at": now(), **said, "done": False}

    def done(self, piece: Any, end: Finished, events: Sequence[AgentEvent]) -> dict[str, Any]:
        """piece: what the last line says, all if the answer comes whole."""
        total_s = time.monotonic() - self._began
        return {
            **piece,
            "model": end.model,
            "done": True,
            "done_reason": REASONS[end.finish_reason],
            **durations(total_s, end.timings),
            "prompt_eval_count": end.usage.prompt_tokens,
            "prompt_eval_duration": nanoseconds(end.timings.prefill_s),
            "eval_count": end.usage.completion_tokens,
            "eval_duration": nanoseconds(end.timings.decode_s),
            "smidgen": self._told(end, events),
        }

    def _told(self, end: Finished, events: Sequence[AgentEvent]) -> Told:
        tell = told(end, events)
        more = list(self._ignored)
        more += context_told((self._body.options or Options()).num_ctx, self._context(end.model))
        if end.finish_reason == "deadline":
            more.append("The time limit ended the answer.")
        if self._body.logprobs and end.usage.forced_tokens:
            more.append("Tokens that the schema left no choice about have no logprobs.")
        return msgspec.structs.replace(tell, warnings=tuple(dict.fromkeys((*tell.warnings, *more))))


def _call(index: int, call: ToolCall) -> dict[str, Any]:
    return {"id": new_id("call_"), "function": {"index": index, "name": call.name, "arguments": call.arguments}}


def context_of(service: Service) -> Callable[[str], int]:
    def find(name: str) -> int:
        return next((model.context for model in service.runtime.held() if model.name == name), 0)

    return find


async def answered(request: Request, stream: Stream, asked: Asked, *, streams: bool) -> Response:
    """Raises the typed error of a run that failed before its answer began."""
    if streams:
        try:
            await stream.begin(PATIENCE_S)
        except BaseException:
            await stream.aclose()
            raise
        return Streamed(stream, LineWriter(asked))
    events, end = await whole(request.receive, stream)
    if end is None:
        return Response(status_code=499)
    tokens = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]
    last = asked.done(asked.piece(end.text, end.wanted, tokens), end, events)
    return Response(encode(last), media_type="application/json", headers=dict(told_headers(end)))


class LineWriter:
    """Calls come whole, each in a line of its own. A piece without text is the sign of life."""

    media_type = MEDIA_TYPE

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._notices: list[AgentEvent] = []

    def begin(self) -> bytes:
        return b""

    def feed(self, events: Sequence[AgentEvent]) -> bytes:
        return b"".join(self._said(event) for event in events)

    def _said(self, event: AgentEvent) -> bytes:
        match event:
            case TextDelta():
                return line(self._asked.piece(event.text, tokens=event.logprobs))
            case ToolCalled() if event.call.name in self._asked.tools:
                return line(self._asked.piece(calls=[event.call]))
            case Notice():
                self._notices.append(event)
                return b""
            case Finished():
                return line(self._asked.done(self._asked.piece(), event, self._notices))
            case Failed():
                return failed(event.error)
            case _:
                return b""

    def quiet(self) -> bytes:
        return line(self._asked.piece())

    def crashed(self, error: BaseException) -> bytes:
        return failed(shapes.crash(error))

    def end(self) -> bytes:
        return b""


def failed(error: ErrorInfo) -> bytes:
    """Told in the midst of a stream, whose status has long been sent."""
    return line({"error": explained(error)})
