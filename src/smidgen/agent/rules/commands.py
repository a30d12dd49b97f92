"""Requests that are a call in so many words: `calc: 2+2`, `sql: SELECT …`, `calculator(expression="2+2")`, or as XML,
`<read_file><path>notes.txt</path></read_file>`. What stands in them is taken as it is, line breaks too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from smidgen.dialects import flat_xml, python_call
from smidgen.messages import ToolCall, ToolSpec

LONGEST = 20_000
"""Characters of a request that may be a call."""
_COMMAND = re.compile(r"^\s*/?(?P<name>[a-z]\w*)\s*:\s*(?P<rest>\S.*)$", re.IGNORECASE | re.DOTALL)


class Command(msgspec.Struct, frozen=True):
    """What stands before the colon, and the tools it may be for with the parameter that the rest is: the first that is
    offered."""

    name: str
    meanings: tuple[tuple[str, str], ...]


COMMANDS = (
    Command("calc", (("calculator", "expression"),)),
    Command("sql", (("query", "sql"),)),
    Command("search", (("search_files", "text"), ("web_search", "query"))),
    Command("web", (("web_search", "query"),)),
    Command("fetch", (("fetch", "url"),)),
    Command("read", (("read_file", "path"),)),
    Command("find", (("look_up", "question"),)),
    Command("python", (("run_python", "code"),)),
    Command("sh", (("run_command", "command"),)),
)


def written(request: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    """The call that a request is, None if it is none."""
    if len(request) > LONGEST:
        return None
    return _call(request, tools) or _command(request, tools)


def _call(text: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    known = {tool.name for tool in tools}
    for dialect in (python_call, flat_xml):
        parsed = dialect.parse(text, tools)
        if len(parsed.calls) == 1 and not parsed.text.strip() and parsed.calls[0].name in known:
            return parsed.calls[0]
    return None


def _command(text: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    found = _COMMAND.match(text)
    if found is None:
        return None
    parameters = {tool.name: set(tool.parameters.get("properties", {})) for tool in tools}
    for command in COMMANDS:
        if command.name == found["name"].lower():
            for tool, parameter in command.meanings:
                if parameter in parameters.get(tool, set()):
                    return ToolCall(name=tool, arguments={parameter: found["rest"].strip()})
    return None
