"""Calls as Python: what python_call and pythonic_list share. Only parsed, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, cast

from smidgen.dialects.lenient import MISSING, closers, parse_expression, python_value, span, value_of
from smidgen.dialects.opening import BLANK, LINE_START, NAME, SPACE, Atom, Part, opening
from smidgen.dialects.reading import MAX_CALLS, Form, Found
from smidgen.messages import ToolCall, ToolSpec

LIST_OPEN, LIST_CLOSE = "<|tool_call_start|>", "<|tool_call_end|>"
_NOT_WITHIN = r"(?<![\w.])"
_STOPS = ("```", LIST_CLOSE, "</tool_call>")
_LANGUAGE = Atom(r"\w*+")
_FENCE: tuple[Part, ...] = ("```", BLANK, _LANGUAGE, SPACE)
_NEVER = opening((Atom("(?!)"),))
_CALL = re.compile(r"(?P<name>[A-Za-z_][\w.]*)\s*\(\Z")
_INNER = re.compile(rf"{_NOT_WITHIN}(?P<name>[A-Za-z_][\w.]*)\(")
_ARGUMENT = re.compile(r"\s*(?:\*\*)?(?P<key>[^\s=\"'()\[\]{},]+)\s*=(?!=)\s*(?P<value>.*)", re.DOTALL)
_LINE_END = re.compile(r"[ \t]*+(?:[;,`]|\n|\Z)")


def known_call(tools: Sequence[ToolSpec]) -> Form:
    """A call of a known tool anywhere, or first in a fence."""
    call: tuple[Part, ...] = (tuple(tool.name for tool in tools), "(")
    begins = opening((*_FENCE, *call), call, before=_NOT_WITHIN) if tools else _NEVER
    closing = opening((BLANK, ";"))
    return Form(strategy="python_call", opening=begins, read=_reader(tools), closing=closing, ends=")`>")


def printed_call(tools: Sequence[ToolSpec]) -> Form:
    call: tuple[Part, ...] = ("print(", tuple(tool.name for tool in tools), "(")
    begins = opening((*_FENCE, *call), call, before=_NOT_WITHIN) if tools else _NEVER
    closing = opening((BLANK, ")"))
    return Form(strategy="python_call", opening=begins, read=_reader(tools), closing=closing, ends=")`>")


def line_call(tools: Sequence[ToolSpec]) -> Form:
    """A call of any name that is a line by itself. Within one that isn't, known ones are still looked for."""
    begins = opening((BLANK, NAME, "("), before=LINE_START)
    return Form(strategy="python_call", opening=begins, read=_reader(tools))


def call_list(tools: Sequence[ToolSpec]) -> Form:
    """`[f(a=1), g(b="x")]`: of known tools anywhere, of others between the marks or as a line by itself."""
    item: tuple[Part, ...] = ("[", SPACE, NAME, "(")
    begins = opening((LIST_OPEN, SPACE, *item), (*_FENCE, *item), item)
    known = {tool.name: tool for tool in tools}

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        start = match.start() + match.group().index("[")
        first = match.group()[1 + start - match.start() : -1].strip()
        marked = match.group().startswith(LIST_OPEN)
        if not marked and first not in known and not _alone(text, start):
            return Found(start + 1)
        found = span(text, start, _STOPS)
        if found is None and not final:
            return None
        end = found[0] if found else _cut(text, start)
        source = text[start:end]
        if not (found and found[1]):
            source += closers(source)
        calls = _listed(source, known)
        if calls and not marked and any(call.name not in known for call in calls):
            alone = _ends_line(text, end, final) if _alone(text, start) else False
            if alone is None:
                return None
            calls = calls if alone else []
        return Found(end if calls else start + 1, tuple(calls))

    closing = opening((SPACE, LIST_CLOSE))
    return Form(strategy="pythonic_list", opening=begins, read=read, closing=closing)


def _reader(tools: Sequence[ToolSpec]) -> Any:
    known = {tool.name: tool for tool in tools}

    def read(text: str, match: re.Match[str], final: bool) -> Found | None:
        head = _CALL.search(match.group())
        if head is None:
            return Found(match.end())
        start = match.start() + head.start()
        is_known = head["name"] in known
        if not is_known and not _alone(text, start):
            return Found(match.end())
        found = span(text, match.end() - 1, _STOPS)
        if found is None and not final:
            return None
        end = found[0] if found else _cut(text, start)
        source = text[start:end].rstrip()
        if not (found and found[1]):
            source, length = _completed(source)
            end = min(end, start + length)
        if not is_known:
            if any(inner["name"] in known for inner in _INNER.finditer(source)):
                return Found(match.end())
            alone = _ends_line(text, end, final)
            if alone is None:
                return None
            if not alone:
                return Found(match.end())
        call = read_call(source, known)
        return Found(match.end()) if call is None else Found(end, (call,))

    return read


def _cut(text: str, start: int) -> int:
    """The end of a call that is never closed: of the fence, or of the text."""
    return min((index for stop in _STOPS if (index := text.find(stop, start)) >= 0), default=len(text))


def _completed(source: str) -> tuple[str, int]:
    """An unclosed call closed, and how much of it that takes. Where only a quote is missing, the line is the call."""
    line = source.split("\n", 1)[0].rstrip()
    missing = closers(line)
    if line.endswith(")") and missing[:1] in ("'", '"'):
        quoted = f"{line[:-1]}{missing[0]})"
        if parse_expression(quoted) is not None:
            return quoted, len(line)
    return source + closers(source), len(source)


def _alone(text: str, start: int) -> bool:
    return not text[text.rfind("\n", 0, start) + 1 : start].strip()


def _ends_line(text: str, end: int, final: bool) -> bool | None:
    found = _LINE_END.match(text, end)
    if not final and found is not None and found.end() == len(text) and "\n" not in found.group():
        return None
    return found is not None


def _listed(source: str, known: dict[str, ToolSpec]) -> list[ToolCall]:
    tree = parse_expression(source)
    if isinstance(tree, ast.List):
        pieces = [ast.get_source_segment(source.strip(), item) or "" for item in tree.elts]
    else:
        pieces = _split(source.strip()[1:-1])
    calls = [read_call(piece.strip(), known) for piece in pieces[:MAX_CALLS] if piece.strip()]
    return [] if any(call is None for call in calls) else cast(list[ToolCall], calls)


def read_call(source: str, known: dict[str, ToolSpec]) -> ToolCall | None:
    """One call. Positional arguments are given the names of the known tool's parameters; an argument that is no literal
    is its source text."""
    tree = parse_expression(source)
    if isinstance(tree, ast.Call):
        return _from_tree(tree, source.strip(), known)
    if tree is not None or not source.endswith(")") or "(" not in source:
        return None
    return _from_text(source)


def _from_tree(tree: ast.Call, source: str, known: dict[str, ToolSpec]) -> ToolCall | None:
    called = _dotted(tree.func)
    if called is None:
        return None
    arguments: dict[str, Any] = {}
    positional = zip(_parameters(called, known), tree.args, strict=False)
    for key, node in [*positional, *((word.arg, word.value) for word in tree.keywords)]:
        value = value_of(node)
        if value is MISSING:
            value = ast.get_source_segment(source, node) or ""
        if key is None:
            if isinstance(value, dict):
                arguments.update(cast(dict[str, Any], value))
            continue
        arguments[key] = value
    return ToolCall(name=called, arguments=arguments)


def _from_text(source: str) -> ToolCall | None:
    """A call that isn't Python: a parameter is called `from`, or `start-date`, or a value is broken."""
    called, inside = source[:-1].split("(", 1)
    called = called.strip()
    if not re.fullmatch(r"[A-Za-z_][\w.]*", called):
        return None
    arguments: dict[str, Any] = {}
    for piece in _split(inside):
        found = _ARGUMENT.fullmatch(piece)
        if found is None and piece.strip():
            return None
        if found:
            value = python_value(found["value"])
            arguments[found["key"]] = found["value"].strip() if value is MISSING else value
    return ToolCall(name=called, arguments=arguments)


def _split(text: str) -> list[str]:
    """The pieces between the commas that stand outside brackets and strings."""
    pieces: list[str] = []
    depth = start = 0
    quote = ""
    skip = False
    for index, character in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'" and (character == '"' or not (index and text[index - 1].isalnum())):
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth <= 0:
            pieces.append(text[start:index])
            start = index + 1
    return [*pieces, text[start:]]


def _parameters(called: str, known: dict[str, ToolSpec]) -> list[str]:
    return list(cast(dict[str, Any], known[called].parameters.get("properties", {}))) if called in known else []


def _dotted(node: ast.expr) -> str | None:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(names)])
