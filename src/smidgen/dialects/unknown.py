"""Calls in text whose dialect nobody knows. The strategies are tried from the surest to the weakest, and the first that
finds a call says so in `Parsed.strategy`:

code_block   a fenced block that holds nothing but calls
xml          <tool_call>, <function=…> or the element of a known tool
json         an object that names a known tool
python_call  a call of a known tool that is a line by itself
keywords     lines `tool: NAME`, `argument: value`

A marked call (<tool_call>, <function=…>) may name an unknown tool, since nothing else is written so. Everywhere else
only known tools count, and calls in the midst of a sentence don't: prose that mentions a tool is prose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from smidgen.dialects import Parsed
from smidgen.dialects.flat_xml import tool_element
from smidgen.dialects.json_calls import bare, calls_in, tagged
from smidgen.dialects.lenient import loads
from smidgen.dialects.opening import opening
from smidgen.dialects.plain_lines import lines
from smidgen.dialects.python_calls import call_list, known_call, printed_call
from smidgen.dialects.qwen3_coder import xml_function
from smidgen.dialects.reading import Form, Found, read_all
from smidgen.messages import ToolCall, ToolSpec

_BEFORE = re.compile(r"[\s>*`-]*(?:\d{1,2}[.)])?[\s`]*(?:\w{1,64}\s*=\s*)?")
_BEHIND = re.compile(r"[ \t]*[`;)]*[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_LANGUAGE = re.compile(r"[ \t]*\w*[ \t]*(?:\n|(?=[{\[<]))")
_COMMENT = re.compile(r"^\s*(?:#|//).*$", re.MULTILINE)

Forms = Callable[[Sequence[ToolSpec]], tuple[Form, ...]]


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    """Never raises; text without a call comes back as text, with no strategy."""
    for strategy, forms in STRATEGIES:
        parsed = read_all(text, forms(tools), tools)
        if parsed.calls:
            return msgspec.structs.replace(parsed, strategy=strategy)
    return read_all(text, (), tools)


def _blocks(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        end = text.find("```", match.end())
        if end < 0 and not final:
            return None
        inside = text[match.end() : end if end >= 0 else len(text)]
        language = _LANGUAGE.match(inside)
        calls = _calls_of_block(inside[language.end() if language else 0 :], tools)
        return Found(end + 3 if end >= 0 else len(text), calls)

    return (Form(strategy="code_block", opening=opening(("```",)), read=read, encloses=True),)


def _calls_of_block(inside: str, tools: Sequence[ToolSpec]) -> tuple[ToolCall, ...]:
    """The calls if the block is nothing but calls."""
    known = {tool.name: tool for tool in tools}
    whole = calls_in(loads(inside), known)
    if whole and all(call.name in known for call in whole):
        return tuple(whole)
    for forms in (_xml, _json, _python, _keywords):
        found = read_all(inside, forms(tools), tools)
        if found.calls and not _COMMENT.sub("", found.text).strip(" \t\n;,"):
            return found.calls
    return ()


def _xml(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (xml_function(tools), tagged(tools), tool_element(tools))


def _json(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return (_only_known(bare(tools), tools),)


def _python(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    forms = (call_list(tools), printed_call(tools), known_call(tools))
    return (_CODE, *(_only_lines(_only_known(form, tools)) for form in forms))


def _keywords(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    required = {tool.name: set(tool.parameters.get("required", [])) for tool in tools}

    def has_enough(call: ToolCall) -> bool:
        return bool(call.arguments) or not required.get(call.name)

    return (_CODE, _filtered(lines(tools), has_enough))


def _skip_block(text: str, match: re.Match[str], final: bool) -> Found | None:
    end = text.find("```", match.end())
    return Found(match.end() if end < 0 else end + 3)


_CODE = Form(strategy="", opening=opening(("```",)), read=_skip_block)
"""A block that holds more than calls is an example or a program."""


def _only_known(form: Form, tools: Sequence[ToolSpec]) -> Form:
    known = {tool.name for tool in tools}
    return _filtered(form, lambda call: call.name in known)


def _filtered(form: Form, fits: Callable[[ToolCall], bool]) -> Form:
    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        found = form.read(text, match, final)
        if found is None or all(fits(call) for call in found.calls):
            return found
        return Found(found.end)

    return msgspec.structs.replace(form, read=read)


def _only_lines(form: Form) -> Form:
    """Only where nothing else stands on the call's lines. For whole texts only: looks at what follows."""

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        found = form.read(text, match, final)
        if found is None or not found.calls:
            return found
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if len(before) <= 100 and _BEFORE.fullmatch(before) and _BEHIND.match(text, found.end):
            return found
        return Found(match.end())

    return msgspec.structs.replace(form, read=read)


STRATEGIES: tuple[tuple[str, Forms], ...] = (
    ("code_block", _blocks),
    ("xml", _xml),
    ("json", _json),
    ("python_call", _python),
    ("keywords", _keywords),
)
"""In the order in which they are tried."""
