"""The tables. `user_version` numbers their shape; a newer one is another smidgen's and is left alone."""

from __future__ import annotations

import sqlite3

from smidgen.sessions.sqlite import make, transaction, version

VERSION = 1

TABLES = """
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    agent TEXT NOT NULL,
    title TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL
);
CREATE INDEX sessions_by_update ON sessions (updated DESC, number DESC);
CREATE TABLE messages (
    session INTEGER NOT NULL REFERENCES sessions (number) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (session, place)
) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session INTEGER REFERENCES sessions (number) ON DELETE CASCADE,
    agent TEXT NOT NULL,
    model TEXT NOT NULL,
    owner TEXT NOT NULL,
    status TEXT NOT NULL,
    created TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT '',
    input BLOB NOT NULL
);
CREATE INDEX runs_of_sessions ON runs (session);
CREATE INDEX runs_that_last ON runs (status) WHERE status IN ('running', 'waiting');
CREATE TABLE events (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
"""


class NewerSchema(Exception):
    """The file was made by a later version."""


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables if they aren't there. Raises NewerSchema, sqlite3.Error."""
    with transaction(connection):
        found = version(connection)
        if found > VERSION:
            raise NewerSchema(f"version {found}")
        if found == 0:
            make(connection, TABLES, VERSION)
