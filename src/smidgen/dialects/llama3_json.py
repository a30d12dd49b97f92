"""Calls as one bare JSON object with "parameters": Llama 3.1, 3.2 and 3.3. Several are separated by "; ".

The instructions follow those models' chat template.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from smidgen.dialects import Parsed
from smidgen.dialects.grammar import JSON_LINE, Grammar, literal, several
from smidgen.dialects.json_calls import bare, fenced, tagged, told
from smidgen.dialects.reading import Form, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, Message, ToolCall, ToolSpec

name = "llama3_json"

PYTHON_TAG = "<|python_tag|>"


def instructions(tools: Sequence[ToolSpec]) -> str:
    listed = "\n\n".join(told(tools))
    return (
        "Given the following functions, please respond with a JSON for a function call with its proper arguments that "
        'best answers the given prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of '
        f"argument name and its value}}. Do not use variables.\n\n{listed}"
    )


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced. The tag that some models put
    before a call isn't asked for: the template's own history shows calls without it."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON_LINE)
    calls: list[str] = []
    for tool in tools:
        head = f'{{"name": {json.dumps(tool.name)}, "parameters": '
        arguments = grammar.value({"additionalProperties": False, **tool.parameters, "type": "object"}, 1)
        calls.append(grammar.rule(f"{literal(head)} {arguments} {literal('}')}"))
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "; ", most)))


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (bare(tools, (PYTHON_TAG,)), tagged(tools), fenced(tools))


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    return json.dumps({"name": call.name, "parameters": call.arguments}, ensure_ascii=False, default=str)


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "; ".join(write_call(call) for call in calls)


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"{name} returned:\n{result}", name=name)


def stop() -> tuple[str, ...]:
    return ()
