"""A chat as what an agent takes: messages, tools and options. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from smidgen.api.client_tools import client_tool
from smidgen.api.ollama import options
from smidgen.api.ollama.requests import Called, ChatMessage, ChatRequest, GenerateRequest, Generating, Options
from smidgen.errors import InvalidRequest, UnsupportedByModel
from smidgen.messages import Message, ToolCall
from smidgen.tools.external import ExternalTool


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """options: `AgentOptions`. ignored: what the client must be told wasn't acted on."""

    messages: tuple[Message, ...]
    tools: tuple[ExternalTool, ...] = ()
    options: dict[str, Any]
    ignored: tuple[str, ...]


def chat(body: ChatRequest) -> Translated:
    """Raises InvalidRequest, UnsupportedByModel, ConstraintError."""
    tools = tuple(_tool(tool.type, tool.function) for tool in body.tools or ())
    chosen = {**chat_options(body), "tool_choice": _choice(body.tool_choice, tools)}
    said = messages(body.messages or ())
    ignored = options.ignored(body)
    if any(message.thinking for message in body.messages or ()):
        ignored = (*ignored, "Thoughts in the conversation were left out: models are shown none here.")
    return Translated(messages=said, tools=tools, options=chosen, ignored=ignored)


def prompted(body: GenerateRequest) -> Translated:
    """A prompt as a conversation. Raises InvalidRequest, ConstraintError."""
    system = (Message(role="system", content=body.system),) if body.system else ()
    said = (*system, Message(role="user", content=body.prompt or ""))
    return Translated(messages=said, options=chat_options(body), ignored=options.ignored(body))


def chat_options(body: Generating) -> dict[str, Any]:
    given = body.options or Options()
    chosen = options.sampled(given)
    if (limit := options.limit(given)) is not None:
        chosen["max_tokens"] = limit
    if (constraint := options.constraint(body.format)) is not None:
        chosen["constraint"] = constraint
    if logprobs := options.logprobs(body):
        chosen["logprobs"] = logprobs
    return chosen


def refuse_images(images: Sequence[str] | None) -> None:
    """Raises UnsupportedByModel."""
    if images:
        raise UnsupportedByModel("Images can't be read here.", hint="Send text only.", param="images")


# --- messages -------------------------------------------------------------------------------------------------------


def messages(given: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Calls get ids, which Ollama's have none of; a result belongs to the first call of its tool that has none yet, or
    simply to the first one. Raises UnsupportedByModel."""
    said: list[Message] = []
    unanswered: list[ToolCall] = []
    number = 0
    for message in given:
        refuse_images(message.images)
        if message.role == "tool":
            said.append(_result(message, unanswered))
            continue
        calls: list[ToolCall] = []
        for call in message.tool_calls or ():
            number += 1
            calls.append(_call(call, number))
        if message.role == "user":
            unanswered.clear()
        unanswered += calls
        said.append(Message(role=message.role, content=message.content or "", tool_calls=tuple(calls)))
    return tuple(said)


def _call(call: Called, number: int) -> ToolCall:
    return ToolCall(
        name=call.function.name, arguments=_arguments(call.function.arguments), id=call.id or f"call_{number}"
    )


def _arguments(given: dict[str, Any] | str | None) -> dict[str, Any]:
    """Of a call in the conversation so far. What isn't an object is kept as one, since it has been said."""
    if isinstance(given, dict):
        return given
    try:
        read: object = json.loads(given or "{}")
    except (ValueError, RecursionError):
        return {"arguments": given}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {"arguments": read}


def _result(message: ChatMessage, unanswered: list[ToolCall]) -> Message:
    by_id = [call for call in unanswered if message.tool_call_id and call.id == message.tool_call_id]
    by_name = [call for call in unanswered if message.tool_name and call.name == message.tool_name]
    named = bool(message.tool_call_id or message.tool_name)
    found = next(iter(by_id or by_name or ([] if named else unanswered)), None)
    if found is not None:
        unanswered.remove(found)
    return Message(
        role="tool",
        content=message.content or "",
        call_id=found.id if found else message.tool_call_id or "",
        name=message.tool_name or (found.name if found else ""),
    )


# --- tools ----------------------------------------------------------------------------------------------------------


def _tool(kind: str | None, function: Any) -> ExternalTool:
    if kind not in (None, "", "function"):
        raise InvalidRequest(f"A tool of type {kind!r} can't be used.", hint="Only function tools can.", param="tools")
    return client_tool(function.name, function.description, function.parameters)


def _choice(given: str | Mapping[str, Any] | None, tools: Sequence[ExternalTool]) -> str:
    """Ollama has no tool_choice; it is read as OpenAI's clients write it, or as a tool's name."""
    if given is None or given in ("auto", "none", "required"):
        return cast(str, given or "auto")
    function = given if isinstance(given, str) else given.get("function", given)
    name: object = cast("Mapping[str, Any]", function).get("name") if isinstance(function, Mapping) else function
    if name not in [tool.spec.name for tool in tools]:
        raise InvalidRequest(
            f"tool_choice is {name!r}, which is not among the tools.",
            hint="Give auto, none, required or the name of a tool.",
            param="tool_choice",
        )
    return cast(str, name)
