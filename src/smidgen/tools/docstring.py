"""What a docstring says of a function and of each parameter: Google, NumPy and reST field lists are understood."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(
    r"^(args|arguments|parameters|params|returns?|raises|yields|examples?|notes?|see also|references|attributes):?\s*$",
    re.IGNORECASE,
)
_PARAMETER_SECTIONS = {"args", "arguments", "parameters", "params"}
_FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?\**(?P<name>\w+)\s*:\s*(?P<text>.*)$")
_GOOGLE = re.compile(r"^\s+\**(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")
_NUMPY = re.compile(r"^\**(?P<name>\w+)(?:\s*:.*)?$")


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """The first paragraph on one line, and each parameter's description by name. Never raises."""
    lines = inspect.cleandoc(text or "").splitlines()
    summary: list[str] = []
    for line in lines:
        if not line.strip() or _SECTION.match(line) or line.startswith(":"):
            break
        summary.append(line.strip())
    return " ".join(summary), _parameters(lines)


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    inside, numpy, current, indent = False, False, "", 0
    for index, line in enumerate(lines):
        section = _SECTION.match(line)
        if section:
            inside = section.group(1).lower() in _PARAMETER_SECTIONS
            numpy = index + 1 < len(lines) and bool(re.fullmatch(r"\s*-{3,}\s*", lines[index + 1]))
            current = ""
            continue
        field = _FIELD.match(line)
        if field:
            inside, current, indent = False, field["name"], 0
            found[current] = [field["text"].strip()]
            continue
        depth = len(line) - len(line.lstrip())
        if inside and not re.fullmatch(r"\s*-{3,}\s*", line):
            head = _NUMPY.match(line) if numpy else _GOOGLE.match(line)
            if head and (not current or depth <= indent):
                current, indent = head["name"], depth
                found[current] = [head["text"].strip()] if not numpy else []
                continue
        if not line.strip():
            if not inside:
                current = ""
            continue
        if current and depth > indent:
            found[current].append(line.strip())
        elif not inside:
            current = ""
    return {name: " ".join(part for part in parts if part) for name, parts in found.items()}
