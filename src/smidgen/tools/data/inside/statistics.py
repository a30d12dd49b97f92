"""What is told of a table beside its columns' names: how many rows, from where to where, which values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smidgen.tools.data.inside.cells import Cells, quoted

MOST_TABLES, MOST_COLUMNS, MOST_VALUES = 100, 100, 400
LONGEST_VALUES = 200_000
"""Characters of the values of all columns of a table: by them a request is known to be about it."""
STATISTIC_S = 0.5
"""For one look at a table's values; what takes longer is left out."""

Look = Callable[[str], list[tuple[Any, ...]]]


def with_statistics(table: str, columns: list[dict[str, Any]], look: Look) -> dict[str, Any]:
    """A table's rows counted, its columns with their ranges and values. look: the rows of a statement, [] if it takes
    too long or fails."""
    counted = look(f"SELECT count(*) FROM {table}")
    rows = counted[0][0] if counted else None
    cells, listed = Cells(60, 10_000), Cells(60, LONGEST_VALUES)
    if rows:
        ranges = ", ".join(f"min({quoted(column['name'])}), max({quoted(column['name'])})" for column in columns)
        found = look(f"SELECT {ranges} FROM {table}") if columns else []
        for number, column in enumerate(columns if found else []):
            column["low"], column["high"] = cells.row(found[0][2 * number : 2 * number + 2])
            if isinstance(found[0][2 * number], str):
                name = quoted(column["name"])
                few = f"SELECT DISTINCT {name} FROM {table} WHERE {name} IS NOT NULL LIMIT {MOST_VALUES + 1}"
                values = [listed.cell(row[0]) for row in look(few)]
                column["values"] = values[:MOST_VALUES]
                column["all_values"] = 0 < len(values) <= MOST_VALUES
    return {"rows": rows, "columns": columns}
