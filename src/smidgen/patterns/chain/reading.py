"""`kind = "chain"` and `kind = "density"`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, cast

import msgspec

from smidgen.errors import ConfigError
from smidgen.patterns import Pattern
from smidgen.patterns.chain.chain import Chain
from smidgen.patterns.chain.checks import Check, When
from smidgen.patterns.chain.density import Density
from smidgen.patterns.chain.steps import Step
from smidgen.patterns.files import Table


def read(table: Table) -> Pattern:
    """Raises ConfigError, with the file and the step's place in it."""
    with _placed(table):
        if table.kind == "density":
            return table.as_struct(Density)
        changes: dict[str, Any] = {"steps": tuple(_step(one) for one in table.tables("steps"))}
        if "answer" in table.values:
            changes["answer_as"] = str(table.values.pop("answer"))
        for name in ("watch", "answer_as"):
            if name in table.values:
                raise table.wrong(f"there is no key {name!r} in chain", "The answer's template is `answer`.")
        return table.as_struct(Chain, **changes)


def _step(table: Table) -> Step:
    """In a file a step's code is a program's text, and conditions and checks are tables."""
    changes: dict[str, Any] = {}
    if "pattern" in table.values:
        changes["pattern"] = table.pattern("pattern")
    for key, kind in (("check", Check), ("when", When)):
        if key in table.values:
            try:
                with _placed(table):
                    changes[key] = msgspec.convert(table.values[key], kind)
            except msgspec.ValidationError as error:
                raise table.wrong(f"{key} can't be used: {error}") from error
    if "otherwise" in table.values:
        value: Any = table.values["otherwise"]
        is_table = isinstance(value, dict) and "kind" in cast("dict[str, Any]", value)
        changes["otherwise"] = table.pattern("otherwise") if is_table else value
    for key, kind in (("code", str), ("schema", dict)):
        if key in table.values:
            if not isinstance(table.values[key], kind):
                raise table.wrong(f"{key} must be {'text' if kind is str else 'a table'}")
            changes[key] = table.values[key]
    one_of: Any = table.values.get("one_of", ())
    if isinstance(one_of, list):
        changes["one_of"] = tuple(str(text) for text in cast("list[Any]", one_of))
    with _placed(table):
        return table.as_struct(Step, **changes)


@contextlib.contextmanager
def _placed(table: Table) -> Generator[None]:
    """Mistakes that a pattern finds in itself, with the file they stand in."""
    try:
        yield
    except ConfigError as error:
        if error.message.startswith(str(table.path)):
            raise
        raise table.wrong(error.message.rstrip("."), error.hint) from error
