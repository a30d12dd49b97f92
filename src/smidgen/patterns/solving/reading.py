"""`kind = "solving"`: the weights and limits of a vote, from a TOML file."""

from __future__ import annotations

from smidgen.errors import ConfigError, InvalidRequest
from smidgen.patterns import Pattern
from smidgen.patterns.files import Table
from smidgen.patterns.solving.pattern import Solving


def read(table: Table) -> Pattern:
    """Raises ConfigError."""
    try:
        return table.as_struct(Solving, others=table.patterns("others"))
    except ConfigError:
        raise
    except InvalidRequest as error:
        raise table.wrong(error.message.rstrip("."), error.hint) from error
