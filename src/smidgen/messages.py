"""What is said: conversations, tool calls, and requests to an engine. Frozen data, no behaviour beyond construction."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
JsonSchema = dict[str, Any]


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as the model is told of it. `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: JsonSchema


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arguments: dict[str, Any]
    id: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn. A `tool` message answers the call whose id is `call_id`; `name` is then the tool's."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""


# --- requests to an engine ------------------------------------------------------------------------------------------


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A piece of prompt text. With `special`, control tokens written in it (`<|im_end|>`) count as such; without, the
    same characters are plain text. Text from users and tools that spells a control token must be `special=False`.
    `tokens`: ids of the model's own tokens that follow the text as they are."""

    text: str
    special: bool = True
    tokens: tuple[int, ...] = ()


Prompt = tuple[Segment, ...]


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the next token is drawn from the logits. `temperature` 0 is greedy and ignores the rest but the penalties.

    Order: penalties, top_k, top_p, min_p, temperature, draw. The draw depends only on (seed, position).
    top_k 0, top_p 1.0, min_p 0.0 and repeat_penalty 1.0 switch that stage off.
    """

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """What the output must match. `source` is a JSON Schema as JSON text, a Lark grammar (llguidance's variant), or a
    regular expression that the whole output must match."""

    kind: Literal["json_schema", "lark", "regex"]
    source: str


class SamplingChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Single fields of a `Sampling`, for whoever wants the rest left as the model's profile has it. None changes
    nothing."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None

    def applied(self, sampling: Sampling) -> Sampling:
        changed = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(sampling, **changed)


Cache = Literal["chat", "editor"]
"""Whose prefixes a request's cells become: neither kind takes the latest ones of the other."""

BACKGROUND = 100
"""At this priority and beyond, a request is only worked on while there is nothing else to do, in small steps."""


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One completion.

    prompt: segments, tokenised by the engine with the model's own tokenizer. `add_bos` follows the model's metadata.
    max_tokens: new tokens at most; None means up to the end of the context.
    stop: the output ends before the first of these strings; they are never shown.
    timeout_s: seconds from acceptance to a `deadline` finish; None means no limit.
    logprobs: top alternatives to report per token (0: none).
    pin: keep this prompt's first `pin` tokens in the prefix cache until unpinned by eviction of last resort.
    priority: lower goes first when the engine is busy, and prompts of others wait for it; see also `BACKGROUND`.
    cache: see `Cache`.
    """

    prompt: Prompt
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    timeout_s: float | None = None
    logprobs: int = 0
    ignore_eos: bool = False
    pin: int = 0
    priority: int = 0
    cache: Cache = "chat"


class ScoreRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Log-probability of each candidate as a continuation of the prompt, in one pass without sampling.

    normalize: "none" gives the plain sum of token log-probabilities (natural log); "choices" renormalises at every
    branching of the candidates' token trie, so that the candidates' probabilities sum to 1 and tokens that no other
    candidate contests cost nothing.
    """

    prompt: Prompt
    candidates: tuple[str, ...]
    normalize: Literal["none", "choices"] = "none"
    timeout_s: float | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens. `cached_tokens` of the prompt were not prefilled again; `forced_tokens` of the completion were appended
    by the constraint without being sampled."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    forced_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            forced_tokens=self.forced_tokens + other.forced_tokens,
        )


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. `queue_s` until the first prompt token is decoded, `prefill_s` until the first token is sampled,
    `decode_s` until the end."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            queue_s=self.queue_s + other.queue_s,
            prefill_s=self.prefill_s + other.prefill_s,
            decode_s=self.decode_s + other.decode_s,
        )


class ScoreResult(msgspec.Struct, frozen=True, kw_only=True):
    """`logprobs[i]` (natural log) and `token_counts[i]` belong to `candidates[i]`."""

    logprobs: tuple[float, ...]
    token_counts: tuple[int, ...]
    usage: Usage = Usage()


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """Unit-length vectors, one per text, each `dimensions` floats."""

    vectors: tuple[tuple[float, ...], ...]
    dimensions: int
    usage: Usage = Usage()
