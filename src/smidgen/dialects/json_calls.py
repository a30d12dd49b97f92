"""Calls as JSON objects: what fenced_json, hermes and llama3_json share. Each reads what the others write, too, since
models mix them up."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from smidgen.dialects.lenient import MISSING, loads, loads_prefix, span
from smidgen.dialects.opening import BLANK, QUOTE, SPACE, Atom, Opening, Part, opening
from smidgen.dialects.reading import MAX_CALLS, Form, Found
from smidgen.messages import ToolCall, ToolSpec

NAME_KEYS = ("name", "function", "tool", "tool_name", "function_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
_LIST_KEYS = ("tool_calls", "function_calls", "calls")
_TAGS = ("tool_call", "tool_calls", "function_call", "tools")
_OPEN_TAGS = tuple(f"<{tag}>" for tag in _TAGS)
_CLOSE_TAGS = tuple(f"</{tag}>" for tag in _TAGS)
_STOPS = (*_CLOSE_TAGS, *_OPEN_TAGS, "```")
_BRACKETS = ("{", "[")
_LANGUAGE = Atom(r"\w*+")
_STRAY = Atom(r"[\s\]}]*+")
_CLOSING = opening((_STRAY, _CLOSE_TAGS), (SPACE, ";"))


def told(tools: Sequence[ToolSpec]) -> list[str]:
    """Each tool as the JSON object that chat templates tell it in."""
    return [
        json.dumps(
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            },
            ensure_ascii=False,
        )
        for tool in tools
    ]


def tagged(tools: Sequence[ToolSpec]) -> Form:
    """`<tool_call>{…}</tool_call>`, whatever the object looks like; a fence may stand inside."""
    begins = opening(
        (_OPEN_TAGS, SPACE, _BRACKETS),
        (_OPEN_TAGS, SPACE, "```", BLANK, _LANGUAGE, SPACE, _BRACKETS),
    )
    return _form("tool_call", begins, tools)


def fenced(tools: Sequence[ToolSpec]) -> Form:
    """An object or a list of them in a fenced block."""
    head: tuple[Part, ...] = ("```", BLANK, _LANGUAGE, SPACE)
    return _form("fenced_json", opening(*_objects(_first_keys(tools), head)), tools)


def bare(tools: Sequence[ToolSpec], prefixes: tuple[str, ...] = ()) -> Form:
    """An object that begins as a call does, with nothing around it."""
    keys = (*NAME_KEYS, "type", *_LIST_KEYS)
    sequences = _objects(keys, ())
    for prefix in prefixes:
        sequences += _objects(keys, (prefix, SPACE))
    return _form("bare_json", opening(*sequences), tools)


def _first_keys(tools: Sequence[ToolSpec]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*NAME_KEYS, *ARGUMENT_KEYS, *_LIST_KEYS, "type", "id", *(tool.name for tool in tools))))


def _objects(keys: tuple[str, ...], head: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    first: tuple[Part, ...] = ("{", SPACE, QUOTE, keys, QUOTE, SPACE, ":")
    return [(*head, *first), (*head, "[", SPACE, *first)]


def _form(strategy: str, begins: Opening, tools: Sequence[ToolSpec]) -> Form:
    known = {tool.name: tool for tool in tools}

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        start = next(index for index in range(match.start(), match.end()) if text[index] in _BRACKETS)
        return _read(text, start, known, final)

    return Form(strategy=strategy, opening=begins, read=read, closing=_CLOSING, ends="}]>`")


def _read(text: str, start: int, known: dict[str, ToolSpec], final: bool) -> Found | None:
    found = span(text, start, _STOPS)
    if found is None and not final:
        return None
    end, closed = found or (len(text), False)
    value, taken = loads_prefix(text[start:end])
    calls = calls_in(value, known)
    if not calls or not closed:
        # A quote that was never closed hides the end; the first closing mark is then as good as a bracket.
        cut = _first_stop(text, start, end)
        shorter = calls_in(loads(text[start:cut]), known) if cut < end else []
        if shorter:
            return Found(cut, tuple(shorter))
    return Found(end if found or not calls else start + taken, tuple(calls))


def _first_stop(text: str, start: int, end: int) -> int:
    return min((index for stop in _STOPS if (index := text.find(stop, start, end)) >= 0), default=end)


def calls_in(value: Any, known: dict[str, ToolSpec]) -> list[ToolCall]:
    """The calls that an object or a list of objects says, in any of the usual spellings."""
    if value is MISSING:
        return []
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if len(fields) > 1 and all(key in known and isinstance(item, dict) for key, item in fields.items()):
            value = [{key: item} for key, item in fields.items()]
        else:
            value = next((fields[key] for key in _LIST_KEYS if isinstance(fields.get(key), list)), [fields])
    if not isinstance(value, list):
        return []
    return [call for item in cast(list[Any], value)[:MAX_CALLS] if (call := _call(item, known)) is not None]


def _call(value: Any, known: dict[str, ToolSpec], depth: int = 0) -> ToolCall | None:
    if not isinstance(value, dict) or depth > 4:
        return None
    fields = cast(dict[str, Any], value)
    inner = fields.get("function")
    if isinstance(inner, dict):
        return _call(inner, known, depth + 1)
    key = next((key for key in NAME_KEYS if isinstance(fields.get(key), str)), None)
    if key is None:
        return _keyed_by_name(fields, known)
    called = fields[key].strip()
    arguments: Any = next((fields[name] for name in ARGUMENT_KEYS if name in fields), MISSING)
    if arguments is MISSING:
        return _flat(called, {name: item for name, item in fields.items() if name != key}, known)
    if isinstance(arguments, str):
        arguments = loads(arguments) if arguments.strip() else {}
    if arguments is None:
        arguments = {}
    if not called or not isinstance(arguments, dict) or _is_schema(cast(dict[str, Any], arguments)):
        return None
    return ToolCall(name=called, arguments=cast(dict[str, Any], arguments))


def _is_schema(arguments: dict[str, Any]) -> bool:
    """Small models repeat a tool's description instead of calling it."""
    return arguments.get("type") == "object" and isinstance(arguments.get("properties"), dict)


def _keyed_by_name(fields: dict[str, Any], known: dict[str, ToolSpec]) -> ToolCall | None:
    """`{"weather": {"city": "Paris"}}`"""
    if len(fields) != 1:
        return None
    called, arguments = next(iter(fields.items()))
    if called not in known or not isinstance(arguments, dict):
        return None
    return ToolCall(name=called, arguments=cast(dict[str, Any], arguments))


def _flat(called: str, fields: dict[str, Any], known: dict[str, ToolSpec]) -> ToolCall | None:
    """`{"name": "weather", "city": "Paris"}`: only of a known tool, and nothing but its parameters."""
    if called not in known:
        return None
    fields = {name: item for name, item in fields.items() if name not in ("type", "id")}
    if not set(fields) <= set(known[called].parameters.get("properties", {})):
        return None
    return ToolCall(name=called, arguments=fields)
