"""`kind = "verified"`: ways, checks and how often, from a TOML file. Files that a check names lie beside it."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from smidgen.errors import SmidgenError
from smidgen.patterns import Pattern
from smidgen.patterns.files import Table
from smidgen.patterns.verified.checked import Verifier
from smidgen.patterns.verified.pattern import Verified
from smidgen.patterns.verified.programs import PythonCode, Sql, Tests
from smidgen.patterns.verified.shapes import Json, Quote, Regex
from smidgen.patterns.verified.values import Date, Number, Quantity

T = TypeVar("T")

OPTIONS: dict[str, type] = {"retries": int, "constrain": bool, "refuse": bool, "name": str}


def read(table: Table) -> Pattern:
    """Raises ConfigError."""
    unknown = [key for key in table.values if key not in ("kind", "ways", "check", "checks", *OPTIONS)]
    if unknown:
        raise table.wrong(
            f"there is no key {unknown[0]!r} in verified", f"There are: ways, check, {', '.join(OPTIONS)}."
        )
    if ("check" in table.values) == ("checks" in table.values):
        raise table.wrong("one of check and checks is needed", 'Write check = {kind = "number"}.')
    key = "check" if "check" in table.values else "checks"
    found = table.values[key]
    if isinstance(found, list):
        many = cast("list[Any]", found)
        checks = [read_check(table, one, f"{key}[{number}]") for number, one in enumerate(many)]
    else:
        checks = [read_check(table, found, key)]
    options = {key: _option(table, key, kind) for key, kind in OPTIONS.items() if key in table.values}
    ways = table.patterns("ways")
    try:
        return Verified(ways, checks, **cast("dict[str, Any]", options))
    except SmidgenError as error:
        raise table.wrong(error.message.rstrip("."), error.hint) from error


def _option(table: Table, key: str, kind: type) -> object:
    value = table.values[key]
    if type(value) is not kind:
        raise table.wrong(f"{key} = {value!r} can't be used", f"It must be {kind.__name__}.")
    return value


def read_check(table: Table, value: object, key: str = "check") -> Verifier:
    """A check as it stands in this table under this key: a table with a kind, or a kind's name. Raises ConfigError."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict):
        raise table.wrong("a check must be a table with a kind, or a kind's name", f"There are: {', '.join(CHECKS)}.")
    inner = table.inner(key, cast("dict[str, Any]", value))
    if inner.kind not in CHECKS:
        near = difflib.get_close_matches(inner.kind, CHECKS)
        hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(CHECKS)}."
        raise inner.wrong(f"there is no check of the kind {inner.kind!r}", hint)
    try:
        return CHECKS[inner.kind](inner)
    except SmidgenError as error:
        if error.code == "config":
            raise
        raise inner.wrong(error.message.rstrip("."), error.hint) from error


def _text(table: Table, key: str) -> str:
    """The text under this key, or in the file that `KEY_file` names; "" if there is neither."""
    name, text = _given(table, f"{key}_file", str), _given(table, key, str)
    if name is None:
        return text or ""
    if text is not None:
        raise table.wrong(f"{key} and {key}_file are both there")
    path = _beside(table, name)
    try:
        found = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise table.wrong(f"{path} can't be read: {error}") from error
    if not found.strip():
        raise table.wrong(f"{path} is empty")
    return found


def _given(table: Table, key: str, kind: type[T]) -> T | None:
    """What stands there, which is then read; None if nothing does."""
    value = table.values.pop(key, None)
    if value is not None and type(value) is not kind:
        raise table.wrong(f"{key} = {value!r} can't be used", f"It must be {kind.__name__}.")
    return value


def _beside(table: Table, name: str) -> Path:
    return table.path.parent / Path(name).expanduser()


def _json(table: Table) -> Verifier:
    import json

    schema: Any = table.values.get("schema")
    if not isinstance(schema, dict):
        written = _text(table, "schema")
        try:
            schema = json.loads(written) if written else {}
        except ValueError as error:
            raise table.wrong(f"schema is no JSON: {error}") from error
    return table.as_struct(Json, schema=schema)


def _sql(table: Table) -> Verifier:
    schema, database = _text(table, "schema"), _given(table, "database", str) or ""
    rows = _given(table, "rows", bool) or False
    if unknown := sorted(set(table.values) - {"kind"}):
        hint = "There are: database, schema, schema_file, rows."
        raise table.wrong(f"there is no key {unknown[0]!r} in sql", hint)
    return Sql(_beside(table, database) if database else "", schema, rows=rows)


def _date(table: Table) -> Verifier:
    """TOML has dates of its own."""
    days = {key: value.isoformat() for key, value in table.values.items() if type(value) is dt.date}
    return table.as_struct(Date, **days)


def _plain(struct: Callable[..., Any]) -> Callable[[Table], Verifier]:
    return lambda table: table.as_struct(cast(Any, struct))


CHECKS: dict[str, Callable[[Table], Verifier]] = {
    "number": _plain(Number),
    "unit": _plain(Quantity),
    "date": _date,
    "regex": _plain(Regex),
    "json": _json,
    "sql": _sql,
    "python": _plain(PythonCode),
    "tests": lambda table: table.as_struct(Tests, tests=_text(table, "tests")),
    "quote": lambda table: table.as_struct(Quote, source=_text(table, "source")),
}
"""What a file can name; functions of one's own are for Python."""
