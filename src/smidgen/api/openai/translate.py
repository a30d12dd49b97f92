"""A chat request as what an agent takes: messages, tools and options, and what of it can't be acted on. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from smidgen.api.openai.requests import ChatMessage, ChatRequest, Part, Sampled, ToolParam
from smidgen.errors import InvalidRequest, UnsupportedByModel
from smidgen.messages import Constraint, Message, SamplingChange, ToolCall, ToolSpec
from smidgen.tools.external import ExternalTool

ROLES = {"developer": "system", "function": "tool"}
WITHOUT_EFFECT = (
    "logit_bias",
    "audio",
    "modalities",
    "prediction",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
)
"""Fields that would change the answer elsewhere and don't here. Others that aren't known only keep books."""

ANY_OBJECT = '{"type":"object"}'
SEEDS = 2**31


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """options: `AgentOptions`. ignored: what the client must be told wasn't acted on."""

    messages: tuple[Message, ...]
    tools: tuple[ExternalTool, ...]
    options: dict[str, Any]
    ignored: tuple[str, ...]


def translated(request: ChatRequest) -> Translated:
    """Raises InvalidRequest, UnsupportedByModel."""
    tools = external_tools(request.tools or ())
    choice, tools = tool_choice(request.tool_choice, tools)
    options: dict[str, Any] = {**sampled(request), "tool_choice": choice}
    if (limit := request.max_completion_tokens or request.max_tokens) is not None:
        options["max_tokens"] = limit
    if (constraint := response_format(request.response_format)) is not None:
        options["constraint"] = constraint
    if request.logprobs:
        options["logprobs"] = max(1, request.top_logprobs or 0)
    if request.parallel_tool_calls is False:
        options["off"] = frozenset({"several"})
    return Translated(messages=messages(request.messages), tools=tools, options=options, ignored=ignored(request))


def sampled(request: Sampled) -> dict[str, Any]:
    """Sampling options; fields that weren't given stay as the model's profile has them."""
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    options: dict[str, Any] = {
        "stop": tuple(text for text in stop if text),
        "change": SamplingChange(
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            min_p=request.min_p,
            repeat_penalty=request.repeat_penalty,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
        ),
    }
    if request.seed is not None:
        options["seed"] = request.seed % SEEDS
    return options


def ignored(request: Sampled) -> tuple[str, ...]:
    given = request.model_dump(exclude_none=True, include=set(WITHOUT_EFFECT)) | (request.model_extra or {})
    return tuple(f"{name} has no effect here." for name in WITHOUT_EFFECT if given.get(name))


# --- messages -------------------------------------------------------------------------------------------------------


def messages(given: Sequence[ChatMessage]) -> tuple[Message, ...]:
    return tuple(_message(message) for message in given)


def _message(given: ChatMessage) -> Message:
    role = cast(Any, ROLES.get(given.role, given.role))
    calls = tuple(
        ToolCall(name=call.function.name, arguments=arguments(call.function.arguments), id=call.id)
        for call in given.tool_calls or ()
    )
    return Message(
        role=role,
        content=text_of(given.content),
        tool_calls=calls,
        call_id=given.tool_call_id or "",
        name=given.name or "",
    )


def text_of(content: str | Sequence[Part] | None) -> str:
    """Raises UnsupportedByModel for pictures and the like."""
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part in content:
        told = part.text if part.text is not None else part.refusal
        if told is None:
            raise UnsupportedByModel(f"Content of type {part.type!r} can't be read here.", hint="Send text only.")
        texts.append(told)
    return "\n".join(texts)


def arguments(given: str | dict[str, Any] | None) -> dict[str, Any]:
    """Of a call in the conversation so far. What isn't an object is kept as one, since it has been said."""
    if isinstance(given, dict):
        return given
    try:
        read: Any = json.loads(given or "{}")
    except (ValueError, RecursionError):
        return {"arguments": given}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {"arguments": read}


# --- tools ----------------------------------------------------------------------------------------------------------


def external_tools(given: Sequence[ToolParam]) -> tuple[ExternalTool, ...]:
    tools: list[ExternalTool] = []
    for tool in given:
        if tool.function is None:
            raise InvalidRequest(f"A tool of type {tool.type!r} can't be used.", hint="Only function tools can.")
        function = tool.function
        parameters = function.parameters or {"type": "object", "properties": {}}
        spec = ToolSpec(name=function.name, description=function.description or "", parameters=parameters)
        tools.append(ExternalTool(spec))
    return tuple(tools)


def tool_choice(
    given: str | dict[str, Any] | None, tools: tuple[ExternalTool, ...]
) -> tuple[str, tuple[ExternalTool, ...]]:
    """As an agent's setting, with the tools that it leaves. Raises InvalidRequest."""
    if given is None or isinstance(given, str):
        if given not in (None, "auto", "none", "required"):
            raise InvalidRequest(f"tool_choice {given!r} isn't known.", hint="Give auto, none, required or a function.")
        return given or "auto", tools
    if given.get("type") == "allowed_tools":
        allowed = cast("dict[str, Any]", given.get("allowed_tools") or given)
        named = [_named(one) for one in cast("list[dict[str, Any]]", allowed.get("tools") or [])]
        return str(allowed.get("mode", "auto")), tuple(tool for tool in tools if tool.spec.name in named)
    name = _named(given)
    if name not in [tool.spec.name for tool in tools]:
        raise InvalidRequest(f"tool_choice names {name!r}, which is not among the tools.", hint="Name one of them.")
    return name, tools


def _named(choice: dict[str, Any]) -> str:
    function = choice.get("function")
    name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else choice.get("name")
    if not isinstance(name, str):
        raise InvalidRequest(
            "tool_choice names no function.", hint='Write {"type": "function", "function": {"name": …}}.'
        )
    return name


def response_format(given: dict[str, Any] | None) -> Constraint | None:
    """Raises InvalidRequest."""
    kind = (given or {}).get("type")
    if given is None or kind in (None, "text"):
        return None
    if kind == "json_object":
        # llama-server's clients put a schema beside the type.
        schema = given.get("schema")
        return Constraint(kind="json_schema", source=json.dumps(schema) if schema else ANY_OBJECT)
    if kind == "json_schema":
        named = given.get("json_schema") or given
        schema = cast("dict[str, Any]", named).get("schema") if isinstance(named, dict) else None
        if not isinstance(schema, (dict, bool)):
            raise InvalidRequest("response_format has no schema.", hint="Put it under json_schema.schema.")
        return Constraint(kind="json_schema", source=json.dumps(schema))
    raise InvalidRequest(f"response_format {kind!r} isn't known.", hint="Give text, json_object or json_schema.")
