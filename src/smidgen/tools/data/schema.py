"""The tables of data files in few words, as a small model reads them best: a line each.

    album(id integer, title text, artist_id integer -> artist.id, year integer 1959..2021), 347 rows

What doesn't fit is left out in this order: examples, ranges and values, types, whole tables, and it is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from smidgen.tools.data import Column, Schema, Table
from smidgen.tools.data.sources import needs_quotes

MOST_VALUES = 6
LONGEST_VALUE = 24
LONGEST_LIST = 90
_DATED = re.compile(r"\d{4}-\d\d(-\d\d)?([ T]\d\d:\d\d.*)?|\d{4}/\d\d/\d\d|\d\d?[./]\d\d?[./]\d{4}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")
_TYPES = (
    ("bool", "boolean"), ("timestamp", "timestamp"), ("datetime", "datetime"), ("interval", "interval"),
    ("int", "integer"), ("char", "text"), ("clob", "text"), ("text", "text"), ("string", "text"), ("real", "real"),
    ("floa", "real"), ("doub", "real"), ("dec", "decimal"), ("num", "decimal"), ("blob", "blob"),
)  # fmt: skip


def compact(schema: Schema, most: int = 2000) -> str:
    """At most `most` characters, a table in each line, and the file's name above its tables if there are several files
    and one of them has more than one table."""
    several = 1 < len({table.file for table in schema.tables}) < len(schema.tables)
    text = ""
    for detail in (3, 2, 1, 0):
        text = _written(schema.tables, several, detail, schema.notes)
        if len(text) <= most:
            return text
    return _fitting(schema.tables, several, most) or text[:most]


def line(table: Table, detail: int = 3) -> str:
    """detail: 0 names only, 1 types and references too, 2 ranges and few values, 3 examples of many and row counts."""
    inner = ", ".join(_column(column, detail, table.rows) for column in table.columns)
    counted = f", {table.rows} row{'' if table.rows == 1 else 's'}" if detail > 1 and table.rows is not None else ""
    return f"{name(table.name)}({inner}){counted}"


def name(text: str) -> str:
    """As SQL wants it, in quotes only where it must be."""
    return '"' + text.replace('"', '""') + '"' if needs_quotes(text) else text


def quoted(text: str) -> str:
    """As a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def plain_type(declared: str) -> str:
    """In one word: "VARCHAR(200)" is text, "BIGINT" integer."""
    lower = declared.lower()
    if "[" in lower or lower.startswith(("struct", "map", "union")):
        return lower if len(lower) <= 40 else lower[:39] + "…"
    found = next((plain for part, plain in _TYPES if part in lower), "")
    return found or re.sub(r"\s*\(.*", "", lower)[:20]


def _column(column: Column, detail: int, rows: int | None) -> str:
    parts = [name(column.name)]
    if detail > 0:
        parts += [kind] if (kind := plain_type(column.type)) else []
        parts += [f"-> {column.refers}"] if column.refers else []
    if detail > 1 and not column.refers and not column.is_key:
        parts += [told] if (told := _values(column, detail, rows)) else []
    return " ".join(parts)


def _values(column: Column, detail: int, rows: int | None) -> str:
    """A range of dates or years, all values, or an example; "" where none tells anything."""
    low, high = column.low, column.high
    if low is None or high is None:
        return ""
    if isinstance(low, str):
        if not isinstance(high, str):
            return ""
        values = [value for value in column.values if isinstance(value, str)]
        if plain_type(column.type) in ("date", "timestamp", "datetime", "time") or (
            _ISO.fullmatch(low) and _ISO.fullmatch(high)
        ):
            return low if low == high else f"{low}..{high}"
        if plain_type(column.type) in ("blob",) or not values:
            return ""
        if column.all_values and len(values) <= MOST_VALUES and all(len(value) <= LONGEST_VALUE for value in values):
            listed = ", ".join(_text(value) for value in values)
            if len(listed) <= LONGEST_LIST:
                return listed
        # An example only of what is written in a way of its own: small models take examples for what is asked about.
        return f"like {_text(values[0])}" if _DATED.fullmatch(values[0]) else ""
    if isinstance(high, str) or isinstance(low, bool):
        return ""
    # Of numbers only what tells that they are years: small models take the ends of a range for what is asked about.
    are_years = isinstance(low, int) and isinstance(high, int) and 1000 <= low <= high <= 2999
    return ("" if low == high else f"{low}..{high}") if are_years else ""


def _text(value: str) -> str:
    cut = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
    return "'" + " ".join(cut.split()).replace("'", "''") + "'"


def _written(tables: Sequence[Table], several: bool, detail: int, notes: Sequence[str] = ()) -> str:
    return "\n".join([*_lines(tables, several, lambda table: line(table, detail)), *(f"[{note}]" for note in notes)])


def _lines(tables: Sequence[Table], several: bool, written: Callable[[Table], str]) -> list[str]:
    lines: list[str] = []
    file = ""
    for table in tables:
        if several and table.file != file:
            lines.append(f"in {table.file}:")
            file = table.file
        lines.append(written(table))
    return lines


def _fitting(tables: Sequence[Table], several: bool, most: int) -> str:
    """As many whole tables as fit beside the names of the others; if those don't, beside their number."""
    for names in (True, False):
        for count in range(len(tables) - 1, 0, -1):
            left = tables[count:]
            told = f"[{len(left)} more table{'' if len(left) == 1 else 's'}"
            told += f": {', '.join(name(table.name) for table in left)}]" if names else "]"
            text = f"{_written(tables[:count], several, 0)}\n{told}"
            if len(text) <= most:
                return text
    return ""
