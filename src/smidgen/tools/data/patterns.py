"""How questions are written in SQL, shown with the names of the tables that there are. Pure.

A small model copies a form that it sees far more surely than it recalls one. X stands for what the request names; a
statement that keeps it is refused (agent/verify.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.tools.data import Column, Schema, Table
from smidgen.tools.data.schema import name, plain_type

_LABELS = ("name", "title", "label", "word", "subject")
_NUMBERS = ("integer", "real", "decimal")


def patterns(schema: Schema) -> str:
    """Of the first table that has what a form takes; "" where none has."""
    tables = [table for table in schema.tables if not table.is_view] or list(schema.tables)
    lines = [*_of_one(tables), *_joined(tables)]
    return "\n".join(lines)


def _of_one(tables: list[Table]) -> Iterator[str]:
    for table in tables:
        label, number = _label(table), _amount(table)
        if label is None or number is None:
            continue
        held, called, amount = name(table.name), name(label.name), name(number.name)
        yield f"how many {held}: SELECT count(*) FROM {held} WHERE {name(_kind(table, label).name)} = 'X'"
        yield f"{amount} of X: SELECT {amount} FROM {held} WHERE {called} = 'X'"
        yield f"the most {amount}: SELECT {called} FROM {held} ORDER BY {amount} DESC LIMIT 1"
        yield f"all {amount} together: SELECT sum({amount}) FROM {held}"
        yield (
            f"more {amount} than X: SELECT {called} FROM {held} WHERE {amount} > "
            f"(SELECT {amount} FROM {held} WHERE {called} = 'X')"
        )
        return


def _joined(tables: list[Table]) -> Iterator[str]:
    by_name = {table.name: table for table in tables}
    for table in tables:
        for column in table.columns:
            other_name, _, key = column.refers.partition(".")
            other, label = by_name.get(other_name), _label(table)
            if other is None or other is table or label is None or (told := _label(other)) is None:
                continue
            held, joined = name(table.name), name(other.name)
            yield (
                f"the {joined} of a {held} X: SELECT {joined}.{name(told.name)} FROM {held} JOIN {joined} "
                f"ON {held}.{name(column.name)} = {joined}.{name(key)} WHERE {held}.{name(label.name)} = 'X'"
            )
            return


def _label(table: Table) -> Column | None:
    """What its rows are called by."""
    texts = [column for column in table.columns if plain_type(column.type) == "text" and not column.refers]
    return next((column for column in texts if column.name.lower() in _LABELS), texts[0] if texts else None)


def _kind(table: Table, label: Column) -> Column:
    """What several rows share, else what they are called by."""
    shared = [
        column
        for column in table.columns
        if plain_type(column.type) == "text" and column.values and len(column.values) < (table.rows or 0) / 2
    ]
    return shared[0] if shared else label


def _amount(table: Table) -> Column | None:
    numbers = [
        column
        for column in table.columns
        if plain_type(column.type) in _NUMBERS
        and not column.is_key
        and not column.refers
        and not column.name.lower().endswith("id")
    ]
    return numbers[-1] if numbers else None
