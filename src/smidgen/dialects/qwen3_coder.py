"""Calls as XML, one element per argument: `<function=NAME><parameter=KEY>value</parameter></function>` within
<tool_call></tool_call>. Qwen3-Coder and Qwen3.5 write it; small ones often leave the opening tag out.

Texts stand as they are, without quotes or escapes, so one that holds `</parameter>` can't be written.
Llama 3.1's `<function=NAME>{"key": "value"}</function>` is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, cast

from smidgen.dialects import Parsed, raw
from smidgen.dialects.grammar import JSON_LINE, Grammar, literal, mark, several
from smidgen.dialects.json_calls import told
from smidgen.dialects.lenient import loads, span, without_begun
from smidgen.dialects.opening import SPACE, opening
from smidgen.dialects.reading import Form, Found, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, JsonSchema, Message, ToolCall, ToolSpec

name = "qwen3_coder"

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_ENDS = ("</parameter>", "<parameter=", "</function>", "<function=", OPEN, CLOSE)
_AFTER = ("</function>", "<function=", OPEN, CLOSE)
_FUNCTION = re.compile(r"\s*[\"']?(?P<name>[^<>\s\"']{1,128})[\"']?\s*>")
_MAY_BE_FUNCTION = re.compile(r"\s*[\"']?[^<>\s\"']{0,128}[\"']?\s*")
_PARAMETER = re.compile(r"<parameter=[\"']?(?P<name>[^<>\n\"']{1,128})[\"']?>")
_MAY_BE_PARAMETER = re.compile(r"<parameter=[^<>\n]{0,130}")
_BEGINS = opening((OPEN, SPACE, "<function="), ("<function=",))
_CLOSING = opening((SPACE, (CLOSE, "</function>")))


def instructions(tools: Sequence[ToolSpec]) -> str:
    listed = "\n".join(told(tools))
    return (
        f"# Tools\n\nYou have access to the following functions:\n\n<tools>\n{listed}\n</tools>\n\n"
        "To call a function, reply in this format, with one <parameter=...> block per argument:\n\n"
        f"{OPEN}\n<function=function_name>\n<parameter=parameter_name>\nvalue\n</parameter>\n</function>\n{CLOSE}"
    )


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON_LINE)
    calls = [grammar.rule(_call_body(grammar, tool, special)) for tool in tools]
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "\n", most)))


def _call_body(grammar: Grammar, tool: ToolSpec, special: Collection[str]) -> str:
    grammar.check(tool.parameters)
    body = [mark(OPEN, special), literal(f"\n<function={tool.name}>\n")]
    required = cast(list[str], tool.parameters.get("required", []))
    closing = "\n</parameter>\n"

    def text(fewest: int, most: int) -> str:
        return grammar.text_up_to(closing, _ENDS, fewest, most)

    for key, schema in cast(dict[str, JsonSchema], tool.parameters.get("properties", {})).items():
        value = raw.rule(grammar, schema, closing, text, required=key in required)
        member = f"{literal(f'<parameter={key}>' + chr(10))} {value}"
        body.append(grammar.rule(member) if key in required else f"({grammar.rule(member)})?")
    return " ".join([*body, literal("</function>\n"), mark(CLOSE, special)])


def xml_function(tools: Sequence[ToolSpec]) -> Form:
    known = {tool.name: tool for tool in tools}

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        head = _FUNCTION.match(text, match.end())
        if head is None:
            begun = _MAY_BE_FUNCTION.fullmatch(text, match.end())
            return None if begun and not final else Found(match.end())
        properties: dict[str, JsonSchema] = {}
        if head["name"] in known:
            properties = known[head["name"]].parameters.get("properties", {})
        arguments: dict[str, Any] = {}
        at = head.end()
        while True:
            at = _skip_space(text, at)
            if text.startswith(_AFTER, at):
                break
            if text.startswith(_ENDS[0], at):
                at += len(_ENDS[0])
                continue
            step = _read_parameter(text, at, properties, arguments, final)
            if step is None:
                return None
            if step == at:
                # Neither a parameter nor an end: the end was left out.
                if not arguments and not (at == len(text) and head["name"] in known):
                    return Found(match.end())
                break
            at = step
        return Found(at, (ToolCall(name=head["name"], arguments=arguments),))

    return Form(strategy="xml_function", opening=_BEGINS, read=read, closing=_CLOSING)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _read_parameter(
    text: str, at: int, properties: dict[str, JsonSchema], arguments: dict[str, Any], final: bool
) -> int | None:
    """Where reading goes on; `at` if no parameter is there, None if that can't be told yet."""
    if text.startswith("{", at):
        return _read_object(text, at, arguments, final)
    head = _PARAMETER.match(text, at)
    if head is None:
        rest = text[at : at + 160]
        begun = any(end.startswith(rest) for end in _ENDS) or _MAY_BE_PARAMETER.fullmatch(rest)
        return None if begun and not final else at
    ends = [(index, end) for end in _ENDS if (index := text.find(end, head.end())) >= 0]
    if not ends and not final:
        return None
    index, end = min(ends, default=(len(text), ""))
    closed = end == _ENDS[0]
    value = text[head.end() : index]
    value = _inner(value if end else without_begun(value, _ENDS))
    key = head["name"].strip()
    arguments.setdefault(key, raw.read(value if closed else value.rstrip(), properties.get(key, {})))
    return index + len(end) if closed else index


def _read_object(text: str, at: int, arguments: dict[str, Any], final: bool) -> int | None:
    found = span(text, at, ("</function>",))
    if found is None and not final:
        return None
    end = found[0] if found else len(text)
    value = loads(text[at:end])
    if not isinstance(value, dict):
        return at
    arguments.update(cast(dict[str, Any], value))
    return end


def _inner(text: str) -> str:
    """A value stands on lines of its own."""
    if text.startswith("\r\n") and text.endswith("\r\n"):
        return text[2:-2]
    return text.removeprefix("\n").removesuffix("\n")


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (xml_function(tools),)


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    written = "".join(f"<parameter={key}>\n{raw.write(value)}\n</parameter>\n" for key, value in call.arguments.items())
    return f"{OPEN}\n<function={call.name}>\n{written}</function>\n{CLOSE}"


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "\n".join(write_call(call) for call in calls)


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"<tool_response>\n{result}\n</tool_response>", name=name)


def stop() -> tuple[str, ...]:
    return ()
