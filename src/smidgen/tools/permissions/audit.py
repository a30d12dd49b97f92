"""The log of calls: which tool, with what, who let it run and what came of it. One SQLite file for all of smidgen."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

LONGEST = 4000
"""Characters of arguments and of a result that are kept."""
KEPT_DAYS = 90
BUSY_S = 2.0
"""For which another process that writes is waited for."""
MOST = 2**62
"""Rows that can be asked for."""
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS calls ("
    "id INTEGER PRIMARY KEY, at REAL NOT NULL, tool TEXT NOT NULL, arguments TEXT NOT NULL, uses TEXT NOT NULL,"
    "decision TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, ok INTEGER, fault TEXT, seconds REAL, tier TEXT,"
    "result TEXT)",
    "CREATE INDEX IF NOT EXISTS calls_at ON calls (at)",
)
_VERSION = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One call. at: seconds since 1970. uses: what it would do, in words. decision: "allowed", "approved", "refused",
    "denied" or "dry run". ok: None where it never ran, or smidgen ended before it had."""

    at: float
    tool: str
    arguments: str
    uses: str
    decision: str
    by: str
    reason: str
    ok: bool | None = None
    fault: str = ""
    seconds: float = 0.0
    tier: str = ""
    result: str = ""


class Audit:
    """Every method opens the file anew, so that several processes may write. Raises OSError where it can't be kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_tidied = False

    def begin(self, entry: Entry) -> int:
        """Written before the call runs: what was started is known even if nothing comes back."""
        with self._opened() as database:
            values = {name: _storable(value) for name, value in msgspec.to_builtins(entry).items()}
            names = ", ".join(values)
            marks = ", ".join("?" for _ in values)
            done = database.execute(f"INSERT INTO calls ({names}) VALUES ({marks})", tuple(values.values()))
            return int(done.lastrowid or 0)

    def end(self, number: int, *, ok: bool, fault: str, seconds: float, tier: str, result: str) -> None:
        with self._opened() as database:
            database.execute(
                "UPDATE calls SET ok = ?, fault = ?, seconds = ?, tier = ?, result = ? WHERE id = ?",
                (ok, fault, seconds, tier, _storable(_cut(result)), number),
            )

    def last(self, count: int = 20, *, tool: str = "") -> list[Entry]:
        """The newest first; all of them for a count of 0. Changes nothing."""
        if not self.path.exists():
            return []
        fields = [field.name for field in msgspec.structs.fields(Entry)]
        query = f"SELECT {', '.join(fields)} FROM calls WHERE ? IN ('', tool) ORDER BY id DESC LIMIT ?"
        try:
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as database:
                if not _version(database):
                    return []
                rows = database.execute(query, (tool, min(count, MOST) or -1)).fetchall()
        except sqlite3.Error as error:
            raise self._problem(error) from error
        return [_entry(dict(zip(fields, row, strict=True))) for row in rows]

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        try:
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch(mode=0o600)
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as database:
                if not _version(database):
                    self._make(database)
                self._tidy(database)
                with database:
                    yield database
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _make(self, database: sqlite3.Connection) -> None:
        """Two processes may both find it new: all of this may be done twice."""
        with suppress(sqlite3.OperationalError):  # it is only quicker so, and another that does the same is in the way
            database.execute("PRAGMA journal_mode = WAL")
        for statement in _SCHEMA:
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_VERSION}")

    def _tidy(self, database: sqlite3.Connection) -> None:
        if not self._is_tidied:
            with database:
                database.execute("DELETE FROM calls WHERE at < ?", (time.time() - KEPT_DAYS * 86400,))
            self._is_tidied = True

    def _problem(self, error: sqlite3.Error) -> OSError:
        return OSError(f"{self.path} can't be used: {error}")


def as_text(arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON, cut where they are long."""
    try:
        return _cut(json.dumps(dict(arguments), ensure_ascii=True, default=str))
    except (ValueError, TypeError, RecursionError) as error:
        return f"(can't be written: {error})"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _storable(value: Any) -> Any:
    """A text that came as bytes of no encoding can't be kept as it is."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _version(database: sqlite3.Connection) -> int:
    """0 for one that is yet to be made."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _entry(row: dict[str, Any]) -> Entry:
    known = {name: value for name, value in row.items() if value is not None}
    return msgspec.convert(known, Entry, strict=False)
