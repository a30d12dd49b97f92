"""Placeholders in prompts and answers: `{request}`, `{step}`, `{step.key}`, and `{item}` of a step for each.

All are put in at once, and what was put in isn't looked at again: braces in a user's text or in a model's stay text.
Other braces of a template stay as they are; `{{name}}` writes `{name}`. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, cast

Value = Any
"""A step's value, as JSON has them: text, number, boolean, list, table, or None for a step that was left out."""

_PLACEHOLDER = re.compile(r"\{\{(?P<plain>[A-Za-z_][\w.]*)\}\}|\{(?P<path>[A-Za-z_]\w*(?:\.\w+)*)\}")
LONG = 200
"""Characters from which on a value is written as a block between fences; so is what has several lines."""


class NoSuchValue(LookupError):
    """A path leads to nothing: the JSON of a step lacks the key. The message says which."""


def placeholders(template: str) -> tuple[str, ...]:
    """Paths that a template names, in their order, each once."""
    return tuple(dict.fromkeys(match["path"] for match in _PLACEHOLDER.finditer(template) if match["path"]))


def filled(template: str, values: Mapping[str, Value], *, fenced: bool = True) -> str:
    """The template with its values. fenced: long ones as blocks, so that a model takes them for data and not for
    instructions. Raises NoSuchValue."""

    def put(match: re.Match[str]) -> str:
        if match["plain"]:
            return f"{{{match['plain']}}}"
        text = as_text(at(values, match["path"]))
        if not fenced or not _is_long(text):
            return text
        before, after = template[: match.start()], template[match.end() :]
        block = fence(text)
        return (
            ("" if not before or before.endswith("\n") else "\n")
            + block
            + ("" if not after or after.startswith("\n") else "\n")
        )

    return _PLACEHOLDER.sub(put, template)


def variants(template: str, values: Mapping[str, Value]) -> Iterator[str]:
    """The template with its values, once for each text of those that are lists; none where one of them is empty or was
    left out. Raises NoSuchValue."""
    paths = placeholders(template)
    for texts in product(*(_texts(at(values, path)) for path in paths)):
        put = dict(zip(paths, texts, strict=True))
        yield _replaced(template, put)


def at(values: Mapping[str, Value], path: str) -> Value:
    """The value under `name` or `name.key`; within a step that was left out, None. Raises NoSuchValue."""
    name, *keys = path.split(".")
    if name not in values:
        raise NoSuchValue(f"there is no value called {name}")
    found = values[name]
    for key in keys:
        if found is None:
            return None
        if isinstance(found, dict) and key in found:
            found = cast("dict[str, Value]", found)[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(cast("list[Value]", found)):
            found = cast("list[Value]", found)[int(key)]
        else:
            raise NoSuchValue(f"{name} has no {path.removeprefix(name + '.')}: {as_text(values[name])[:LONG]}")
    return found


def as_text(value: Value) -> str:
    """A value as it is read: short lists in a line, long ones a line each, tables as JSON, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, (str, int, float)) for one in cast("list[Value]", value)):
        parts = [as_text(one) for one in cast("Sequence[Value]", value)]
        line = ", ".join(parts)
        return "\n".join(f"- {part}" for part in parts) if _is_long(line) else line
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else json.dumps(value, ensure_ascii=False)


def fence(text: str) -> str:
    """The text between lines that don't stand in it."""
    marks = "---"
    while marks in text:
        marks += "-"
    return f"{marks}\n{text.strip(chr(10))}\n{marks}"


def _replaced(template: str, texts: Mapping[str, str]) -> str:
    """texts: of each path."""
    return _PLACEHOLDER.sub(lambda match: f"{{{match['plain']}}}" if match["plain"] else texts[match["path"]], template)


def _texts(value: Value) -> list[str]:
    many = cast("list[Value]", value) if isinstance(value, list) else [value]
    return [text for one in many if (text := as_text(one).strip())]


def _is_long(text: str) -> bool:
    return len(text) > LONG or "\n" in text.strip("\n")
