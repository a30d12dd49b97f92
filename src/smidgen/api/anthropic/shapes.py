"""What goes back to Anthropic's clients, piece by piece. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from smidgen.api.delivery import sse
from smidgen.api.faults import status_of
from smidgen.api.manners import refusal
from smidgen.api.service import Told, new_id, told
from smidgen.errors import ErrorInfo
from smidgen.events import AgentEvent, Finished
from smidgen.messages import ToolCall, Usage

PATH = "/v1/messages"
REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "deadline": "max_tokens",
    "cancelled": "end_turn",
    "tool_calls": "tool_use",
}


def stop_reason(end: Finished) -> dict[str, str | None]:
    if end.stop_string:
        return {"stop_reason": "stop_sequence", "stop_sequence": end.stop_string}
    return {"stop_reason": REASONS[end.finish_reason], "stop_sequence": None}


def usage(used: Usage) -> dict[str, int]:
    """Tokens read from the cache count apart from the other ones of the prompt."""
    return {
        "input_tokens": used.prompt_tokens - used.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": used.cached_tokens,
        "output_tokens": used.completion_tokens,
    }


def message(model: str, content: list[dict[str, Any]], used: Usage) -> dict[str, Any]:
    """As it begins: what ended it isn't known yet."""
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(used),
    }


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def call_block(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": new_id("toolu_"), "name": call.name, "input": call.arguments}


def told_of(end: Finished, events: Sequence[AgentEvent], ignored: Sequence[str]) -> Told:
    """The `smidgen` field. ignored: what of the request wasn't acted on."""
    tell = told(end, events)
    late = ("The time limit ended the answer.",) if end.finish_reason == "deadline" else ()
    return msgspec.structs.replace(tell, warnings=tuple(dict.fromkeys((*tell.warnings, *late, *ignored))))


def event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def error_event(error: ErrorInfo) -> bytes:
    """In the midst of a stream, whose status has long been sent."""
    _, _, body = refusal(PATH, status_of(error), error.message, error.hint, code=error.code)
    return b"event: error\ndata: " + body + b"\n\n"
