"""A Memory from a table of a pattern's file."""

from __future__ import annotations

from typing import Any

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.patterns import Pattern
from smidgen.patterns.files import Table
from smidgen.patterns.memory.budget import Budget
from smidgen.patterns.memory.fitting import Place
from smidgen.patterns.memory.pattern import Memory


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    pattern: Any = None
    window: int = 2048
    budget: Budget = Budget()
    store: str = ""
    user: str = ""
    summaries: bool = True
    place: Place | None = None
    model: str = ""
    name: str = "memory"


def read(table: Table) -> Pattern:
    """`kind = "memory"`, with the pattern that answers under `pattern`, and the parts under `budget`. store: a file,
    named from where the pattern's file is. Raises ConfigError."""
    inner = table.pattern("pattern") if "pattern" in table.values else None
    options = table.as_struct(_Options, pattern=inner)
    try:
        return Memory(
            pattern=options.pattern,
            window=options.window,
            budget=options.budget,
            store=table.path.parent / options.store if options.store else None,
            user=options.user,
            summaries=options.summaries,
            place=options.place,
            model=options.model,
            name=options.name,
        )
    except InvalidRequest as error:
        raise table.wrong(error.message.rstrip("."), error.hint) from error
