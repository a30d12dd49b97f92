"""ANSWERS: questions in SQL about data files of the workspace. Only SELECT, only reading, only in the sandbox.

A file is a `Source`: an SQLite database with tables of its own, or one table as CSV, TSV, Parquet or JSON lines. Each
database is asked by itself; all the other files are asked together, so that they can be joined.

sources.py   finds them                          inside/      opens them, in the sandbox
engine.py    asks what runs there                schema.py    tells a model what tables there are
hints.py     what was wrong with a statement     shown.py     rows as text
query.py     the tool
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["sqlite", "csv", "tsv", "parquet", "jsonl"]
Problem = Literal["sql", "denied", "time", "memory", "file", "failed"]
"""sql: the statement is wrong, another might not be; denied: it would do what is not allowed; time, memory: it takes
too much; file: the data can't be read; failed: anything else."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """path: relative to the workspace, with "/". table: its name in SQL, "" for a database, which has its own."""

    path: str
    kind: Kind
    table: str = ""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """type: in lower case, as "integer"; "" if none was declared. refers: "table.column" of a foreign key. low, high:
    the least and the greatest value, None if unknown. values: different texts, all of them if `all_values`."""

    name: str
    type: str = ""
    is_key: bool = False
    refers: str = ""
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()
    all_values: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """rows: None where counting would have taken too long."""

    name: str
    file: str
    columns: tuple[Column, ...] = ()
    rows: int | None = None
    is_view: bool = False


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """problems: by file, why it couldn't be read. notes: what is to be known of the data beside that."""

    tables: tuple[Table, ...] = ()
    problems: dict[str, str] = {}
    notes: tuple[str, ...] = ()


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a query. more: there are more rows than these. notes: what was cut, and what is to be known."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    more: bool = False
    notes: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A query without a result. tables: for a wrong statement, the columns that there are, by table."""

    kind: Problem
    message: str
    tables: dict[str, tuple[str, ...]] = {}


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """seconds: for one statement. rows: of a result. cell, total: characters of one value and of all together.
    sql: characters of a statement. schema: characters of the schema as a model is told it."""

    seconds: float = 5.0
    rows: int = 100
    cell: int = 500
    total: int = 100_000
    sql: int = 2000
    schema: int = 2000
