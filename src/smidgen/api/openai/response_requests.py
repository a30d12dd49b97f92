"""Bodies of the responses API, and what they mean to an agent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from pydantic import Field

from smidgen.api.openai.requests import Body, FunctionSpec, Lenient, Limit, Part, Probability, Said, ToolParam
from smidgen.api.openai.translate import (
    Translated,
    arguments,
    external_tools,
    refused,
    response_format,
    text_of,
    tool_choice,
    top_p,
)
from smidgen.messages import Message, Role, SamplingChange, ToolCall
from smidgen.tools.external import ExternalTool

ROLES: dict[str, Role] = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
REFUSED = ("conversation", "prompt", "background")
"""Fields that stand for something which the server would have to keep, or run by itself."""

WITHOUT_EFFECT = ("max_tool_calls", "context_management", "moderation")
LOGPROBS = "message.output_text.logprobs"


class Item(Lenient):
    """A message, a call or a call's result; `type` may be left out of a message."""

    type: str = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None


class TextOptions(Lenient):
    format: dict[str, Any] | None = None


class ResponseRequest(Body):
    input: Said | Annotated[list[Item], Field(json_schema_extra={"minItems": 1})]
    model: str | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    max_output_tokens: Limit | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[str] | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None

    @property
    def logprobs(self) -> bool:
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())

    @property
    def kept(self) -> bool:
        return self.store is not False


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """said: the messages of this request alone, which a later one may refer to; instructions are no part of them."""

    said: tuple[Message, ...]
    wanted: Translated


def asked(request: ResponseRequest, before: Sequence[Message]) -> Asked:
    """before: the conversation that is continued. Raises InvalidRequest, UnsupportedByModel."""
    given = request.model_extra or {}
    for name in REFUSED:
        if given.get(name):
            raise refused(name, f"{name} can't be used here.", "Leave it out, and send what was said as input.")
    if request.max_output_tokens == 0:
        raise refused("max_output_tokens", "max_output_tokens is 0.", "Give at least 1.")
    said, ignored = messages(request.input)
    if not said:
        raise refused("input", "There is nothing to answer: input is empty.", "Give a text or messages.")
    choice, tools = tool_choice(request.tool_choice, functions(request.tools or ()))
    options: dict[str, Any] = {
        "tool_choice": choice,
        "change": SamplingChange(temperature=request.temperature, top_p=top_p(request.top_p)),
    }
    if (request.max_output_tokens or 0) > 0:
        options["max_tokens"] = request.max_output_tokens
    if request.text is not None and (constraint := response_format(request.text.format, "text.format")) is not None:
        options["constraint"] = constraint
    if request.logprobs:
        options["logprobs"] = max(1, request.top_logprobs or 0)
    if request.parallel_tool_calls is False:
        options["off"] = frozenset({"several"})
    ignored += [f"{name} has no effect here." for name in WITHOUT_EFFECT if given.get(name)]
    if given.get("reasoning"):
        ignored.append("reasoning has no effect here.")
    instructions = [Message(role="system", content=request.instructions)] if request.instructions else []
    wanted = Translated(messages=(*instructions, *before, *said), tools=tools, options=options, ignored=tuple(ignored))
    return Asked(said=said, wanted=wanted)


def functions(given: Sequence[dict[str, Any]]) -> tuple[ExternalTool, ...]:
    """Raises InvalidRequest for tools that OpenAI would run."""
    tools: list[ToolParam] = []
    for tool in given:
        kind = tool.get("type")
        if kind != "function":
            message = f"A tool of type {kind!r} can't be used: only function tools can."
            raise refused("tools", message, "Leave it out, or run it yourself as a function.")
        try:
            tools.append(ToolParam(type="function", function=FunctionSpec.model_validate(tool)))
        except ValueError:
            raise refused("tools", "A function tool is malformed.", "Give it a name and parameters.") from None
    return external_tools(tools)


def messages(given: str | Sequence[Item]) -> tuple[tuple[Message, ...], list[str]]:
    """What was said, and what of it is passed over. Calls that follow each other, or a text of the assistant's, are one
    turn."""
    if isinstance(given, str):
        return ((Message(role="user", content=given),) if given else ()), []
    turns: list[Message] = []
    ignored: list[str] = []
    names: dict[str, str] = {}
    for item in given:
        match item.type:
            case "message":
                turns.append(_message(item))
            case "function_call":
                call = ToolCall(name=item.name or "", arguments=arguments(item.arguments), id=item.call_id or "")
                if not call.name:
                    raise refused("input", "A function_call has no name.", "Give name, arguments and call_id.")
                names[call.id] = call.name
                if not turns or turns[-1].role != "assistant":
                    turns.append(Message(role="assistant"))
                turns[-1] = msgspec.structs.replace(turns[-1], tool_calls=(*turns[-1].tool_calls, call))
            case "function_call_output":
                identifier = item.call_id or ""
                content = text_of(item.output)
                turns.append(Message(role="tool", content=content, call_id=identifier, name=names.get(identifier, "")))
            case "reasoning":
                ignored.append("Reasoning of earlier answers is not read here.")
            case _:
                message = f"Input of type {item.type!r} can't be used here."
                raise refused("input", message, "Send messages, function_call and function_call_output.")
    return tuple(turns), list(dict.fromkeys(ignored))


def _message(item: Item) -> Message:
    role = ROLES.get(item.role or "")
    if role is None:
        raise refused("input", f"A message has the role {item.role!r}.", f"There are: {', '.join(ROLES)}.")
    return Message(role=role, content=text_of(item.content))


def with_names(before: Sequence[Message], said: Sequence[Message]) -> tuple[Message, ...]:
    """Results of calls that were made in the part of the conversation before get their tools' names."""
    names = {call.id: call.name for turn in before for call in turn.tool_calls}
    return tuple(
        msgspec.structs.replace(turn, name=names[turn.call_id])
        if turn.role == "tool" and not turn.name and turn.call_id in names
        else turn
        for turn in said
    )


def format_of(request: ResponseRequest) -> dict[str, Any]:
    """As it goes back to the client."""
    return (request.text.format if request.text else None) or {"type": "text"}
