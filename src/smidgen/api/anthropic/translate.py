"""A body as what an agent takes: messages, tools and options, and what of it can't be acted on. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from smidgen.api.anthropic.requests import Block, Conversation, MessagesRequest, ToolParam, Turn
from smidgen.api.client_tools import client_tool
from smidgen.errors import InvalidRequest, UnsupportedByModel
from smidgen.messages import Constraint, Message, SamplingChange, ToolCall
from smidgen.tools.external import ExternalTool

THOUGHTS = ("thinking", "redacted_thinking")
WITHOUT_EFFECT = ("container", "context_management", "inference_geo", "mcp_servers", "speed")
"""Fields that would change the answer elsewhere and don't here. Others that aren't known only keep books."""

SMALLEST_TOP_P = 1e-6
"""0 leaves the likeliest token, which an engine can't be asked for in that way."""


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """options: `AgentOptions`. ignored: what the client must be told wasn't acted on."""

    messages: tuple[Message, ...]
    tools: tuple[ExternalTool, ...]
    options: dict[str, Any]
    ignored: tuple[str, ...]


def translated(body: Conversation) -> Translated:
    """Raises InvalidRequest, UnsupportedByModel, ConstraintError."""
    tools = tuple(_tool(tool) for tool in body.tools or ())
    options: dict[str, Any] = {"tool_choice": _choice(body, tools)}
    if body.tool_choice is not None and body.tool_choice.disable_parallel_tool_use:
        options["off"] = frozenset({"several"})
    if (constraint := _constraint(body)) is not None:
        options["constraint"] = constraint
    if isinstance(body, MessagesRequest):
        options["max_tokens"] = body.max_tokens
        options["stop"] = tuple(dict.fromkeys(body.stop_sequences or ()))
        options["change"] = SamplingChange(
            temperature=body.temperature,
            top_p=None if body.top_p is None else max(body.top_p, SMALLEST_TOP_P),
            top_k=body.top_k,
        )
    said, thoughts = messages(body)
    ignored = _ignored(body)
    if thoughts:
        ignored = (*ignored, "Thoughts in the conversation were left out: models are shown none here.")
    return Translated(messages=said, tools=tools, options=options, ignored=ignored)


def _refused(param: str, message: str, hint: str) -> InvalidRequest:
    return InvalidRequest(message, hint=hint, param=param)


def _ignored(body: Conversation) -> tuple[str, ...]:
    told: list[str] = []
    if (body.thinking or {}).get("type") not in (None, "disabled"):
        told.append("thinking has no effect here: the model answers without thinking first.")
    if (body.output_config or {}).get("effort") is not None:
        told.append("output_config.effort has no effect here.")
    given = body.model_extra or {}
    told += [f"{name} has no effect here." for name in WITHOUT_EFFECT if given.get(name)]
    return tuple(told)


# --- messages -------------------------------------------------------------------------------------------------------


def messages(body: Conversation) -> tuple[tuple[Message, ...], bool]:
    """The conversation, its system text in front, and whether thoughts were left out of it. Turns of one role that
    follow each other are one. Raises InvalidRequest, UnsupportedByModel."""
    last = body.messages[-1]
    if last.role == "assistant":
        message = "The last message is the assistant's: beginnings of answers can't be given here."
        raise _refused("messages", message, "Let the last message be the user's.")
    turns: list[Message] = []
    if system := _text(body.system or "", "system"):
        turns.append(Message(role="system", content=system))
    names = {block.id: block.name for turn in body.messages for block in _blocks(turn) if block.type == "tool_use"}
    for turn in body.messages:
        for message in _said(turn, names):
            before = turns[-1] if turns else None
            if before is not None and message.role in ("user", "assistant") and before.role == message.role:
                turns[-1] = _joined(before, message)
            else:
                turns.append(message)
    thoughts = any(block.type in THOUGHTS for turn in body.messages for block in _blocks(turn))
    return tuple(turns), thoughts


def _joined(before: Message, after: Message) -> Message:
    text = "\n\n".join(part for part in (before.content, after.content) if part)
    return Message(role=before.role, content=text, tool_calls=(*before.tool_calls, *after.tool_calls))


def _blocks(turn: Turn) -> Sequence[Block]:
    return () if isinstance(turn.content, str) else turn.content


def _said(turn: Turn, names: Mapping[str | None, str | None]) -> list[Message]:
    """Of one turn, in its order: results of tools are messages of their own."""
    if isinstance(turn.content, str):
        return [Message(role=turn.role, content=turn.content)]
    said: list[Message] = []
    texts: list[str] = []
    calls: list[ToolCall] = []
    for block in turn.content:
        if block.type == "tool_result" and turn.role == "user":
            if texts:
                said.append(Message(role="user", content="\n".join(texts)))
                texts = []
            said.append(_result(block, names))
        elif block.type == "tool_use" and turn.role == "assistant":
            calls.append(_call(block))
        elif block.type not in THOUGHTS:
            texts.append(_text([block], "messages"))
    if texts or calls or not said:
        said.append(Message(role=turn.role, content="\n".join(texts), tool_calls=tuple(calls)))
    return said


def _call(block: Block) -> ToolCall:
    if not block.id or not block.name:
        raise _refused("messages", "A tool_use block has no id or no name.", "Send it back as it came.")
    return ToolCall(name=block.name, arguments=block.input or {}, id=block.id)


def _result(block: Block, names: Mapping[str | None, str | None]) -> Message:
    call = block.tool_use_id or ""
    if call not in names:
        message = f"A tool_result is for {call!r}, which no tool_use before has as its id."
        raise _refused("messages", message, "Send the call before its result.")
    if isinstance(block.content, dict):
        raise _refused("messages", "A tool_result's content is no text.", "Give a string, or blocks of text.")
    text = _text(block.content or "", "messages")
    if block.is_error:
        text = f"Error: {text or 'the call failed'}"
    return Message(role="tool", content=text, call_id=call, name=names[call] or "")


def _text(content: str | Sequence[Block], where: str) -> str:
    """Raises UnsupportedByModel for pictures and the like."""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for block in content:
        if block.type != "text" or block.text is None:
            told = f"Content of type {block.type!r} can't be read here."
            raise UnsupportedByModel(told, hint="Send text only.", param=where)
        texts.append(block.text)
    return "\n".join(texts)


# --- tools and formats ----------------------------------------------------------------------------------------------


def _tool(given: ToolParam) -> ExternalTool:
    name = given.name or given.type or ""
    if given.type not in (None, "custom"):
        told = f"The tool {name!r} of type {given.type!r} is Anthropic's own, and isn't here."
        raise _refused("tools", told, "Give tools with an input_schema, which you run yourself.")
    if not given.name or given.input_schema is None:
        raise _refused("tools", f"The tool {name!r} has no name or no input_schema.", "Give both.")
    return client_tool(given.name, given.description, given.input_schema)


def _choice(body: Conversation, tools: Sequence[ExternalTool]) -> str:
    """As an agent's setting."""
    choice = body.tool_choice
    if choice is None:
        return "auto"
    if choice.type != "tool":
        return {"any": "required"}.get(choice.type, choice.type)
    if choice.name not in [tool.spec.name for tool in tools]:
        told = f"tool_choice names {choice.name!r}, which is not among the tools."
        raise _refused("tool_choice", told, "Name one of them.")
    return choice.name or ""


def _constraint(body: Conversation) -> Constraint | None:
    asked: object = (body.output_config or {}).get("format") or body.output_format
    if asked is None:
        return None
    given = cast("dict[str, Any]", asked) if isinstance(asked, dict) else {}
    schema = given.get("schema")
    if given.get("type") != "json_schema" or not isinstance(schema, dict):
        told = "The format of the answer isn't known."
        raise _refused("output_config", told, 'Give {"type": "json_schema", "schema": {…}} as output_config.format.')
    return Constraint(kind="json_schema", source=json.dumps(schema))
