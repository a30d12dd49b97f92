"""What goes back to llama-server's clients, piece by piece. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from smidgen.events import AgentEvent, Finished, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Timings, Usage

LEAST = -9999.0
"""Log-probability of what can't be: JSON has no infinity."""


def timings(used: Usage, spent: Timings) -> dict[str, Any]:
    """In milliseconds and tokens per second."""
    prompt, predicted = used.prompt_tokens - used.cached_tokens, used.completion_tokens
    return {
        "cache_n": used.cached_tokens,
        **_rate("prompt", prompt, spent.prefill_s),
        **_rate("predicted", predicted, spent.decode_s),
    }


def _rate(name: str, tokens: int, seconds: float) -> dict[str, Any]:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": round(seconds * 1000, 3),
        f"{name}_per_token_ms": round(seconds * 1000 / tokens, 3) if tokens else 0.0,
        f"{name}_per_second": round(tokens / seconds, 3) if seconds else 0.0,
    }


def stop_type(end: Finished) -> str:
    if end.finish_reason == "stop":
        return "word" if end.stop_string else "eos"
    return "limit" if end.finish_reason in ("length", "deadline") else "none"


def settings(request: GenerateRequest, context: int) -> dict[str, Any]:
    """How the text was drawn."""
    return {
        "n_predict": -1 if request.max_tokens is None else request.max_tokens,
        "n_ctx": context,
        **msgspec.to_builtins(msgspec.structs.asdict(request.sampling)),
        "stop": request.stop,
        "ignore_eos": request.ignore_eos,
        "n_probs": request.logprobs,
    }


def probabilities(events: Sequence[AgentEvent], top: int) -> list[dict[str, Any]]:
    """Of each token that was written. top: alternatives that were asked for."""
    tokens = [token for event in events if isinstance(event, TextDelta) for token in event.logprobs]
    return [_probability(token, top) for token in tokens]


def _probability(token: TokenLogprob, top: int) -> dict[str, Any]:
    others = [_likely(text, logprob) for text, logprob in token.top[:top]]
    return {**_likely(token.text, token.logprob), "top_logprobs": others}


def _likely(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "bytes": list(text.encode()), "logprob": max(logprob, LEAST)}


def selected(answer: Mapping[str, Any], fields: Sequence[str] | None) -> Mapping[str, Any]:
    """Only these fields; one within another, like timings/prompt_n, is told under that name. Fields that there aren't
    are left out."""
    if fields is None:
        return answer
    found: dict[str, Any] = {}
    for field in fields:
        value: Any = answer
        for part in field.split("/"):
            value = value.get(part) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if value is not None:
            found[field] = value
    return found
