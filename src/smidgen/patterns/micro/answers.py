"""What of a model's answer is code. Pure."""

from __future__ import annotations

import ast
import re

from smidgen.errors import InvalidRequest

_FENCE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)


def fenced(text: str) -> str:
    """What stands in the first fence, one that was never closed included; the text itself if there is none."""
    found = _FENCE.search(text)
    return found[1] if found else text


def python_in(text: str) -> str:
    """The Python of a request: all of it, unless it is prose with code in a fence."""
    return text if any(_parses(text + end) for end in ("", "\n    pass\n")) else fenced(text)


def lines_of(text: str) -> list[str]:
    """Its lines as Python counts them, with their ends: a form feed or a Unicode separator ends none."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def parsed(source: str, hint: str = "") -> ast.Module:
    """Raises InvalidRequest for what Python can't read."""
    if wrong := invalid(source):
        raise InvalidRequest(f"The text isn't valid Python: {wrong}.", hint=hint)
    return ast.parse(source)


def invalid(source: str) -> str:
    """Why Python can't read it, "" if it can."""
    try:
        ast.parse(source)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
    except (RecursionError, MemoryError):
        return "it is nested too deep"
    except ValueError as error:
        return str(error)
    return ""


def _parses(text: str) -> bool:
    return not invalid(text)
