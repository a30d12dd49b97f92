"""What of a body decides how tokens are drawn, and what of it has no effect here. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from smidgen.api.llama_server.requests import Generating
from smidgen.api.service import fresh_seed
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, Sampling

ORDER = ("penalties", "top_k", "top_p", "min_p", "temperature")
"""Samplers as they come here one after the other."""

LETTERS: Mapping[str, str] = {
    "e": "penalties",
    "k": "top_k",
    "p": "top_p",
    "m": "min_p",
    "t": "temperature",
    "d": "dry",
    "y": "typ_p",
    "s": "top_n_sigma",
    "x": "xtc",
    "i": "infill",
}
OFF: Mapping[str, Mapping[str, float]] = {
    "penalties": {"repeat_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0},
    "top_k": {"top_k": 0},
    "top_p": {"top_p": 1.0},
    "min_p": {"min_p": 0.0},
    "temperature": {"temperature": 1.0},
}
"""What switches a sampler off that a client's list doesn't have."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "typical_p": (1, 1.0),
    "top_n_sigma": (-1,),
    "mirostat": (0,),
    "dynatemp_range": (0,),
    "xtc_probability": (0,),
    "dry_multiplier": (0,),
    "logit_bias": ([], {}),
    "n_keep": (0,),
    "n_discard": (0,),
    "min_keep": (0,),
    "post_sampling_probs": (False,),
    "return_progress": (False,),
    "lora": ([],),
    "cache_prompt": (True,),
}
"""Fields that aren't acted on, with the values that ask for nothing."""

EVERYTHING = 2**31 - 1


def sampling(body: Generating, usual: Sampling, *, greedy: bool = False) -> Sampling:
    """usual: of the model's profile, for what the body leaves open. greedy: unless it gives a temperature."""
    named = samplers(body)
    changed: dict[str, Any] = {}
    if named is not None:
        for sampler, fields in OFF.items():
            if sampler not in named:
                changed.update(fields)
        if greedy or "temperature" in named:
            changed.pop("temperature", None)
    if greedy:
        changed["temperature"] = 0.0
    for name in ("repeat_penalty", "presence_penalty", "frequency_penalty", "min_p", "repeat_last_n"):
        if (value := getattr(body, name)) is not None and (name not in changed):
            changed[name] = value
    if body.repeat_last_n == -1:
        changed["repeat_last_n"] = EVERYTHING
    if body.temperature is not None and (named is None or "temperature" in named or body.temperature <= 0 or greedy):
        changed["temperature"] = max(body.temperature, 0.0)
    if body.top_k is not None and "top_k" not in changed:
        changed["top_k"] = max(body.top_k, 0)
    if body.top_p is not None and "top_p" not in changed:
        changed["top_p"] = max(body.top_p, 1e-6)  # 0 leaves the likeliest token
    changed["seed"] = fresh_seed() if body.seed is None or body.seed < 0 else body.seed
    return msgspec.structs.replace(usual, **changed)


def samplers(body: Generating) -> tuple[str, ...] | None:
    """Their names; None if the body doesn't choose any."""
    given = body.samplers
    if given is None or given in ("", []):
        return None
    if isinstance(given, str):
        return tuple(given.split(";")) if ";" in given else tuple(LETTERS.get(letter, letter) for letter in given)
    return tuple(given)


def stops(body: Generating) -> tuple[str, ...]:
    given = (body.stop,) if isinstance(body.stop, str) else body.stop or ()
    return tuple(text for text in given if text)


def constraint(body: Generating) -> Constraint | None:
    """Raises ConstraintError."""
    if body.grammar and body.grammar.strip():
        raise ConstraintError(
            "grammar is in GBNF, which can't be enforced here.",
            hint="Give the JSON Schema of what you want as json_schema.",
        )
    return None if body.json_schema is None else Constraint(kind="json_schema", source=json.dumps(body.json_schema))


def without_effect(body: Generating, *, known: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What the client is told. known: samplers that it needn't be told of."""
    given = body.model_dump(exclude_none=True)
    told = [
        f"{name} has no effect here."
        for name, nothing in NEUTRAL.items()
        if name in given and given[name] not in nothing
    ]
    named = samplers(body) or ()
    strange = [name for name in named if name not in ORDER and name not in known]
    if strange:
        told.append(f"The samplers {', '.join(map(ascii, strange[:10]))} have no effect here.")
    ours = [name for name in named if name in ORDER]
    if ours != sorted(ours, key=ORDER.index):
        told.append(f"Samplers work in the order {', '.join(ORDER)} here.")
    return tuple(told)
