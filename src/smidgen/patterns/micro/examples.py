"""Examples that a docstring gives of a function: calls, and what they are said to return. Pure.

Read are doctests (`>>> f(1)` and the lines below it), sentences that hold a call and its value (`f(1) == 2`,
`f(1) => 2`, "f(1) returns 2"), lines with values alone (`[1, 2] => 3`), and pairs of lines "Input: …", "Output: …"."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from smidgen.patterns.micro.stubs import Stub

MOST = 24
_ARROW = r"==+>?|=>|=|-+>|➞|→|⇒|⟶"
_SAYS = (
    rf"^\s*(?:(?:{_ARROW}|#|:|,?\s*(?:(?:should|must|will|would)\s+)?"
    r"(?:returns?|gives?|yields?|equals?|outputs?|evaluates? to|be|is|→))\s*)+"
)
_BETWEEN = re.compile(_SAYS, re.IGNORECASE)
_VALUES = re.compile(rf"^\s*(.+?)\s*(?:{'==+>|=>|-+>|➞|→|⇒|⟶'})\s*(.+?)\s*$")
_INPUT = re.compile(r"^\s*inputs?\s*[:=]\s*(.+?)\s*$", re.IGNORECASE)
_OUTPUT = re.compile(r"^\s*(?:expected\s+)?outputs?\s*[:=]\s*(.+?)\s*$", re.IGNORECASE)


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """setup: statements that come first. call: an expression. expected: an expression for its value, or what Python
    shows of it; raises: the exception's name instead."""

    call: str
    expected: str = "None"
    raises: str = ""
    setup: str = ""

    @property
    def told(self) -> str:
        return f"{self.call} raises {self.raises}" if self.raises else f"{self.call} == {self.expected}"


def examples_of(stub: Stub) -> tuple[Example, ...]:
    """Each once, in their order."""
    lines = stub.docstring.splitlines()
    found = [*_doctests(lines, stub)]
    prose = "\n".join(line for line, inside in _marked(lines) if not inside)
    found += _sentences(prose, stub.name)
    if not found:
        found += [*_values(prose.splitlines(), stub), *_pairs(prose.splitlines(), stub)]
    return tuple(dict.fromkeys(found))[:MOST]


def _marked(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a doctest."""
    inside = False
    for line in lines:
        if line.lstrip().startswith(">>>"):
            inside = True
        elif not line.strip():
            inside = False
        yield line, inside


def _doctests(lines: Sequence[str], stub: Stub) -> Iterator[Example]:
    setup: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        if not line.startswith(">>>"):
            continue
        source = [line[3:].removeprefix(" ")]
        while number < len(lines) and (more := lines[number].strip()).startswith("...") and not _is_value(more):
            source.append(more[3:].removeprefix(" "))
            number += 1
        wanted: list[str] = []
        while number < len(lines) and (more := lines[number].strip()) and not more.startswith(">>>"):
            wanted.append(more)
            number += 1
        text = "\n".join(source)
        call, _, beside = text.partition("  #") if not wanted else (text, "", "")
        if not _is_expression(call):
            if _parses(call) and not wanted:
                setup.append(call)
            elif said := [*_sentences(text, stub.name)]:
                yield from said
            continue
        if stub.name not in call:
            continue
        if not wanted and beside.strip() and _is_value(beside.strip()):
            wanted = [beside.strip()]
        found = _expected(wanted, stub.returns)
        if found is not None:
            expected, raises = found
            yield Example(call=call.strip(), expected=expected, raises=raises, setup="\n".join(setup))


def _expected(wanted: Sequence[str], returns: str) -> tuple[str, str] | None:
    """The value as an expression or as it is shown, and the name of an exception. None if nothing is told."""
    if not wanted:
        return ("None", "") if not returns or "None" in returns or "Optional" in returns else None
    if wanted[0].startswith("Traceback"):
        named = re.match(r"(?:\w+\.)*(\w+)", wanted[-1])
        return ("", named[1]) if named else None
    for end in range(len(wanted), 0, -1):
        text = "\n".join(wanted[:end])
        if _is_value(text):
            return text, ""
    return wanted[0], ""


def _sentences(prose: str, name: str) -> Iterator[Example]:
    """Calls that are followed by what they give."""
    for match in re.finditer(rf"(?<![\w.]){re.escape(name)}\s*\(", prose):
        for end in (close.end() for close in re.finditer(r"\)", prose[match.start() : match.start() + 400])):
            call = " ".join(prose[match.start() : match.start() + end].split("\n"))
            if _is_expression(call):
                said = _said(prose[match.start() + end :]) if _is_closed(call) else ""
                if said:
                    yield Example(call=call, expected=said)
                break


def _said(rest: str) -> str:
    """The value that stands behind a call; "" if there is none."""
    rest = rest.lstrip("`'\" ")
    between = _BETWEEN.match(rest)
    if between is None:
        return ""
    text = rest[between.end() :]
    line = text.partition("\n")[0].strip().strip("`")
    for end in range(len(line), 0, -1):
        part = line[:end].rstrip(" .,;`")
        if (end == len(line) or not (line[end - 1].isalnum() and line[end].isalnum())) and _is_value(part):
            return part
    return ""


def _values(lines: Sequence[str], stub: Stub) -> Iterator[Example]:
    for line in lines:
        match = _VALUES.match(line)
        if match and (example := _of_values(match[1], match[2].rstrip("."), stub)):
            yield example


def _pairs(lines: Sequence[str], stub: Stub) -> Iterator[Example]:
    told = [line for line in lines if line.strip()]
    for given, got in pairwise(told):
        first, second = _INPUT.match(given), _OUTPUT.match(got)
        if first and second and (example := _of_values(first[1], second[1].rstrip("."), stub)):
            yield example


def _of_values(given: str, got: str, stub: Stub) -> Example | None:
    named = rf"\b(?:{'|'.join(map(re.escape, stub.parameters)) or 'x'})\s*=\s*"
    values = re.sub(named, "", given).strip()
    if not _is_value(got) or not _is_value(values):
        return None
    if len(stub.parameters) == 1:
        return Example(call=f"{stub.name}({values})", expected=got)
    node = ast.parse(values, mode="eval").body
    if isinstance(node, ast.Tuple) and len(node.elts) == len(stub.parameters) and not values.startswith("("):
        return Example(call=f"{stub.name}({values})", expected=got)
    return None


def _is_value(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _is_closed(text: str) -> bool:
    """It names nothing but what Python knows, beside what it calls: `f(x)` is no example."""
    tree = ast.parse(text.strip(), mode="eval")
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return all(hasattr(builtins, node.id) for node in names)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True
