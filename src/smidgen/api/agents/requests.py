"""Bodies of the agents API. Here unknown fields are refused, and values of other types: nobody else's clients send
them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from smidgen.api.documented import either_of

Text = Annotated[str, Field(max_length=1_000_000)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Turn(Strict):
    role: Literal["system", "user", "assistant"]
    content: Text


class RunRequest(Strict):
    """`input` is the next message of the session; `messages` a whole conversation, for runs without one.
    `replaces`: the session's last run, whose question and answer are taken back."""

    model_config = ConfigDict(json_schema_extra=either_of("input", "messages", both=False))

    input: Text | None = None
    messages: list[Turn] | None = None
    session: str | None = None
    replaces: str | None = None
    model: str | None = None
    tools: list[str] | None = None
    system: Text | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    tool_choice: str = "auto"
    dry_run: bool = False
    stream: bool = False
    background: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> RunRequest:
        if (self.input is None) == (self.messages is None):
            raise ValueError("give either input or messages")
        if self.messages is not None and self.session:
            raise ValueError("a session has messages of its own: give input")
        if self.replaces and not self.session:
            raise ValueError("replaces needs the session of that run")
        if self.input is not None and not self.input.strip():
            raise ValueError("input is empty")
        return self


class ApprovalRequest(Strict):
    """`event`: the number of the approval event that is answered, if it is to be this one and no later one."""

    approve: bool
    event: Annotated[int, Field(ge=1)] | None = None


class SessionRequest(Strict):
    agent: str = "assistant"
    title: Annotated[str, Field(max_length=200)] = ""


class TitleRequest(Strict):
    title: Annotated[str, Field(min_length=1, max_length=200)]
