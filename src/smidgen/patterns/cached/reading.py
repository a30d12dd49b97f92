"""`kind = "cached"` in a pattern file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.patterns import Pattern
from smidgen.patterns.cached.pattern import Cached
from smidgen.patterns.cached.settings import Settings
from smidgen.patterns.files import Table


def read(table: Table) -> Pattern:
    """`pattern` is another pattern, the other keys are those of `Settings`. A relative `store` lies beside the file.
    Raises ConfigError."""
    pattern = table.pattern("pattern")
    del table.values["pattern"]
    settings = table.as_struct(Settings)
    if settings.store:
        path = table.path.parent / Path(settings.store).expanduser()
        settings = msgspec.structs.replace(settings, store=str(path))
    try:
        return Cached.with_settings(pattern, settings)
    except InvalidRequest as error:
        raise table.wrong(error.message.rstrip("."), error.hint) from error


def stores_of(path: Path) -> Iterator[Path]:
    """The files of answers that a pattern file names, in the tables that stand in it; nothing is opened. Raises
    OSError, ValueError for a file that can't be read."""
    waiting: list[Any] = [tomllib.loads(path.read_text("utf-8"))]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            table = cast("dict[str, Any]", value)
            if table.get("kind") == "cached" and isinstance(store := table.get("store"), str) and store:
                yield path.parent / Path(store).expanduser()
            waiting.extend(table.values())
        elif isinstance(value, list):
            waiting.extend(cast("list[Any]", value))
