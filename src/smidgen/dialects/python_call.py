"""Tools told as Python stubs, called with keyword arguments: few tokens, and a notation every small model has seen."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, cast

from smidgen.dialects import Parsed
from smidgen.dialects.grammar import PYTHON, Grammar, literal, several
from smidgen.dialects.python_calls import call_list, known_call, line_call, printed_call
from smidgen.dialects.reading import Form, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, JsonSchema, Message, ToolCall, ToolSpec

name = "python_call"

_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "None",
}


def instructions(tools: Sequence[ToolSpec]) -> str:
    return (
        f"You can call these Python functions:\n\n{stubs(tools)}\n\n"
        'Write the calls with keyword arguments, one per line, for example: name(argument="value")'
    )


def stubs(tools: Sequence[ToolSpec]) -> str:
    return "\n\n".join(_stub(tool) for tool in tools)


def _stub(tool: ToolSpec) -> str:
    properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
    required = cast(list[str], tool.parameters.get("required", []))
    arguments: list[str] = []
    notes: list[str] = []
    for key, schema in properties.items():
        default = ""
        if key not in required:
            default = f" = {_write(schema.get('default'))}"
        arguments.append(f"{key}: {_type(schema)}{default}")
        if schema.get("description"):
            notes.append(f"    {key}: {schema['description']}")
    doc = (
        f'    """{tool.description}"""'
        if not notes
        else f'    """{tool.description}\n' + "\n".join(notes) + '\n    """'
    )
    return f"def {tool.name}({', '.join(arguments)}):\n{doc}"


def _type(schema: JsonSchema) -> str:
    if "enum" in schema:
        return f"Literal[{', '.join(_write(option) for option in cast(list[Any], schema['enum']))}]"
    options = cast(list[JsonSchema], schema.get("anyOf") or schema.get("oneOf") or [])
    if options:
        return " | ".join(dict.fromkeys(_type(option) for option in options))
    declared = schema.get("type")
    if isinstance(declared, list):
        return " | ".join(_TYPES.get(kind, "Any") for kind in cast(list[str], declared))
    if declared == "array" and isinstance(schema.get("items"), dict):
        return f"list[{_type(cast(JsonSchema, schema['items']))}]"
    return _TYPES.get(str(declared), "Any")


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    grammar = Grammar(PYTHON)
    calls = call_rules(grammar, tools)
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "\n", most)))


def call_rules(grammar: Grammar, tools: Sequence[ToolSpec]) -> list[str]:
    """A rule for each tool's call. Raises ConstraintError."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    calls: list[str] = []
    for tool in tools:
        if not tool.parameters.get("properties"):
            calls.append(grammar.rule(literal(f"{tool.name}()")))
            continue
        members = grammar.members(tool.parameters, lambda key: f"{key}=", ", ", 1)
        filled = f"{literal(tool.name + '(')} {members} {literal(')')}"
        if not tool.parameters.get("required"):
            filled = f"{literal(tool.name + '()')} | {filled}"
        calls.append(grammar.rule(filled))
    return calls


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (call_list(tools), printed_call(tools), known_call(tools), line_call(tools))


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    """Calls of known tools anywhere outside thinking blocks; of an unknown one only where it is a line by itself."""
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    written = ", ".join(f"{key}={_write(value)}" for key, value in call.arguments.items())
    return f"{call.name}({written})"


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "\n".join(write_call(call) for call in calls)


def _write(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_write(item) for item in cast(list[Any], value))}]"
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value).items()
        return "{" + ", ".join(f"{_write(key)}: {_write(item)}" for key, item in pairs) + "}"
    return repr(value)


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"{name} returned:\n{result}", name=name)


def stop() -> tuple[str, ...]:
    return ("\n",)
