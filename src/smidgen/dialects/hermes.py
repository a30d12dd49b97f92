"""Calls as a JSON object on one line within <tool_call></tool_call>: Hermes 2 and 3, Qwen2.5, Qwen3, SmolLM3 and
Granite 4.

The tools are told as those models' chat templates do.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from smidgen.dialects import Parsed
from smidgen.dialects.grammar import JSON_LINE, Grammar, literal, mark, several
from smidgen.dialects.json_calls import bare, fenced, tagged, told
from smidgen.dialects.reading import Form, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, Message, ToolCall, ToolSpec

name = "hermes"

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def instructions(tools: Sequence[ToolSpec]) -> str:
    listed = "\n".join(told(tools))
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n"
        f"<tools>\n{listed}\n</tools>\n\n"
        f"For each function call, return a json object with function name and arguments within {OPEN}{CLOSE} XML tags:"
        f'\n{OPEN}\n{{"name": <function-name>, "arguments": <args-json-object>}}\n{CLOSE}'
    )


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON_LINE)
    calls: list[str] = []
    for tool in tools:
        head = f'\n{{"name": {json.dumps(tool.name)}, "arguments": '
        arguments = grammar.value({"additionalProperties": False, **tool.parameters, "type": "object"}, 1)
        body = f"{literal(head)} {arguments} {literal('}' + chr(10))}"
        calls.append(grammar.rule(f"{mark(OPEN, special)} {body} {mark(CLOSE, special)}"))
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "\n", most)))


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (tagged(tools), fenced(tools), bare(tools))


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    body = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False, default=str)
    return f"{OPEN}\n{body}\n{CLOSE}"


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "\n".join(write_call(call) for call in calls)


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"<tool_response>\n{result}\n</tool_response>", name=name)


def stop() -> tuple[str, ...]:
    return ()
