"""What all files in SQLite do alike: write all of something or nothing, and make tables once; and how those of this
room are opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

BUSY_S = 10.0
"""Seconds to wait for another process that writes."""


def connected(file: Path | str) -> sqlite3.Connection:
    """Several processes may read while one writes; transactions are begun by hand. Raises sqlite3.Error."""
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All of what is done in it or nothing. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk has rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version(connection: sqlite3.Connection) -> int:
    """The shape of the file's tables; 0 for a new file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def make(connection: sqlite3.Connection, tables: str, number: int) -> None:
    """In a transaction of the caller's. tables: statements, each ended by a semicolon and a line break. number: what
    `version` tells from now on."""
    for statement in tables.strip().split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {number}")
