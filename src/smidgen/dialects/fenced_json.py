"""Calls as an indented JSON object in a fenced block, the way Qwen2.5-Coder writes them by itself.

The tools are told as Qwen2.5's chat template does (its wording, from the model's own metadata): one JSON object per
line within <tools></tools>.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from smidgen.dialects import Parsed
from smidgen.dialects.grammar import JSON, Grammar, literal, several
from smidgen.dialects.json_calls import bare, fenced, tagged, told
from smidgen.dialects.reading import Form, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, Message, ToolCall, ToolSpec

name = "fenced_json"


def instructions(tools: Sequence[ToolSpec]) -> str:
    listed = "\n".join(told(tools))
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>\n{listed}\n</tools>\n\n"
        "For each function call, return a json object with function name and arguments in a ```json block:\n"
        '```json\n{\n    "name": <function-name>,\n    "arguments": <args-json-object>\n}\n```'
    )


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON)
    calls: list[str] = []
    for tool in tools:
        opening = f'```json\n{{\n    "name": {json.dumps(tool.name)},\n    "arguments": '
        arguments = grammar.value({"additionalProperties": False, **tool.parameters, "type": "object"}, 1)
        calls.append(grammar.rule(f"{literal(opening)} {arguments} {literal(chr(10) + '}' + chr(10) + '```')}"))
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "\n", most)))


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (tagged(tools), fenced(tools), bare(tools))


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    body = json.dumps({"name": call.name, "arguments": call.arguments}, indent=4, ensure_ascii=False, default=str)
    return f"```json\n{body}\n```"


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "\n".join(write_call(call) for call in calls)


def write_result(name: str, result: str) -> Message:
    """As Qwen2.5's template shows it: the result within <tool_response>, on the user's side."""
    return Message(role="user", content=f"<tool_response>\n{result}\n</tool_response>", name=name)


def stop() -> tuple[str, ...]:
    return ()
