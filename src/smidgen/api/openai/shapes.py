"""What goes back to OpenAI's clients, piece by piece. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from smidgen.api.faults import status_of
from smidgen.api.faults import told as explained
from smidgen.api.service import Told, told
from smidgen.errors import ErrorInfo, SmidgenError
from smidgen.events import AgentEvent, Asked, Finished, FinishReason, Notice, Prefilled, TokenLogprob
from smidgen.messages import Timings, ToolCall, Usage

FINISH = {"stop": "stop", "length": "length", "deadline": "length", "cancelled": "stop", "tool_calls": "tool_calls"}


def finish_reason(reason: FinishReason) -> str:
    return FINISH[reason]


def usage(used: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }


def usage_of(ends: Sequence[Finished], answers: int = 1) -> Usage:
    """Of the choices of one request: each prompt counts once, whatever the number of its answers."""
    prompts = ends[::answers]
    return Usage(
        prompt_tokens=sum(end.usage.prompt_tokens for end in prompts),
        cached_tokens=sum(end.usage.cached_tokens for end in prompts),
        completion_tokens=sum(end.usage.completion_tokens for end in ends),
        forced_tokens=sum(end.usage.forced_tokens for end in ends),
    )


def timings(used: Usage, spent: Timings) -> dict[str, Any]:
    """As llama-server tells them, in milliseconds."""
    prompt, predicted = used.prompt_tokens - used.cached_tokens, used.completion_tokens
    prompt_ms, predicted_ms = spent.prefill_s * 1000, spent.decode_s * 1000
    return {
        "cache_n": used.cached_tokens,
        "prompt_n": prompt,
        "prompt_ms": round(prompt_ms, 3),
        "prompt_per_token_ms": round(prompt_ms / prompt, 3) if prompt else 0.0,
        "prompt_per_second": round(prompt / spent.prefill_s, 3) if spent.prefill_s else 0.0,
        "predicted_n": predicted,
        "predicted_ms": round(predicted_ms, 3),
        "predicted_per_token_ms": round(predicted_ms / predicted, 3) if predicted else 0.0,
        "predicted_per_second": round(predicted / spent.decode_s, 3) if spent.decode_s else 0.0,
    }


def timings_of(ends: Sequence[Finished]) -> dict[str, Any]:
    """Of all runs together."""
    return timings(sum((end.usage for end in ends), Usage()), sum((end.timings for end in ends), Timings()))


def progress(read: Prefilled, since_s: float) -> dict[str, Any]:
    """As llama-server tells how far it is with a prompt."""
    return {
        "total": read.prompt_tokens,
        "cache": read.cached_tokens,
        "processed": read.prompt_tokens,
        "time_ms": round(since_s * 1000),
    }


NOTED = (Notice, Asked)
"""Events that `told_of` wants to see, from whoever doesn't keep them all."""


def told_of(
    ends: Sequence[Finished],
    events: Sequence[AgentEvent],
    ignored: Sequence[str],
    *,
    logprobs: bool = False,
    constrained: bool = False,
) -> Told:
    """The `smidgen` field. ignored: what of the request wasn't acted on. logprobs: they were asked for. constrained:
    the answer was to match a schema."""
    tell = told(ends[0], events)
    more = [warning for end in ends[1:] for warning in end.warnings]
    if any(end.finish_reason == "deadline" for end in ends):
        more.append("The time limit ended the answer.")
    if constrained and any(isinstance(event, Asked) for event in events):
        more.append("The answer is a question, and not in the format that was asked for.")
    if constrained and any(end.strategy == "refusal" for end in ends):
        more.append("The answer says what went wrong, and is not in the format that was asked for.")
    if logprobs and any(end.usage.forced_tokens for end in ends):
        more.append("Tokens that the schema left no choice about have no logprobs.")
    return msgspec.structs.replace(tell, warnings=tuple(dict.fromkeys((*tell.warnings, *more, *ignored))))


def function_call(wanted: ToolCall) -> dict[str, Any]:
    """For clients from before there were tools."""
    return {"name": wanted.name, "arguments": json.dumps(wanted.arguments, ensure_ascii=False)}


def call(wanted: ToolCall, identifier: str) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": function_call(wanted)}


def logprobs(tokens: Sequence[TokenLogprob], top: int) -> dict[str, Any]:
    """top: alternatives that were asked for."""
    content = [
        {
            **_token(token.text, token.logprob),
            "top_logprobs": [_token(text, logprob) for text, logprob in token.top[:top]],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def finite(logprob: float) -> float:
    """JSON has no infinity."""
    return max(logprob, -9999.0)


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": finite(logprob), "bytes": list(text.encode())}


def error(info: ErrorInfo) -> dict[str, Any]:
    kind = "invalid_request_error" if status_of(info) < 500 else "server_error"
    param = info.details.get("param") or info.details.get("field")
    return {"error": {"message": explained(info), "type": kind, "param": param, "code": info.code}}


def crash(error: BaseException) -> ErrorInfo:
    """What went wrong in the midst of a stream, with nothing of the inside in it."""
    return error.info() if isinstance(error, SmidgenError) else ErrorInfo(code="internal", message="Internal error.")
