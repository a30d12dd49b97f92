"""The log of calls: which tool, with what, who let it run and what came of it. One SQLite file for all of smidgen."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

LONGEST = 4000
"""Characters of arguments and of a result that are kept."""
KEPT_DAYS = 90
BUSY_S = 2.0
"""For which another process that writes is waited for."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, tool TEXT NOT NULL, arguments TEXT NOT NULL, uses TEXT NOT NULL,
    decision TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, ok INTEGER, fault TEXT, seconds REAL, tier TEXT,
    result TEXT
);
CREATE INDEX IF NOT EXISTS calls_at ON calls (at);
"""
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
        self._is_made = False

    def begin(self, entry: Entry) -> int:
        """Written before the call runs: what was started is known even if nothing comes back."""
        with self._opened() as database:
            values = msgspec.to_builtins(entry)
            names = ", ".join(values)
            marks = ", ".join("?" for _ in values)
            done = database.execute(f"INSERT INTO calls ({names}) VALUES ({marks})", tuple(values.values()))
            return int(done.lastrowid or 0)

    def end(self, number: int, *, ok: bool, fault: str, seconds: float, tier: str, result: str) -> None:
        with self._opened() as database:
            database.execute(
                "UPDATE calls SET ok = ?, fault = ?, seconds = ?, tier = ?, result = ? WHERE id = ?",
                (ok, fault, seconds, tier, result[:LONGEST], number),
            )

    def last(self, count: int = 20, *, tool: str = "") -> list[Entry]:
        """The newest first."""
        if not self.path.exists():
            return []
        fields = [field.name for field in msgspec.structs.fields(Entry)]
        query = f"SELECT {', '.join(fields)} FROM calls WHERE ? IN ('', tool) ORDER BY id DESC LIMIT ?"
        with self._opened() as database:
            rows = database.execute(query, (tool, count)).fetchall()
        return [_entry(dict(zip(fields, row, strict=True))) for row in rows]

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        try:
            if not self._is_made:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch(mode=0o600)
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as database:
                if not self._is_made:
                    self._make(database)
                with database:
                    yield database
        except sqlite3.Error as error:
            raise OSError(f"{self.path} can't be used: {error}") from error

    def _make(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {_VERSION}")
        with database:
            database.execute("DELETE FROM calls WHERE at < ?", (time.time() - KEPT_DAYS * 86400,))
        self._is_made = True


def as_text(arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON, cut where they are long."""
    written = json.dumps(dict(arguments), ensure_ascii=True, default=str)
    return written if len(written) <= LONGEST else f"{written[:LONGEST]}… ({len(written)} characters)"


def _entry(row: dict[str, Any]) -> Entry:
    known = {name: value for name, value in row.items() if value is not None}
    return msgspec.convert(known, Entry, strict=False)
