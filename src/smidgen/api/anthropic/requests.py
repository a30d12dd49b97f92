"""Bodies that Anthropic's clients send. Unknown fields are let through: clients are newer than servers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from smidgen.api.openai.requests import Body, Lenient

Probability = Annotated[float, Field(ge=0, le=1)]
StopSequence = Annotated[str, Field(min_length=1, max_length=1024)]


class Block(Lenient):
    """A piece of a message's content, or of a tool's result. Which fields it has depends on its type."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: str | list[Block] | dict[str, Any] | None = None
    is_error: bool | None = None


class Turn(Lenient):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolParam(Lenient):
    """type: None or "custom" for a tool that the client runs; others are Anthropic's own."""

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(Lenient):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Conversation(Body):
    """What both endpoints take."""

    model: str
    messages: Annotated[list[Turn], Field(min_length=1, max_length=100_000)]
    system: str | list[Block] | None = None
    tools: list[ToolParam] | None = None
    tool_choice: ToolChoice | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None


class CountRequest(Conversation):
    pass


class MessagesRequest(Conversation):
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)]
    stream: bool | None = None
    stop_sequences: Annotated[list[StopSequence], Field(max_length=64)] | None = None
    temperature: Probability | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    metadata: dict[str, Any] | None = None
