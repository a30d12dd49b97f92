"""What goes back to clients of the responses API: output items, usage, the response around them. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from smidgen.api.openai import shapes
from smidgen.api.openai.response_requests import ResponseRequest, format_of
from smidgen.api.service import Told
from smidgen.events import Finished, TokenLogprob
from smidgen.messages import Message, ToolCall, Usage


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What of a response is known before it is answered. created: seconds since 1970."""

    id: str
    created: int
    model: str
    request: ResponseRequest


def response(
    frame: Frame,
    output: Sequence[dict[str, Any]] = (),
    *,
    status: str = "in_progress",
    usage: Usage | None = None,
    error: dict[str, Any] | None = None,
    told: Told | None = None,
) -> dict[str, Any]:
    asked = frame.request
    body: dict[str, Any] = {
        "id": frame.id,
        "object": "response",
        "created_at": frame.created,
        "status": status,
        "background": False,
        "completed_at": int(time.time()) if status == "completed" else None,
        "error": error,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "model": frame.model,
        "output": list(output),
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        "reasoning": {"effort": None, "summary": None},
        "store": asked.kept,
        "temperature": asked.temperature,
        "text": {"format": format_of(asked)},
        "tool_choice": asked.tool_choice or "auto",
        "tools": asked.tools or [],
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": asked.top_p,
        "truncation": "auto",
        "usage": None if usage is None else used(usage),
        "user": asked.user,
        "metadata": asked.metadata or {},
    }
    return body if told is None else {**body, "smidgen": told}


def used(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def status_of(end: Finished) -> str:
    return "incomplete" if end.finish_reason in ("length", "deadline") else "completed"


def message(identifier: str, content: Sequence[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {"id": identifier, "type": "message", "status": status, "role": "assistant", "content": list(content)}


def text_part(text: str, logprobs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def logprobs(tokens: Sequence[TokenLogprob], asked: ResponseRequest) -> list[dict[str, Any]]:
    """[] if they weren't asked for."""
    return shapes.logprobs(tokens, asked.top_logprobs or 0)["content"] if asked.logprobs else []


def call_item(call: ToolCall, identifier: str, call_id: str, *, begun: bool = False) -> dict[str, Any]:
    """begun: its arguments come later."""
    return {
        "id": identifier,
        "type": "function_call",
        "status": "in_progress" if begun else "completed",
        "call_id": call_id,
        "name": call.name,
        "arguments": "" if begun else shapes.function_call(call)["arguments"],
    }


def turn(text: str, calls: Sequence[ToolCall]) -> Message:
    """The answer as part of the conversation. The calls have the ids under which their results will come."""
    return Message(role="assistant", content=text, tool_calls=tuple(calls))
