"""Calls as the tool's own XML element with one element per argument: `<read_file><path>a.txt</path></read_file>`.

Coding assistants ask models for it that were trained for no other way. Texts stand as they are, without escapes, so one
that holds its own closing tag can't be written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, cast

from smidgen.dialects import Parsed, raw
from smidgen.dialects.grammar import JSON_LINE, Grammar, literal, several
from smidgen.dialects.lenient import loads, without_begun
from smidgen.dialects.opening import SPACE, Atom, Opening, opening
from smidgen.dialects.reading import Form, Found, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, JsonSchema, Message, ToolCall, ToolSpec

name = "flat_xml"

_WRAPPERS = ("<tool_call>", "<tool>", "<tool_use>")
_WRAPPERS_END = ("</tool_call>", "</tool>", "</tool_use>")
_AFTER_NAME = Atom(r"[\s/>]")
_ATTRIBUTE = re.compile(r"""\s+(?P<key>[\w.-]{1,128})\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')""")
_TAG_END = re.compile(r"\s*(?P<slash>/?)>")
_MAY_BE_TAG = re.compile(r"""\s*+/?|\s++[\w.-]{1,128}+(?:\s*+=\s*+(?:"[^"]{0,4000}+|'[^']{0,4000}+)?)?\s*+""")
_ELEMENT = re.compile(r"<(?P<key>[A-Za-z_][\w.-]{0,127})>")
_MAY_BE_ELEMENT = re.compile(r"</?(?:[A-Za-z_][\w.-]{0,127})?")


def instructions(tools: Sequence[ToolSpec]) -> str:
    shown = "\n\n".join(_shown(tool) for tool in tools)
    return (
        "You can use these tools. To use one, write its element, with one element in it per argument, "
        f"as in its usage:\n\n{shown}"
    )


def _shown(tool: ToolSpec) -> str:
    properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
    required = cast(list[str], tool.parameters.get("required", []))
    lines = [f"## {tool.name}", tool.description]
    for key, schema in properties.items():
        kind = " or ".join(cast(list[str], schema["type"])) if isinstance(schema.get("type"), list) else ""
        kind = kind or str(schema.get("type", "any"))
        needed = "required" if key in required else "optional"
        choices = f", one of {json.dumps(schema['enum'], ensure_ascii=False)}" if "enum" in schema else ""
        note = f": {schema['description']}" if schema.get("description") else ""
        lines.append(f"- {key} ({kind}, {needed}{choices}){note}")
    usage = "\n".join([f"<{tool.name}>", *(f"<{key}>{key} here</{key}>" for key in properties), f"</{tool.name}>"])
    return "\n".join([*lines, "Usage:", usage])


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON_LINE)
    calls = [grammar.rule(_call_body(grammar, tool)) for tool in tools]
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "\n", most)))


def _call_body(grammar: Grammar, tool: ToolSpec) -> str:
    grammar.check(tool.parameters)
    body = [literal(f"<{tool.name}>\n")]
    required = cast(list[str], tool.parameters.get("required", []))
    for key, schema in cast(dict[str, JsonSchema], tool.parameters.get("properties", {})).items():
        closing = f"</{key}>\n"

        def text(fewest: int, most: int, key: str = key, closing: str = closing) -> str:
            return grammar.text_up_to(closing, (f"</{key}>", f"</{tool.name}>"), fewest, most)

        value = raw.rule(grammar, schema, closing, text, required=key in required)
        member = f"{literal(f'<{key}>')} {value}"
        body.append(grammar.rule(member) if key in required else f"({grammar.rule(member)})?")
    return " ".join([*body, literal(f"</{tool.name}>")])


def tool_element(tools: Sequence[ToolSpec]) -> Form:
    """The element of a known tool; other elements are text."""
    known = {tool.name: tool for tool in tools}
    names = tuple(known)
    begins = _begins(names) if names else opening((Atom("(?!)"),))

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        at = match.end() - 1
        called = match.group()[match.group().rindex("<") + 1 : -1]
        return _Element(text, known[called], names, final).read(at, match.end())

    closing = opening((SPACE, _WRAPPERS_END))
    return Form(strategy="xml_element", opening=begins, read=read, closing=closing)


def _begins(names: tuple[str, ...]) -> Opening:
    element = ("<", names, _AFTER_NAME)
    return opening((_WRAPPERS, SPACE, *element), element)


class _Element:
    """Reads one element."""

    def __init__(self, text: str, tool: ToolSpec, tools: Collection[str], final: bool) -> None:
        self._text = text
        self._final = final
        self._tools = tools
        self._name = tool.name
        self._close = f"</{tool.name}>"
        self._properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
        self._required = cast(list[str], tool.parameters.get("required", []))
        self._arguments: dict[str, Any] = {}

    def read(self, at: int, after_opening: int) -> Found | None:
        """`at`: where the tag goes on after its name."""
        text, start = self._text, at
        while found := _ATTRIBUTE.match(text, at):
            value = found["double"] if found["double"] is not None else found["single"]
            self._set(found["key"], value)
            at = found.end()
        tag_end = _TAG_END.match(text, at)
        if tag_end is None:
            begun = _MAY_BE_TAG.fullmatch(text, at)
            return None if begun and not self._final else Found(after_opening)
        at = tag_end.end()
        if tag_end["slash"]:
            return self._found(at)
        first = True
        while True:
            step = self._step(at, first)
            if step is None:
                return None
            at, done = step
            if done:
                break
            first = False
        if text.startswith(self._close, at):
            return self._found(at + len(self._close))
        if self._arguments or (not text[at:].strip() and not self._required and self._alone(start)):
            return self._found(at)
        return Found(after_opening)

    def _found(self, end: int) -> Found:
        return Found(end, (ToolCall(name=self._name, arguments=self._arguments),))

    def _alone(self, start: int) -> bool:
        return not self._text[self._text.rfind("\n", 0, start) + 1 : start].removesuffix(f"<{self._name}").strip()

    def _step(self, at: int, first: bool) -> tuple[int, bool] | None:
        """Reads the next argument. Where reading goes on, and whether the call is over; None if more text is needed."""
        text = self._text
        begin = at
        while at < len(text) and text[at].isspace():
            at += 1
        if text.startswith(self._close, at):
            return at, True
        head = _ELEMENT.match(text, at)
        if head is None or (head["key"] not in self._properties and head["key"] in self._tools):
            if not self._final and (at == len(text) or _MAY_BE_ELEMENT.fullmatch(text, at)):
                return None
            return self._body(begin) if first else (begin, True)
        key = head["key"]
        ends = [(index, end) for end in (f"</{key}>", self._close) if (index := text.find(end, head.end())) >= 0]
        if not ends and not self._final:
            return None
        index, end = min(ends, default=(len(text), ""))
        if end == f"</{key}>":
            self._set(key, text[head.end() : index])
            return index + len(end), False
        if key not in self._properties:
            return begin, True
        # The closing tag was left out: the next argument's tag is then the end.
        following = [
            found.start()
            for other in self._properties
            if other != key and (found := re.compile(re.escape(f"<{other}>")).search(text, head.end(), index))
        ]
        index = min(following, default=index)
        value = text[head.end() : index]
        if index == len(text):
            value = without_begun(value, (f"</{key}>", self._close))
        self._set(key, value.rstrip())
        return index, False

    def _body(self, at: int) -> tuple[int, bool] | None:
        """The element holds no elements: JSON, or the value of the only parameter."""
        keys = self._required if len(self._required) == 1 else list(self._properties)
        if len(keys) != 1 and not self._text[at:].lstrip().startswith("{"):
            return at, True
        paragraph = self._text.find("\n\n", at)
        end = self._text.find(self._close, at, len(self._text) if paragraph < 0 else paragraph)
        if end < 0:
            return (at, True) if self._final or paragraph >= 0 else None
        written = self._text[at:end].strip()
        value = loads(written) if written.startswith("{") else None
        if isinstance(value, dict):
            self._arguments.update(cast(dict[str, Any], value))
        elif written and len(keys) == 1 and not self._arguments:
            self._set(keys[0], written)
        return end, True

    def _set(self, key: str, written: str) -> None:
        if written.startswith("\n") and written.endswith("\n") and len(written) > 1:
            written = written[1:-1]
        self._arguments.setdefault(key, raw.read(written, self._properties.get(key, {})))


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (tool_element(tools),)


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    lines = [f"<{call.name}>"]
    for key, value in call.arguments.items():
        written = raw.write(value)
        if written.startswith("\n") and written.endswith("\n"):
            written = f"\n{written}\n"
        lines.append(f"<{key}>{written}</{key}>")
    return "\n".join([*lines, f"</{call.name}>"])


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "\n".join(write_call(call) for call in calls)


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"{name} returned:\n{result}", name=name)


def stop() -> tuple[str, ...]:
    return ()
