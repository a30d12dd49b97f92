"""Bodies that llama-server's clients send. Unknown fields are let through: clients are newer than servers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from smidgen.api.documented import either_of
from smidgen.api.openai.requests import Said

Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-100, le=100)]
Token = Annotated[int, Field(ge=0, lt=2**31)]
Content = str | Annotated[list[Token | str], Field(max_length=1_000_000)]
"""A text, or one in pieces that are text or tokens."""


Mixed = Annotated[list[Token | str], Field(json_schema_extra={"minItems": 1})]


class Lenient(BaseModel):
    model_config = ConfigDict(extra="allow")


class Generating(Lenient):
    """What all requests for text have."""

    model: str | None = None
    stream: bool | None = None
    n_predict: Annotated[int, Field(ge=-2, le=1_000_000)] | None = None
    max_tokens: Annotated[int, Field(ge=-2, le=1_000_000)] | None = None
    n_cmpl: Annotated[int, Field(ge=1, le=16)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    temperature: Annotated[float, Field(ge=-100, le=100)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    top_p: Probability | None = None
    min_p: Probability | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    samplers: str | list[str] | None = None
    stop: str | Annotated[list[str], Field(max_length=64)] | None = None
    ignore_eos: bool | None = None
    n_probs: Annotated[int, Field(ge=0, le=20)] | None = None
    grammar: str | None = None
    json_schema: dict[str, Any] | None = None
    cache_prompt: bool | None = None
    id_slot: Annotated[int, Field(ge=-(2**31), lt=2**31)] | None = None
    return_tokens: bool | None = None
    timings_per_token: bool | None = None
    response_fields: list[str] | None = None
    n_indent: Annotated[int, Field(ge=0, le=10_000)] | None = None
    t_max_predict_ms: Annotated[float, Field(ge=-1, le=1e9)] | None = None

    @property
    def limit(self) -> int | None:
        """Tokens to write, None for as many as there is room for."""
        asked = self.n_predict if self.n_predict is not None else self.max_tokens
        return None if asked is None or asked < 0 else asked

    @property
    def answers(self) -> int:
        return self.n_cmpl or self.n or 1


class CompletionRequest(Generating):
    """prompt: one, or a list of several; a list in which numbers are is one prompt in tokens, with texts between."""

    prompt: Said | Annotated[list[Token | Said | Mixed], Field(min_length=1, max_length=1_000_000)]

    @property
    def prompts(self) -> tuple[str | list[int | str], ...]:
        if isinstance(self.prompt, str):
            return (self.prompt,)
        flat = [part for part in self.prompt if not isinstance(part, list)]
        if len(flat) == len(self.prompt) and any(isinstance(part, int) for part in flat):
            return (flat,)
        return tuple([part] if isinstance(part, int) else part for part in self.prompt)


class Piece(Lenient):
    """Text from elsewhere, as editors collect it. time: when it was seen."""

    text: str = ""
    filename: str | None = None
    time: float | None = None


class InfillRequest(Generating):
    """The code around a cursor: lines before, `prompt` as the cursor's line up to it, the rest of the line and lines
    after. t_max_prompt_ms: for reading what isn't in the cache; more is left out then."""

    input_prefix: str = ""
    input_suffix: str = ""
    input_extra: Annotated[list[Piece], Field(max_length=1024)] | None = None
    prompt: str = ""
    filename: str | None = None
    t_max_prompt_ms: Annotated[float, Field(ge=-1, le=1e9)] | None = None


class TokenizeRequest(Lenient):
    content: Content
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False
    model: str | None = None


class DetokenizeRequest(Lenient):
    tokens: Annotated[list[Token], Field(max_length=1_000_000)]
    model: str | None = None


class EmbeddingRequest(Lenient):
    """content, or input as newer clients call it: one text, or several."""

    model_config = ConfigDict(json_schema_extra=either_of("content", "input"))

    content: Said | Annotated[list[Said], Field(min_length=1, max_length=4096)] | None = None
    input: Said | Annotated[list[Said], Field(min_length=1, max_length=4096)] | None = None
    embd_normalize: Annotated[int, WithJsonSchema({"const": 2})] | None = None
    model: str | None = None


class Adapter(Lenient):
    id: int
    scale: float = 0.0
