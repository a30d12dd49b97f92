"""Bodies that Ollama's clients send. Unknown fields are let through: clients are newer than servers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from smidgen.api.documented import either_of
from smidgen.api.openai.requests import Body, Lenient, Said

Duration = Annotated[float, Field(allow_inf_nan=False)] | str
Format = Literal["", "json"] | dict[str, Any]


class Named(Body):
    """`name` is what older clients call the model."""

    model: str | None = None
    name: str | None = None

    @property
    def asked(self) -> str:
        return (self.model or self.name or "").strip()


class OneModel(Named):
    """It must be named."""

    model_config = ConfigDict(json_schema_extra=either_of("model", "name"))

    model: Said | None = None
    name: Said | None = None


class Options(Lenient):
    """Those that are acted on here; others are told."""

    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    num_predict: Annotated[int, Field(ge=-2, le=1_000_000)] | None = None
    num_ctx: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    stop: str | Annotated[list[str], Field(max_length=64)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    presence_penalty: Annotated[float, Field(ge=-100, le=100)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-100, le=100)] | None = None


class Generating(Named):
    stream: bool | None = None
    format: Format | None = None
    options: Options | None = None
    keep_alive: Duration | None = None
    think: bool | str | None = None
    truncate: bool | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @property
    def streams(self) -> bool:
        return self.stream is not False


class GenerateRequest(Generating):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class CalledFunction(Lenient):
    name: str
    arguments: dict[str, Any] | str | None = None


class Called(Lenient):
    id: str | None = None
    function: CalledFunction


class ChatMessage(Lenient):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Called] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class FunctionParam(Lenient):
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolParam(Lenient):
    type: str | None = None
    function: FunctionParam


class ChatRequest(Generating):
    messages: list[ChatMessage] | None = None
    tools: list[ToolParam] | None = None
    tool_choice: str | dict[str, Any] | None = None


class EmbedRequest(Named):
    input: str | Annotated[list[str], Field(max_length=2048)]
    truncate: bool | None = None
    dimensions: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    options: dict[str, Any] | None = None
    keep_alive: Duration | None = None


class EmbeddingsRequest(Named):
    prompt: str | None = None
    options: dict[str, Any] | None = None
    keep_alive: Duration | None = None


class ShowRequest(OneModel):
    verbose: bool | None = None


class DeleteRequest(OneModel):
    pass


class CopyRequest(Body):
    source: Annotated[str, Field(min_length=1)]
    destination: Annotated[str, Field(min_length=1)]


class PullRequest(OneModel):
    """accept_license: smidgen's own; True accepts the terms under which the model comes."""

    stream: bool | None = None
    insecure: bool | None = None
    accept_license: bool | None = None
