"""`kind = "verified"`: ways, checks and how often, from a TOML file. Files that a check names lie beside it."""

from __future__ import annotations

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
    found = table.values.get("check", table.values.get("checks"))
    many = cast("list[Any]", found) if isinstance(found, list) else [found]
    checks = [read_check(table, one) for one in many]
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


def read_check(table: Table, value: object) -> Verifier:
    """A check as it stands in this table: a table with a kind, or a kind's name. Raises ConfigError."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict):
        raise table.wrong("a check must be a table with a kind, or a kind's name", f"There are: {', '.join(CHECKS)}.")
    inner = Table(cast("dict[str, Any]", value), table.path, "check.")
    if inner.kind not in CHECKS:
        raise inner.wrong(f"there is no check of the kind {inner.kind!r}", f"There are: {', '.join(CHECKS)}.")
    try:
        return CHECKS[inner.kind](inner)
    except SmidgenError as error:
        if error.code == "config":
            raise
        raise inner.wrong(error.message.rstrip("."), error.hint) from error


def _text(table: Table, key: str) -> str:
    """The text under this key, or in the file that `KEY_file` names."""
    name = table.values.pop(f"{key}_file", None)
    if name is None:
        return str(table.values.pop(key, ""))
    if key in table.values:
        raise table.wrong(f"{key} and {key}_file are both there")
    path = _beside(table, str(name))
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise table.wrong(f"{path} can't be read: {error}") from error


def _beside(table: Table, name: str) -> Path:
    return table.path.parent / Path(name).expanduser()


def _json(table: Table) -> Verifier:
    import json

    schema = table.values.get("schema")
    if not isinstance(schema, dict):
        written = _text(table, "schema")
        try:
            schema = json.loads(written)
        except ValueError as error:
            raise table.wrong(f"schema is no JSON: {error}") from error
    return table.as_struct(Json, schema=schema)


def _sql(table: Table) -> Verifier:
    schema, database = _text(table, "schema"), str(table.values.pop("database", ""))
    rows = bool(table.values.pop("rows", False))
    if set(table.values) - {"kind"}:
        raise table.wrong(f"there is no key {sorted(set(table.values) - {'kind'})[0]!r} in sql")
    return Sql(_beside(table, database) if database else "", schema, rows=rows)


def _plain(struct: Callable[..., Any]) -> Callable[[Table], Verifier]:
    return lambda table: table.as_struct(cast(Any, struct))


CHECKS: dict[str, Callable[[Table], Verifier]] = {
    "number": _plain(Number),
    "unit": _plain(Quantity),
    "date": _plain(Date),
    "regex": _plain(Regex),
    "json": _json,
    "sql": _sql,
    "python": _plain(PythonCode),
    "tests": lambda table: table.as_struct(Tests, tests=_text(table, "tests")),
    "quote": lambda table: table.as_struct(Quote, source=_text(table, "source")),
}
"""What a file can name; functions of one's own are for Python."""
