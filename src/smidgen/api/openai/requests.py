"""Bodies that OpenAI's clients send. Unknown fields are let through: clients are newer than servers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from smidgen.api.delivery import encode

Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Limit = Annotated[int, Field(ge=-1, le=1_000_000, json_schema_extra={"not": {"const": 0}})]
"""Of new tokens. -1 is llama-server's word for no limit; 0 is refused where nothing could be answered."""


Said = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1})]
"""Text that is needed. The description says so; whoever reads it refuses empty ones in better words."""


class Lenient(BaseModel):
    model_config = ConfigDict(extra="allow")


class Body(Lenient):
    """All of a request. What is in it may be sent back, so that it must be possible to write it as JSON: without lone
    surrogates, and without integers of more than 64 bits."""

    @model_validator(mode="before")
    @classmethod
    def _writable(cls, given: Any) -> Any:
        try:
            encode(given)
        except UnicodeEncodeError:
            raise ValueError("a text can't be written as UTF-8 (it has lone surrogates)") from None
        except (OverflowError, ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"it can't be written as JSON: {error}") from None
        return given


class FunctionCall(Lenient):
    name: str
    arguments: str | dict[str, Any] | None = None


class CallMessage(Lenient):
    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class Part(Lenient):
    """A piece of a message's content. Only text can be read here."""

    type: str
    text: str | None = None
    refusal: str | None = None


class ChatMessage(Lenient):
    """`function_call` and the role "function" are what clients sent before there were tools."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[CallMessage] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None


class FunctionSpec(Lenient):
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolParam(Lenient):
    type: str
    function: FunctionSpec | None = None


class StreamOptions(Lenient):
    include_usage: bool | None = None


class Sampled(Body):
    """What all generating requests have. The second block is llama-server's."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=64)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    max_tokens: Limit | None = None

    n_predict: Limit | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_p: Probability | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    repeat_last_n: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    samplers: str | list[str] | None = None
    json_schema: dict[str, Any] | None = None
    grammar: str | None = None
    response_format: dict[str, Any] | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None

    @property
    def counts(self) -> bool:
        """A stream is to end with a chunk that has the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(Sampled):
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    tools: list[ToolParam] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionSpec] | None = None
    function_call: str | dict[str, Any] | None = None
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def legacy(self) -> bool:
        """The client knows of one function call, not of tools."""
        return bool(self.functions) and not self.tools


Token = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Tokens = Annotated[list[Token], Field(json_schema_extra={"minItems": 1})]


class CompletionRequest(Sampled):
    """prompt: a text, its tokens, or several of either."""

    prompt: Said | Tokens | Annotated[list[Said | Tokens], Field(max_length=128, json_schema_extra={"minItems": 1})]
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None


class EmbeddingRequest(Body):
    """input: a text, its tokens, or several of either."""

    input: Said | Tokens | Annotated[list[Said | Tokens], Field(max_length=2048, json_schema_extra={"minItems": 1})]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    user: str | None = None
