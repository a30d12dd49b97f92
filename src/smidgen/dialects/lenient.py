"""Reading values that are nearly JSON: Python literals, single quotes, trailing commas, brackets never closed.

Nothing here raises or evaluates; sizes and depths are bounded.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from smidgen.dialects.repair import repair

MAX_TEXT = 200_000
MAX_DEPTH = 100
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_BRACKET = re.compile(r"[()\[\]{}]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None, "none": None}
MISSING = object()
"""What `loads` gives for text that can't be read; None is a value."""


def without_thinking(text: str) -> str:
    """The text without its thinking blocks; one that never ends takes the rest with it. A call in there is no call."""
    return _THINKING.sub("", text)


def loads(text: str) -> Any:
    """The value written in `text`, or MISSING."""
    return loads_prefix(text)[0]


def loads_prefix(text: str) -> tuple[Any, int]:
    """The value that `text` begins with, and how many characters of the text it takes; MISSING and 0 if there is none.
    A list or object that isn't closed is closed where it can't go on."""
    length = len(text)
    text = text.lstrip()
    blank = length - len(text)
    text = text.rstrip()[:MAX_TEXT]
    if not text or _depth(text) > MAX_DEPTH:
        return MISSING, 0
    try:
        return json.loads(text, strict=False), length
    except (ValueError, RecursionError):
        pass
    end = end_of_value(text, 0)
    whole = text + closers(text) if end is None else text[:end]
    used = length if end is None else blank + end
    tidy = re.sub(r",(\s*[\]}])", r"\1", whole)
    try:
        return json.loads(tidy, strict=False), used
    except (ValueError, RecursionError):
        value = python_value(tidy)
    if value is not MISSING:
        return value, used
    value, taken = repair(text, MISSING)
    return value, blank + taken


def python_value(text: str) -> Any:
    """The value of a Python literal; true, false and null count as such too. MISSING if it is anything else."""
    tree = parse_expression(text)
    return MISSING if tree is None else value_of(tree)


def parse_expression(text: str) -> ast.expr | None:
    """The syntax tree of one expression, or None. Only parsed, never run."""
    if len(text) > MAX_TEXT or _depth(text) > MAX_DEPTH:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def value_of(node: ast.expr, depth: int = 0) -> Any:
    """The value of a literal's tree, or MISSING."""
    if depth > MAX_DEPTH:
        return MISSING
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str | int | float | bool | None) else MISSING
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id.lower(), MISSING)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = value_of(node.operand, depth + 1)
        if isinstance(number, bool) or not isinstance(number, int | float):
            return MISSING
        return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        items = [value_of(item, depth + 1) for item in node.elts]
        return MISSING if any(item is MISSING for item in items) else items
    if isinstance(node, ast.Dict):
        found: dict[str, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            name = MISSING if key is None else value_of(key, depth + 1)
            value = value_of(item, depth + 1)
            if name is MISSING or value is MISSING:
                return MISSING
            found[str(name)] = value
        return cast(Any, found)
    return MISSING


def span(text: str, start: int, stops: tuple[str, ...] = ()) -> tuple[int, bool] | None:
    """Where the bracket at `start` ends: (index after the one that closes it, True), or (index of the first of `stops`
    that stands outside strings, False) if that comes before; None if neither is there."""
    stack: list[str] = []
    quote = ""
    for mark in _marks(stops).finditer(text, start, min(len(text), start + MAX_TEXT)):
        character = mark.group()
        if quote:
            if character == quote:
                quote = ""
        elif character in "\"'":
            if _opens(character, text, mark.start()):
                quote = character
        elif character in "([{":
            stack.append(character)
        elif character in ")]}":
            if not stack:
                return None
            stack.pop()
            if not stack:
                return mark.end(), True
        elif character in stops:
            return mark.start(), False
    return None


@lru_cache(maxsize=64)
def _marks(stops: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join([r"\\.|[\"'()\[\]{}]", *(re.escape(stop) for stop in stops)]), re.DOTALL)


def _opens(quote: str, text: str, index: int) -> bool:
    """An apostrophe within a word opens no string."""
    return quote == '"' or not (index and text[index - 1].isalnum())


def without_begun(text: str, marks: Iterable[str]) -> str:
    """A text that was cut off, without the beginning of one of the marks at its end."""
    begun = [length for mark in marks for length in range(1, len(mark)) if text.endswith(mark[:length])]
    return text[: -max(begun)] if begun else text


def end_of_value(text: str, start: int) -> int | None:
    """Index after the bracket that closes the one at `start`, strings skipped; None if it never closes."""
    found = span(text, start)
    return found[0] if found else None


def closers(text: str) -> str:
    """What would have to follow for all strings and brackets of the text to be closed."""
    stack: list[str] = []
    quote = ""
    for mark in _marks(()).finditer(text):
        character = mark.group()
        if quote:
            if character == quote:
                quote = ""
        elif character in "\"'":
            if _opens(character, text, mark.start()):
                quote = character
        elif character in "([{":
            stack.append({"(": ")", "[": "]", "{": "}"}[character])
        elif character in ")]}" and stack:
            stack.pop()
    if quote and (len(text) - len(text.rstrip("\\"))) % 2:
        quote = "\\" + quote
    return quote + "".join(reversed(stack[-MAX_DEPTH:]))


def _depth(text: str) -> int:
    """Deepest nesting of brackets, so that no reader of the text has to recurse deeper. Those in strings only count
    where there are few of them."""
    deepest = _nesting(text)
    return deepest if deepest <= MAX_DEPTH else _nesting(_STRING.sub("", text))


def _nesting(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        if bracket in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
    return deepest
