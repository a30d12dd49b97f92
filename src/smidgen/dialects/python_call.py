"""Tools told as Python stubs, called with keyword arguments: few tokens, and a notation every small model has seen."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any, cast

from smidgen.dialects import Parsed
from smidgen.dialects.convert import convert_call
from smidgen.dialects.grammar import PYTHON, Grammar, literal
from smidgen.dialects.lenient import MISSING, closers, end_of_value, parse_expression, value_of, without_thinking
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, JsonSchema, Message, ToolCall, ToolSpec

name = "python_call"

MAX_CALLS = 32
MAX_UNCLOSED = 8
"""Starts of calls without an end that are looked into: a cut-off text has one, a hostile one thousands."""
_CALL = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_]\w{0,127})\(")
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
    stubs = "\n\n".join(_stub(tool) for tool in tools)
    return (
        f"You can call these Python functions:\n\n{stubs}\n\n"
        'Write one call with keyword arguments, for example: name(argument="value")'
    )


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


def constraint(tools: Sequence[ToolSpec]) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(PYTHON)
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
    return Constraint(kind="lark", source=grammar.source(" | ".join(calls)))


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    """Calls of known tools anywhere outside thinking blocks; of an unknown one only where it is a line by itself."""
    text = without_thinking(text)
    known = {tool.name for tool in tools}
    calls: list[ToolCall] = []
    rest: list[str] = []
    position = unclosed = 0
    for match in _CALL.finditer(text):
        if match.start() < position or len(calls) == MAX_CALLS:
            continue
        if match["name"] not in known and not _stands_alone(text, match.start()):
            continue
        end = end_of_value(text, match.end() - 1)
        source = text[match.start() : end] if end else text[match.start() :].split("```")[0].rstrip()
        if end is None:
            unclosed += 1
            if unclosed > MAX_UNCLOSED:
                break
            source += closers(source)
        if match["name"] not in known and any(inner["name"] in known for inner in _CALL.finditer(source)):
            continue
        call = _read(source, tools)
        if call is None or (call.name not in known and not _line_ends(text, end)):
            continue
        calls.append(call)
        rest.append(text[position : match.start()])
        position = end or len(text)
    if not calls:
        return Parsed(text=text.strip())
    rest.append(text[position:])
    around = re.sub(r"```\w*\s*```", "", "".join(rest)).strip()
    if re.fullmatch(r"```\w*|print\(\s*\)", around):
        around = ""
    return Parsed(calls=tuple(convert_call(call, tuple(tools)) for call in calls), text=around, strategy="python_call")


def _stands_alone(text: str, start: int) -> bool:
    return not text[:start].rsplit("\n", 1)[-1].strip()


def _line_ends(text: str, end: int | None) -> bool:
    return end is None or not text[end:].split("\n", 1)[0].strip()


def _read(source: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    tree = parse_expression(source)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        return None
    called = tree.func.id
    spec = next((tool for tool in tools if tool.name == called), None)
    names = list(cast(dict[str, Any], spec.parameters.get("properties", {}))) if spec else []
    arguments: dict[str, Any] = {}
    for key, node in [*zip(names, tree.args, strict=False), *((word.arg, word.value) for word in tree.keywords)]:
        value = value_of(node)
        if value is MISSING:
            value = ast.get_source_segment(source.strip(), node) or ""
        if key is None:
            if isinstance(value, dict):
                arguments.update(cast(dict[str, Any], value))
            continue
        arguments[key] = value
    return ToolCall(name=called, arguments=arguments)


def write_call(call: ToolCall) -> str:
    written = ", ".join(f"{key}={_write(value)}" for key, value in call.arguments.items())
    return f"{call.name}({written})"


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
