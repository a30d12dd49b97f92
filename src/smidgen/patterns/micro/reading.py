"""Micro-agents as TOML: `kind = "micro"` with a prompt of one's own, or with `does`, which names a ready one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from smidgen.errors import ConfigError
from smidgen.messages import Constraint
from smidgen.patterns import Pattern
from smidgen.patterns.files import Table
from smidgen.patterns.micro.completing import Completer
from smidgen.patterns.micro.documenting import DocWriter
from smidgen.patterns.micro.explaining import ErrorExplainer
from smidgen.patterns.micro.own import MicroAgent
from smidgen.patterns.micro.testing import TestWriter
from smidgen.patterns.micro.writing import CodeWriter

READY: Mapping[str, type[msgspec.Struct]] = {
    "write-code": CodeWriter,
    "write-tests": TestWriter,
    "document": DocWriter,
    "explain-error": ErrorExplainer,
    "complete": Completer,
}


def read(table: Table) -> Pattern:
    """Raises ConfigError."""
    if "does" in table.values:
        does = table.values.pop("does")
        if does not in READY:
            raise table.wrong(f"there is no micro-agent {does!r}", f"There are: {', '.join(READY)}.")
        return cast(Pattern, table.as_struct(READY[does]))
    for key in ("name", "prompt"):
        if not isinstance(table.values.get(key), str) or not table.values[key].strip():
            raise table.wrong(f"{key} is missing", "A micro-agent has a name and a prompt, or says what it `does`.")
    changes: dict[str, Any] = {"constraint": _constraint(table)}
    if "check" in table.values:
        changes["check"] = _program(table)
    if "otherwise" in table.values:
        changes["otherwise"] = table.pattern("otherwise")
    return table.as_struct(MicroAgent, **changes)


def _constraint(table: Table) -> Constraint | None:
    found = [key for key in ("regex", "schema", "lark") if key in table.values]
    if len(found) > 1:
        raise table.wrong(f"both {found[0]} and {found[1]} are given", "An answer can be held to one of them.")
    if not found:
        return None
    source = table.values.pop(found[0])
    text = json.dumps(source) if isinstance(source, dict) else str(source)
    return Constraint(kind="json_schema" if found[0] == "schema" else cast(Any, found[0]), source=text)


def _program(table: Table) -> str:
    """The check's own mistakes are told when it is read. Raises ConfigError."""
    program = table.values["check"]
    if not isinstance(program, str):
        raise table.wrong("check must be the text of a Python program")
    try:
        compile(program, "check", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise table.wrong(f"check isn't valid Python: {error}") from error
    return program


__all__ = ["READY", "ConfigError", "read"]
