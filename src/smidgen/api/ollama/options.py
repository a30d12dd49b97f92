"""The options of a request: what of them reaches the engine, and what is told instead. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from smidgen.api.ollama.requests import Format, Generating, Options
from smidgen.errors import InvalidRequest
from smidgen.messages import Constraint, SamplingChange

ANY_OBJECT = '{"type":"object"}'
SEEDS = 2**31
EVERYTHING = 2**31 - 1
SMALLEST_TOP_P = 1e-6
"""0 leaves the likeliest token, which an engine can't be asked for in that way."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "mirostat": (0,),
    "mirostat_tau": (5,),
    "mirostat_eta": (0.1,),
    "tfs_z": (1,),
    "typical_p": (1,),
    "penalize_newline": (True,),
    "num_keep": (0,),
    "num_gpu": (-1,),
    "num_thread": (0,),
    "main_gpu": (0,),
    "numa": (False,),
    "low_vram": (False,),
    "vocab_only": (False,),
    "logits_all": (False,),
    "embedding_only": (False,),
    "f16_kv": (True,),
    "use_mmap": (True,),
    "use_mlock": (False,),
}
"""Options that aren't acted on, with the values that ask for nothing."""


def sampled(given: Options) -> dict[str, Any]:
    """`stop`, `change` and, if it was given, `seed`; what wasn't given stays as the model's profile has it."""
    stop = (given.stop,) if isinstance(given.stop, str) else tuple(given.stop or ())
    chosen: dict[str, Any] = {
        "stop": tuple(dict.fromkeys(text for text in stop if text)),
        "change": SamplingChange(
            temperature=given.temperature,
            top_k=given.top_k,
            top_p=None if given.top_p is None else max(given.top_p, SMALLEST_TOP_P),
            min_p=given.min_p,
            repeat_penalty=given.repeat_penalty,
            repeat_last_n=EVERYTHING if given.repeat_last_n == -1 else given.repeat_last_n,
            frequency_penalty=given.frequency_penalty,
            presence_penalty=given.presence_penalty,
        ),
    }
    if given.seed is not None and given.seed >= 0:
        chosen["seed"] = given.seed % SEEDS
    return chosen


def limit(given: Options) -> int | None:
    """New tokens at most; None for as many as the context has room for, which is what 0 and less ask for."""
    return given.num_predict if given.num_predict is not None and given.num_predict > 0 else None


def logprobs(body: Generating) -> int:
    """Alternatives that the engine is asked for. Raises InvalidRequest."""
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs to be true.", hint="Give both.", param="top_logprobs")
    return max(1, body.top_logprobs or 0) if body.logprobs else 0


def constraint(given: Format | None) -> Constraint | None:
    """What the answer must match."""
    if given is None or given == "":
        return None
    source = ANY_OBJECT if given == "json" else json.dumps(given)
    return Constraint(kind="json_schema", source=source)


def ignored(body: Generating) -> tuple[str, ...]:
    """What the client is told of its request."""
    told = [f"options.{told}" for told in without_effect((body.options or Options()).model_extra or {})]
    if body.think not in (None, False, ""):
        told.append("think has no effect here: the model answers without thinking first.")
    if body.truncate is False:
        told.append("truncate has no effect here: what doesn't fit is left out or refused, and told.")
    return tuple(told)


def without_effect(given: Mapping[str, Any]) -> list[str]:
    """Of options that aren't acted on."""
    return [
        f"{name} has no effect here."
        for name, value in given.items()
        if value is not None and value not in NEUTRAL.get(name, ())
    ]


def context_told(asked: int | None, context: int) -> tuple[str, ...]:
    """context: tokens that the model was opened with, 0 if that isn't known."""
    if not asked or not context or asked <= context:
        return ()
    return (f"num_ctx is {asked}, but the context is {context} tokens: no request can change it.",)
