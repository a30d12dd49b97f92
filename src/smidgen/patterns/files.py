"""Patterns as TOML files: a table with its `kind`, in which others may stand, or be named as files beside it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from smidgen.errors import ConfigError
from smidgen.patterns import Pattern

S = TypeVar("S", bound=msgspec.Struct)

KINDS: Mapping[str, str] = {
    "direct": "plain",
    "agent": "plain",
    "router": "router.reading",
    "verified": "verified.reading",
    "solving": "solving.reading",
    "chain": "chain.reading",
    "density": "chain.reading",
    "micro": "micro.reading",
    "memory": "memory.reading",
    "cached": "cached.reading",
    "fallback": "fallback.reading",
    "cascade": "fallback.reading",
    "refusal": "fallback.reading",
    "rules": "fallback.reading",
}
"""Of each kind, the module beneath this room whose `read(table)` makes it."""

DEEPEST = 12
"""Patterns within one another, at most."""


class Table:
    """A pattern's table in a file: its keys, and how to make others that stand in it."""

    def __init__(self, values: Mapping[str, Any], path: Path, place: str = "", depth: int = 0) -> None:
        self.values, self.path, self._place, self._depth = dict(values), path, place, depth

    @property
    def kind(self) -> str:
        return str(self.values.get("kind", ""))

    def as_struct(self, struct: type[S], **changes: Any) -> S:
        """The table as one value of this type. changes: keys that were read already. Raises ConfigError, with the
        place, for keys that it doesn't have and values that can't be used."""
        fields: dict[str, Any] = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        values: dict[str, Any] = {}
        for key, value in self.values.items():
            if key == "kind" or key in changes:
                continue
            if key not in fields:
                near = difflib.get_close_matches(key, fields)
                hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(fields)}."
                raise self.wrong(f"there is no key {key!r} in {self.kind or struct.__name__}", hint)
            try:
                values[key] = msgspec.convert(value, fields[key])
            except msgspec.ValidationError as error:
                raise self.wrong(f"{key} = {value!r} can't be used: {error}") from error
        try:
            return struct(**values, **changes)
        except (TypeError, ValueError) as error:
            raise self.wrong(f"it can't be used: {error}") from error

    def pattern(self, key: str) -> Pattern:
        """The pattern under this key: a table with a kind, or the name of a file. Raises ConfigError."""
        if key not in self.values:
            raise self.wrong(f"{key} is missing")
        return self._made(self.values[key], f"{self._place}{key}")

    def patterns(self, key: str) -> tuple[Pattern, ...]:
        found = self.values.get(key, [])
        if not isinstance(found, list):
            raise self.wrong(f"{key} must be a list of patterns")
        many = cast("list[Any]", found)
        return tuple(self._made(one, f"{self._place}{key}[{number}]") for number, one in enumerate(many))

    def tables(self, key: str) -> tuple[Table, ...]:
        """A list of tables that are no patterns."""
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in cast("list[Any]", found)):
            raise self.wrong(f"{key} must be a list of tables", f"Write [[{key}]] above each.")
        many = cast("list[dict[str, Any]]", found)
        return tuple(
            Table(one, self.path, f"{self._place}{key}[{number}].", self._depth + 1) for number, one in enumerate(many)
        )

    def inner(self, key: str, values: Mapping[str, Any]) -> Table:
        """A table that stands under this key and is no pattern."""
        return Table(values, self.path, f"{self._place}{key}.", self._depth + 1)

    def wrong(self, what: str, hint: str = "") -> ConfigError:
        return ConfigError(f"{self.path}{': ' + self._place.rstrip('.') if self._place else ''}: {what}.", hint=hint)

    def _made(self, value: object, place: str) -> Pattern:
        if self._depth >= DEEPEST:
            raise self.wrong("patterns stand within one another too deep", "Does a file name itself?")
        if isinstance(value, str):
            return _read(self.path.parent / Path(value).expanduser(), self._depth + 1)
        if not isinstance(value, dict):
            raise self.wrong(f"{place} must be a table with a kind, or a file's name")
        return made(Table(cast("dict[str, Any]", value), self.path, f"{place}.", self._depth + 1))


def load_pattern(path: str | Path) -> Pattern:
    """The pattern that a file describes. Raises ConfigError."""
    return _read(Path(path).expanduser(), 0)


def read_pattern(values: Mapping[str, Any], path: str | Path = "pattern") -> Pattern:
    """The same from a table that was read already. path: what files are named beside, and what errors name."""
    return made(Table(values, Path(path)))


def made(table: Table) -> Pattern:
    """Raises ConfigError."""
    if table.kind not in KINDS:
        near = difflib.get_close_matches(table.kind, KINDS)
        hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(KINDS)}."
        raise table.wrong(f"there is no pattern of the kind {table.kind!r}", hint)
    read = cast("Callable[[Table], Pattern]", import_module(f"smidgen.patterns.{KINDS[table.kind]}").read)
    return read(table)


def _read(path: Path, depth: int) -> Pattern:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} isn't there.", hint="Name a file that describes a pattern.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} isn't valid TOML: {error}.") from error
    return made(Table(values, path, depth=depth))
