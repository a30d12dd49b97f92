"""A chat request as what an agent takes: messages, tools and options, and what of it can't be acted on. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from smidgen.api.client_tools import client_tool
from smidgen.api.openai.requests import ChatMessage, ChatRequest, Part, Sampled, ToolParam
from smidgen.errors import ConstraintError, InvalidRequest, UnsupportedByModel
from smidgen.messages import Constraint, Message, SamplingChange, ToolCall
from smidgen.tools.external import ExternalTool

ROLES = {"developer": "system", "function": "tool"}
WITHOUT_EFFECT = (
    "logit_bias",
    "samplers",
    "timings_per_token",
    "audio",
    "modalities",
    "prediction",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
)
"""Fields that would change the answer elsewhere and don't here. Others that aren't known only keep books."""

NEUTRAL: Mapping[str, float] = {
    "typical_p": 1.0,
    "top_n_sigma": -1.0,
    "mirostat": 0,
    "dynatemp_range": 0.0,
    "xtc_probability": 0.0,
    "dry_multiplier": 0.0,
}
"""llama-server's samplers that aren't here, each with the value that switches it off."""

ANY_OBJECT = '{"type":"object"}'
SEEDS = 2**31
LEAST_TOP_P = 1e-6


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """options: `AgentOptions`. ignored: what the client must be told wasn't acted on."""

    messages: tuple[Message, ...]
    tools: tuple[ExternalTool, ...]
    options: dict[str, Any]
    ignored: tuple[str, ...]


def translated(request: ChatRequest) -> Translated:
    """Raises InvalidRequest, UnsupportedByModel, ConstraintError."""
    if request.functions and request.tools:
        raise refused("functions", "tools and functions were both given.", "Give tools only.")
    legacy = [ToolParam(type="function", function=one) for one in request.functions or ()]
    tools = external_tools(request.tools or legacy)
    asked = request.tool_choice if request.tool_choice is not None or not request.legacy else request.function_call
    choice, tools = tool_choice(asked, tools)
    options: dict[str, Any] = {**sampled(request), "tool_choice": choice}
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else token_limit(request)
    if limit == 0:
        raise refused("max_tokens", "max_tokens is 0, so that nothing could be answered.", "Give at least 1.")
    if limit is not None and limit > 0:
        options["max_tokens"] = limit
    if (constraint := constrained(request)) is not None:
        options["constraint"] = constraint
    if request.top_logprobs and not request.logprobs:
        raise refused("top_logprobs", "top_logprobs needs logprobs to be true.", "Give both.")
    if request.logprobs:
        options["logprobs"] = max(1, request.top_logprobs or 0)
    if request.parallel_tool_calls is False or request.legacy:
        options["off"] = frozenset({"several"})
    return Translated(messages=messages(request.messages), tools=tools, options=options, ignored=ignored(request))


def refused(param: str, message: str, hint: str) -> InvalidRequest:
    """An error about one field of the request."""
    return InvalidRequest(message, hint=hint, param=param)


def token_limit(request: Sampled) -> int | None:
    return request.max_tokens if request.max_tokens is not None else request.n_predict


def sampled(request: Sampled) -> dict[str, Any]:
    """Sampling options; fields that weren't given stay as the model's profile has them."""
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    options: dict[str, Any] = {
        "stop": tuple(text for text in stop if text),
        "change": SamplingChange(
            temperature=request.temperature,
            top_p=top_p(request.top_p),
            top_k=request.top_k,
            min_p=request.min_p,
            repeat_penalty=request.repeat_penalty,
            repeat_last_n=request.repeat_last_n,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
        ),
    }
    if request.seed is not None:
        options["seed"] = request.seed % SEEDS
    return options


def top_p(asked: float | None) -> float | None:
    """0 leaves the likeliest token alone, as the smallest share above it does."""
    return LEAST_TOP_P if asked == 0 else asked


def ignored(request: Sampled) -> tuple[str, ...]:
    given = request.model_dump(exclude_none=True, include=set(WITHOUT_EFFECT)) | (request.model_extra or {})
    names = [name for name in WITHOUT_EFFECT if given.get(name)]
    names += [name for name, off in NEUTRAL.items() if given.get(name, off) not in (off, None)]
    return tuple(f"{name} has no effect here." for name in names)


# --- messages -------------------------------------------------------------------------------------------------------


def messages(given: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Results get the names of the tools that they answer for."""
    names = {call.id: call.function.name for message in given for call in message.tool_calls or ()}
    return tuple(_message(message, names) for message in given)


def _message(given: ChatMessage, names: Mapping[str, str]) -> Message:
    role = cast(Any, ROLES.get(given.role, given.role))
    calls = [
        ToolCall(name=call.function.name, arguments=arguments(call.function.arguments), id=call.id)
        for call in given.tool_calls or ()
    ]
    if (call := given.function_call) is not None:
        calls.append(ToolCall(name=call.name, arguments=arguments(call.arguments)))
    return Message(
        role=role,
        content=text_of(given.content),
        tool_calls=tuple(calls),
        call_id=given.tool_call_id or "",
        name=given.name or names.get(given.tool_call_id or "", ""),
    )


def text_of(content: str | Sequence[Part] | None) -> str:
    """Raises UnsupportedByModel for pictures and the like."""
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part in content:
        told = part.text if part.text is not None else part.refusal
        if told is None:
            raise UnsupportedByModel(
                f"Content of type {part.type!r} can't be read here.", hint="Send text only.", param="messages"
            )
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
            raise refused("tools", f"A tool of type {tool.type!r} can't be used.", "Only function tools can.")
        function = tool.function
        if function.name in {known.spec.name for known in tools}:
            raise refused("tools", f"Two tools are called {function.name!r}.", "Rename one.")
        tools.append(client_tool(function.name, function.description, function.parameters))
    return tuple(tools)


def tool_choice(
    given: str | dict[str, Any] | None, tools: tuple[ExternalTool, ...]
) -> tuple[str, tuple[ExternalTool, ...]]:
    """As an agent's setting, with the tools that it leaves. Raises InvalidRequest."""
    if given is None or isinstance(given, str):
        if given not in (None, "auto", "none", "required"):
            raise refused(
                "tool_choice", f"tool_choice {given!r} isn't known.", "Give auto, none, required or a function."
            )
        return given or "auto", tools
    if given.get("type") == "allowed_tools":
        return _allowed(given, tools)
    name = _named(given)
    if name not in [tool.spec.name for tool in tools]:
        raise refused("tool_choice", f"tool_choice names {name!r}, which is not among the tools.", "Name one of them.")
    return name, tools


def _allowed(given: dict[str, Any], tools: tuple[ExternalTool, ...]) -> tuple[str, tuple[ExternalTool, ...]]:
    inner = given.get("allowed_tools", given)
    allowed = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    mode, listed = allowed.get("mode", "auto"), allowed.get("tools")
    if mode not in ("auto", "required") or not isinstance(listed, list):
        raise refused("tool_choice", "tool_choice allows no tools.", "Give a mode, auto or required, and tools.")
    named = [_named(cast("dict[str, Any]", one)) for one in cast("list[object]", listed) if isinstance(one, dict)]
    kept = tuple(tool for tool in tools if tool.spec.name in named)
    if strange := sorted(set(named) - {tool.spec.name for tool in kept}):
        message = f"tool_choice allows {strange[0]!r}, which is not among the tools."
        raise refused("tool_choice", message, "Name others.")
    return mode, kept


def _named(choice: dict[str, Any]) -> str:
    function = choice.get("function")
    name = cast("dict[str, Any]", function).get("name") if isinstance(function, dict) else choice.get("name")
    if not isinstance(name, str):
        raise refused(
            "tool_choice", "tool_choice names no function.", 'Write {"type": "function", "function": {"name": …}}.'
        )
    return name


def constrained(request: Sampled) -> Constraint | None:
    """What the answer must match. Raises InvalidRequest, ConstraintError."""
    if request.grammar and request.grammar.strip():
        raise ConstraintError(
            "grammar is in GBNF, which can't be enforced here.",
            hint="Give a JSON Schema as response_format or json_schema.",
            param="grammar",
        )
    asked = response_format(request.response_format)
    if request.json_schema is None:
        return asked
    if asked is not None:
        raise refused("json_schema", "response_format and json_schema were both given.", "Give one of them.")
    return Constraint(kind="json_schema", source=json.dumps(request.json_schema))


def response_format(given: dict[str, Any] | None, field: str = "response_format") -> Constraint | None:
    """field: where it stands in the request. Raises InvalidRequest."""
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
            raise refused(field, f"{field} has no schema.", "Put it under schema.")
        return Constraint(kind="json_schema", source=json.dumps(schema))
    raise refused(field, f"{field} {kind!r} isn't known.", "Give text, json_object or json_schema.")
