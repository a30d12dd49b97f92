"""The tables of a cache's file, and what is wrong with one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from smidgen.sessions.sqlite import make, transaction, version

VERSION = 1
BUSY_S = 2.0
"""Seconds to wait for another process that writes."""

TABLES = """
CREATE TABLE answers (
    key BLOB PRIMARY KEY,
    family BLOB NOT NULL,
    request TEXT NOT NULL,
    embedder TEXT NOT NULL,
    vector BLOB NOT NULL,
    answer BLOB NOT NULL,
    made REAL NOT NULL,
    expires REAL NOT NULL,
    used INTEGER NOT NULL
);
CREATE INDEX answers_of_families ON answers (family, embedder);
CREATE INDEX answers_by_use ON answers (used);
CREATE TABLE counts (outcome TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables if they aren't there, and looks whether the file is whole. Raises sqlite3.Error."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA trusted_schema = OFF")

    with transaction(connection):
        found = version(connection)
        if found not in (0, VERSION):
            raise sqlite3.OperationalError(f"it was made by another version of smidgen ({found})")
        if found == 0:
            make(connection, TABLES, VERSION)
    checked = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if checked != "ok":
        error = sqlite3.DatabaseError(checked)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def damaged(path: Path) -> bool:
    """Whether the file can't be used as it is. A file that isn't there is made."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
            prepare(connection)
    except sqlite3.Error as error:
        return is_damage(error)
    return False


def is_damage(error: Exception) -> bool:
    """Whether an error is about the file itself, not about who else uses it or where it lies."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
