"""Calls as lines, for models that can do nothing else: `tool: weather`, then `name: value` for each argument.

The call ends at an empty line, or at the first line that is no argument. Texts stand as they are; one that would be
misread so (it is empty, has a line break, looks like a number…) is written as a JSON string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, cast

from smidgen.dialects import Parsed, raw
from smidgen.dialects.convert import types_of
from smidgen.dialects.grammar import JSON_LINE, Grammar, literal, several
from smidgen.dialects.lenient import loads, span
from smidgen.dialects.opening import BLANK, LINE_START, SPACE, Atom, Part, opening
from smidgen.dialects.reading import Form, Found, Reader, read_all
from smidgen.errors import ConstraintError
from smidgen.messages import Constraint, JsonSchema, Message, ToolCall, ToolSpec

name = "plain_lines"

_TOOL_KEYS = ("tool", "function", "action", "tool name", "tool_name")
_ALL_KEYS = ("arguments", "parameters", "action input", "action_input", "input")
_DECORATION = Atom(r"[ \t*_`-]*+")
_HEAD_END = re.compile(r"(?P<more>[ \t*_`(][^\n]{0,200})?\r?(?P<end>\n|\Z)")
_LINE = re.compile(r"[ \t]*(?:[-*•]\s+)?[*_`]{0,2}(?P<key>[^:=*`\n]{1,128}?)[*_`]{0,2}\s*[:=][*_`]{0,2}(?P<value>.*)")
_PLAIN = re.compile(r"[^\s\"'`\[{][^\x00-\x1f\x7f]*")
_WORDS = ("null", "none", "true", "false")


def instructions(tools: Sequence[ToolSpec]) -> str:
    shown = "\n\n".join(_shown(tool) for tool in tools)
    return (
        f"You can use these tools:\n\n{shown}\n\n"
        "To use a tool, write its name and then one line for each argument, and nothing else:\n"
        "tool: NAME\nargument: value"
    )


def _shown(tool: ToolSpec) -> str:
    required = cast(list[str], tool.parameters.get("required", []))
    lines = [f"tool: {tool.name} ({tool.description})"]
    for key, schema in cast(dict[str, JsonSchema], tool.parameters.get("properties", {})).items():
        about = [str(schema["description"])] if schema.get("description") else []
        if "enum" in schema:
            about.append("one of " + ", ".join(raw.write(choice) for choice in schema["enum"]))
        elif isinstance(schema.get("type"), str):
            about.append(schema["type"])
        if key not in required:
            about.append("may be left out")
        lines.append(f"{key}: {'; '.join(about)}")
    return "\n".join(lines)


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced."""
    if not tools:
        raise ConstraintError("There is no tool to call.")
    grammar = Grammar(JSON_LINE)
    calls = [grammar.rule(_call_body(grammar, tool)) for tool in tools]
    return Constraint(kind="lark", source=grammar.source(several(grammar, calls, "\n\n", most)))


def _call_body(grammar: Grammar, tool: ToolSpec) -> str:
    grammar.check(tool.parameters)
    required = cast(list[str], tool.parameters.get("required", []))

    def text(fewest: int, most: int) -> str:
        quoted = grammar.value({"type": "string", "minLength": fewest, "maxLength": most})
        if not most:
            return quoted
        plain = grammar.rule(f"/[^\\x00-\\x20\\x7F\"'`\\[\\{{][^\\x00-\\x1F\\x7F]{{{max(fewest - 1, 0)},{most - 1}}}/")
        return grammar.rule(f"{plain} | {quoted}")

    body = [literal(f"tool: {tool.name}")]
    for key, schema in cast(dict[str, JsonSchema], tool.parameters.get("properties", {})).items():
        value = raw.rule(grammar, schema, "", text, required=key in required)
        member = f"{literal(f'{chr(10)}{key}: ')} {value}"
        body.append(grammar.rule(member) if key in required else f"({grammar.rule(member)})?")
    return " ".join(body)


def lines(tools: Sequence[ToolSpec]) -> Form:
    """The lines of a known tool."""
    known = {tool.name.lower(): tool for tool in tools}
    head: tuple[Part, ...] = (_DECORATION, _TOOL_KEYS, _DECORATION, ":", _DECORATION, tuple(known))
    fence: tuple[Part, ...] = ("```", BLANK, Atom(r"\w*+"), SPACE)
    begins = opening((*fence, *head), head, before=LINE_START, ignore_case=True) if known else opening((Atom("(?!)"),))

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        end = _HEAD_END.match(text, match.end())
        if end is None:
            return Found(match.end())
        if not end["end"] and not final:
            return None
        written = match.group().rpartition(":")[2].lower()
        longest = max((key for key in known if written.endswith(key)), key=len)
        found = _Lines(text, known[longest], final).read(end.end())
        # More on the line than the name is a repeated description, or prose if no argument follows.
        bare = not (end["more"] or "").strip(" \t\r*_`()")
        return found if bare or not found or found.calls[0].arguments else Found(match.end())

    return Form(strategy="plain_lines", opening=begins, read=read)


class _Lines:
    """Reads the lines after a tool's name."""

    def __init__(self, text: str, tool: ToolSpec, final: bool) -> None:
        self._text = text
        self._final = final
        self._name = tool.name
        self._properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
        self._keys = {_plain(key): key for key in self._properties}
        self._arguments: dict[str, Any] = {}

    def read(self, at: int) -> Found | None:
        while self._properties.keys() - self._arguments.keys():
            step = self._line(at)
            if step is None:
                return None
            if step == at:
                break
            at = step
        return Found(at, (ToolCall(name=self._name, arguments=self._arguments),))

    def _line(self, at: int) -> int | None:
        """Reads one line. Where the next begins; `at` if it is no argument, None if that can't be told yet."""
        text = self._text
        stop = text.find("\n", at)
        complete = stop >= 0
        line = text[at : stop if complete else len(text)]
        if not line.strip():
            if not complete:
                return at if self._final else None
            return at if self._arguments else stop + 1
        found = _LINE.fullmatch(line)
        if found is None:
            return at if complete or self._final or not self._may_be_key(line) else None
        key = self._keys.get(_plain(found["key"]))
        takes_all = key is None and _plain(found["key"]) in map(_plain, _ALL_KEYS) and not self._arguments
        if (key is None and not takes_all) or key in self._arguments:
            return at
        written = found["value"].strip()
        end = stop + 1 if complete else len(text)
        is_text = key is not None and types_of(self._properties[key]) == {"string"}
        if written[:1] in ("{", "[") and not is_text:
            value_at = at + line.index(written[0], found.start("value"))
            whole = span(text, value_at)
            if whole is None and not self._final:
                return None
            if whole is not None:
                written = text[value_at : whole[0]]
                rest = text.find("\n", whole[0])
                if rest < 0 and not self._final:
                    return None
                end = rest + 1 if rest >= 0 else len(text)
        if not complete and not self._final:
            return None
        return end if self._take(key, written) else at

    def _take(self, key: str | None, written: str) -> bool:
        if key is not None:
            self._arguments[key] = _read(written, self._properties[key])
            return True
        value = loads(written) if written.startswith("{") else None
        if isinstance(value, dict):
            self._arguments.update(cast(dict[str, Any], value))
            return True
        if len(self._properties) != 1:
            return False
        only = next(iter(self._properties))
        self._arguments[only] = _read(written, self._properties[only])
        return True

    def _may_be_key(self, line: str) -> bool:
        begun = _plain(line)
        return not begun or any(key.startswith(begun) for key in (*self._keys, *map(_plain, _ALL_KEYS)))


def _plain(key: str) -> str:
    return re.sub(r"[\s_*`•-]+", "", key).lower()


def _read(written: str, schema: JsonSchema) -> Any:
    if written[:1] == '"':
        try:
            value = json.loads(written, strict=False)
        except ValueError:
            value = None
        if isinstance(value, str):
            return value
    if len(written) > 1 and written[0] in "\"'`" and written[-1] == written[0]:
        return written[1:-1]
    if written.lower() in ("", "null", "none") and "enum" not in schema:
        return None
    return raw.read(written, schema)


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (lines(tools),)


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    return "\n".join([f"tool: {call.name}", *(f"{key}: {_write(value)}" for key, value in call.arguments.items())])


def write_calls(calls: Sequence[ToolCall]) -> str:
    return "\n\n".join(write_call(call) for call in calls)


def _write(value: Any) -> str:
    if isinstance(value, str) and (not _PLAIN.fullmatch(value) or value != value.strip() or _is_other(value)):
        return json.dumps(value, ensure_ascii=False)
    return raw.write(value)


def _is_other(text: str) -> bool:
    """Whether the text would be read as something else where the schema allows that."""
    if text.lower() in _WORDS:
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"{name} returned:\n{result}", name=name)


def stop() -> tuple[str, ...]:
    return ("\n\n",)
