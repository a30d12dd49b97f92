"""Calls as an indented JSON object in a fenced block, the way Qwen2.5-Coder writes them by itself.

The tools are told as Qwen2.5's chat template does (its wording, from the model's own metadata): one JSON object per
line within <tools></tools>.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from smidgen.dialects import Parsed
from smidgen.dialects.convert import convert_call
from smidgen.dialects.grammar import JSON, Grammar, literal
from smidgen.dialects.lenient import MISSING, end_of_value, loads, without_thinking
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, Message, ToolCall, ToolSpec

name = "fenced_json"

_FENCE = re.compile(r"```[ \t]*(?:json|tool_call|tool_code)?[ \t]*\n?(?P<body>.*?)(?:```|\Z)", re.DOTALL)
_TAG = re.compile(r"<tool_call>(?P<body>.*?)(?:</tool_call>|\Z)", re.DOTALL)
_BARE = re.compile(r"\{\s*['\"](?:name|function|tool)['\"]\s*:")
_NAME_KEYS = ("name", "function", "tool", "tool_name")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")
MAX_CALLS = 32


def instructions(tools: Sequence[ToolSpec]) -> str:
    lines = [
        json.dumps(
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            },
            ensure_ascii=False,
        )
        for tool in tools
    ]
    listed = "\n".join(lines)
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>\n{listed}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments in a ```json block:\n"
        '```json\n{\n    "name": <function-name>,\n    "arguments": <args-json-object>\n}\n```'
    )


def constraint(tools: Sequence[ToolSpec]) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON)
    calls: list[str] = []
    for tool in tools:
        opening = f'```json\n{{\n    "name": {json.dumps(tool.name)},\n    "arguments": '
        arguments = grammar.value({"additionalProperties": False, **tool.parameters, "type": "object"}, 1)
        calls.append(grammar.rule(f"{literal(opening)} {arguments} {literal(chr(10) + '}' + chr(10) + '```')}"))
    return Constraint(kind="lark", source=grammar.source(" | ".join(calls)))


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    text = without_thinking(text)
    for strategy, pattern in (("tool_call", _TAG), ("fenced_json", _FENCE)):
        calls: list[ToolCall] = []
        rest: list[str] = []
        position = 0
        for match in pattern.finditer(text):
            found = _calls(match["body"])
            if found:
                calls.extend(found)
                rest.append(text[position : match.start()])
                position = match.end()
        if calls:
            rest.append(text[position:])
            return _parsed(calls, "".join(rest), strategy, tools)
    bare = _BARE.search(text)
    if bare:
        end = end_of_value(text, bare.start())
        found = _calls(text[bare.start() : end])
        if found:
            rest_text = text[: bare.start()] + (text[end:] if end else "")
            return _parsed(found, rest_text, "bare_json", tools)
    return Parsed(text=text.strip())


def _parsed(calls: list[ToolCall], text: str, strategy: str, tools: Sequence[ToolSpec]) -> Parsed:
    converted = tuple(convert_call(call, tuple(tools)) for call in calls[:MAX_CALLS])
    return Parsed(calls=converted, text=text.strip(), strategy=strategy)


def _calls(body: str) -> list[ToolCall]:
    value = loads(body)
    if value is MISSING:
        return []
    values = cast(list[Any], value) if isinstance(value, list) else [value]
    calls = [call for item in values[:MAX_CALLS] if (call := _call(item)) is not None]
    if calls and not isinstance(value, list):
        for line in body.splitlines()[1:]:
            if _BARE.match(line.strip()) and (more := _call(loads(line))) is not None and more not in calls:
                calls.append(more)
    return calls


def _call(value: Any) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    fields = cast(dict[str, Any], value)
    inner = fields.get("function")
    if isinstance(inner, dict):
        return _call(inner)
    called = next((fields[key] for key in _NAME_KEYS if isinstance(fields.get(key), str)), None)
    arguments: Any = next((fields[key] for key in _ARGUMENT_KEYS if key in fields), MISSING)
    if isinstance(arguments, str):
        arguments = loads(arguments)
    if called is None or not isinstance(arguments, dict):
        return None
    return ToolCall(name=called.strip(), arguments=cast(dict[str, Any], arguments))


def write_call(call: ToolCall) -> str:
    body = json.dumps({"name": call.name, "arguments": call.arguments}, indent=4, ensure_ascii=False, default=str)
    return f"```json\n{body}\n```"


def write_result(name: str, result: str) -> Message:
    """As Qwen2.5's template shows it: the result within <tool_response>, on the user's side."""
    return Message(role="user", content=f"<tool_response>\n{result}\n</tool_response>", name=name)


def stop() -> tuple[str, ...]:
    return ()
