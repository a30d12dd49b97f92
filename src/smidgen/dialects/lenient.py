"""Reading values that are nearly JSON: Python literals, single quotes, trailing commas, brackets never closed.

Nothing here raises or evaluates; sizes and depths are bounded.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any, cast

MAX_TEXT = 200_000
MAX_DEPTH = 100
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_WORDS = {"true": True, "false": False, "null": None, "none": None}
MISSING = object()
"""What `loads` gives for text that can't be read; None is a value."""


def without_thinking(text: str) -> str:
    """The text without its thinking blocks; one that never ends takes the rest with it. A call in there is no call."""
    return _THINKING.sub("", text)


def loads(text: str) -> Any:
    """The value written in `text`, or MISSING."""
    text = text.strip()[:MAX_TEXT]
    if not text:
        return MISSING
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    end = end_of_value(text, 0)
    if end is None:
        text += closers(text)
    else:
        text = text[:end]
    text = re.sub(r",(\s*[\]}])", r"\1", text)
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return python_value(text)


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


def end_of_value(text: str, start: int) -> int | None:
    """Index after the bracket that closes the one at `start`, strings skipped; None if it never closes."""
    stack: list[str] = []
    quote = ""
    index = start
    while index < min(len(text), start + MAX_TEXT):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            if character == '"' or not (index and text[index - 1].isalnum()):
                quote = character
        elif character in "([{":
            stack.append(character)
        elif character in ")]}":
            if not stack:
                return None
            stack.pop()
            if not stack:
                return index + 1
        index += 1
    return None


def closers(text: str) -> str:
    """What would have to follow for all strings and brackets of the text to be closed."""
    stack: list[str] = []
    quote = ""
    index = 0
    while index < len(text):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            if character == '"' or not (index and text[index - 1].isalnum()):
                quote = character
        elif character in "([{":
            stack.append({"(": ")", "[": "]", "{": "}"}[character])
        elif character in ")]}" and stack:
            stack.pop()
        index += 1
    return quote + "".join(reversed(stack[:MAX_DEPTH]))


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest
