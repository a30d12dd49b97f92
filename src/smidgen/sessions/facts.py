"""What users said about themselves and their things, in one SQLite file: assertions are added and never changed.

Which of them hold follows from their order: a later one of the same subject replaces the earlier, which stays as
history. So two conversations that began alike and went apart don't disturb each other.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from smidgen.errors import SessionsUnavailable
from smidgen.sessions.sqlite import connected, make, transaction, version

T = TypeVar("T")

VERSION = 1
MOST_NAMELESS = 20_000
"""Facts of conversations without a user's name that are kept; the oldest go. They come back with their conversation."""

TABLES = """
CREATE TABLE facts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    conversation TEXT NOT NULL,
    source TEXT NOT NULL,
    place INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    value TEXT NOT NULL,
    said TEXT NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (owner, source, place)
);
CREATE INDEX facts_of_conversations ON facts (owner, conversation);
CREATE TABLE vectors (
    fact INTEGER NOT NULL REFERENCES facts (number) ON DELETE CASCADE,
    embedder TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (fact, embedder)
) WITHOUT ROWID;
CREATE TABLE forgotten (
    owner TEXT NOT NULL,
    source TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (owner, source, place)
) WITHOUT ROWID;
"""
"""`forgotten` holds no words: only which assertions must not come back when their conversation is read again."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One assertion. owner: the user's name, "" if none is known. conversation: the digest of its first user message.
    source: digest of the user messages up to the one that says it; place: which assertion of that message; turn: which
    of the conversation's user messages, from 1 on. subject: what it is about, "" if nothing can replace it. value:
    the part that tells it from other assertions about the subject. said: the user's sentence. created: UTC, ISO 8601.
    number: 0 until it is kept."""

    owner: str = ""
    conversation: str
    source: str
    place: int
    turn: int
    subject: str
    text: str
    value: str = ""
    said: str
    created: str
    number: int = 0


_COLUMNS = "owner, conversation, source, place, turn, subject, text, value, said, created, number"


def current(facts: Iterable[Fact]) -> list[Fact]:
    """Of facts in their order, those that no later one replaces."""
    latest: dict[str, Fact] = {}
    for fact in facts:
        key = fact.subject or f"\0{fact.text}"
        latest.pop(key, None)  # so that it stands where it was last said
        latest[key] = fact
    return list(latest.values())


class FactStore:
    """path: of the file, made with its folder; None keeps all in memory.

    Methods block for as long as the disk takes, and may be called from any thread. They raise SessionsUnavailable when
    the file can't be read or written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._close: Callable[[], object] | None = None

    def keep(self, facts: Sequence[Fact], beside: Collection[str] = ()) -> int:
        """Adds what isn't there yet and wasn't forgotten. beside: sources whose facts stay now, even where they are the
        oldest of nobody's. How many were added."""

        def work(connection: sqlite3.Connection) -> int:
            gone = "SELECT 1 FROM forgotten WHERE owner = ? AND source = ? AND place = ?"
            added = 0
            for fact in facts:
                if connection.execute(gone, (fact.owner, fact.source, fact.place)).fetchone():
                    continue
                row = [getattr(fact, name) for name in _COLUMNS.split(", ")[:-1]]
                marks = ", ".join("?" * len(row))
                names = _COLUMNS.removesuffix(", number")
                added += connection.execute(f"INSERT OR IGNORE INTO facts ({names}) VALUES ({marks})", row).rowcount
            if added:
                stay = {*beside, *(fact.source for fact in facts)}
                old = "SELECT number, source FROM facts WHERE owner = '' ORDER BY number DESC LIMIT -1 OFFSET ?"
                for number, source in connection.execute(old, (MOST_NAMELESS,)).fetchall():
                    if source not in stay:
                        connection.execute("DELETE FROM facts WHERE number = ?", (number,))
            return added

        return self._written(work)

    def facts(self, owner: str, conversation: str = "") -> list[Fact]:
        """All assertions of a user in the order in which they became known, or those of one conversation."""

        def work(connection: sqlite3.Connection) -> list[Fact]:
            where, values = "owner = ?", [owner]
            if conversation:
                where, values = f"{where} AND conversation = ?", [owner, conversation]
            rows = connection.execute(f"SELECT {_COLUMNS} FROM facts WHERE {where} ORDER BY number", values)
            return [Fact(**dict(zip(_COLUMNS.split(", "), row, strict=True))) for row in rows]

        return self._read(work)

    def forget(self, facts: Sequence[Fact]) -> int:
        """Deletes assertions with their words and vectors. They don't come back with their conversation. How many there
        were."""

        def work(connection: sqlite3.Connection) -> int:
            found = 0
            for fact in facts:
                found += connection.execute("DELETE FROM facts WHERE number = ?", (fact.number,)).rowcount
                key = (fact.owner, fact.source, fact.place)
                connection.execute("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?)", key)
            return found

        found = self._written(work)
        self._read(lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        return found

    def vectors(self, embedder: str, owner: str, conversation: str = "") -> dict[int, tuple[float, ...]]:
        """Those that are known, by the number of the fact."""

        def work(connection: sqlite3.Connection) -> dict[int, tuple[float, ...]]:
            query = "SELECT fact, data FROM vectors JOIN facts ON fact = number WHERE embedder = ? AND owner = ?"
            values = [embedder, owner]
            if conversation:
                query, values = f"{query} AND conversation = ?", [*values, conversation]
            rows = connection.execute(query, values)
            return {number: struct.unpack(f"<{len(data) // 4}f", data) for number, data in rows}

        return self._read(work)

    def keep_vectors(self, embedder: str, vectors: Mapping[int, Sequence[float]]) -> None:
        """Of facts that were forgotten meanwhile, none is kept."""

        def work(connection: sqlite3.Connection) -> None:
            add = "INSERT OR REPLACE INTO vectors SELECT number, ?, ? FROM facts WHERE number = ?"
            for number, vector in vectors.items():
                connection.execute(add, (embedder, struct.pack(f"<{len(vector)}f", *vector), number))

        self._written(work)

    def close(self) -> None:
        """Does nothing the second time; what is asked afterwards opens the file again."""
        with self._lock:
            self._connection = None
            if self._close is not None:
                self._close()

    # --- the connection -----------------------------------------------------------------------------------------------

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def _written(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """In one transaction: all of it or nothing."""

        def whole(connection: sqlite3.Connection) -> T:
            with transaction(connection):
                return work(connection)

        return self._read(whole)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connected()
            self._close = weakref.finalize(self, self._connection.close)
        return self._connection

    def _connected(self) -> sqlite3.Connection:
        name = ":memory:"
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.touch(mode=0o600)  # what a user says is nobody else's
            except OSError as error:
                raise self._unavailable(error) from error
            name = str(self._path)
        connection = connected(name)
        try:
            connection.execute("PRAGMA secure_delete = ON")  # else forgotten words stay in free pages
            with transaction(connection):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        found = version(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'facts'").fetchone()[0]
        if found > VERSION or (found == VERSION and not tables):
            raise SessionsUnavailable(
                f"{self._path} is no file of facts that this smidgen can read (version {found}).",
                hint="Name another file for them, or update smidgen.",
            )
        if found == 0:
            make(connection, TABLES, VERSION)

    def _unavailable(self, error: Exception) -> SessionsUnavailable:
        name = self._path.name if self._path else "memory"
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hints = {
            sqlite3.SQLITE_FULL: "Free some space on the disk.",
            sqlite3.SQLITE_BUSY: "Another program holds the file; try again.",
            sqlite3.SQLITE_CORRUPT: "The file is damaged: move it away, and a new one is begun.",
            sqlite3.SQLITE_NOTADB: "The file is damaged or something else: name another one.",
        }
        return SessionsUnavailable(
            f"Facts can't be kept in {name}: {error}.",
            hint=hints.get(code, "Make the file and its folder writable, or name another file."),
            retryable=code == sqlite3.SQLITE_BUSY,
        )
