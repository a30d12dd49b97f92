"""What goes back to OpenAI's clients, piece by piece. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from smidgen.api.faults import status_of, told
from smidgen.errors import ErrorInfo
from smidgen.events import FinishReason, TokenLogprob
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


def call(wanted: ToolCall, identifier: str) -> dict[str, Any]:
    arguments = json.dumps(wanted.arguments, ensure_ascii=False)
    return {"id": identifier, "type": "function", "function": {"name": wanted.name, "arguments": arguments}}


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


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(logprob, -9999.0), "bytes": list(text.encode())}


def error(info: ErrorInfo) -> dict[str, Any]:
    kind = "invalid_request_error" if status_of(info) < 500 else "server_error"
    return {"error": {"message": told(info), "type": kind, "param": None, "code": info.code}}
