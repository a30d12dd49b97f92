"""SQLite: a database that nothing can change, whatever is asked of it."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any
from urllib.parse import quote

from smidgen.tools.data.inside.cells import MIB, Refused, fetch, quoted
from smidgen.tools.data.inside.statistics import MOST_COLUMNS, MOST_TABLES, STATISTIC_S, with_statistics

HEAP = 256 * MIB
SQLITE_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 16 * MIB,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 200_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_WORDS = """
    abs changes char coalesce concat concat_ws format glob hex ifnull iif if instr length like likelihood likely lower
    ltrim max min nullif octet_length printf quote random replace round rtrim sign soundex substr substring trim
    typeof unhex unicode unistr unlikely upper zeroblob avg count group_concat string_agg sum total median percentile
    percentile_cont percentile_disc date time datetime julianday unixepoch strftime timediff current_date current_time
    current_timestamp row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value
    nth_value acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi
    pow power radians sin sinh sqrt tan tanh trunc json json_array json_array_length json_each json_error_position
    json_extract json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote
    json_remove json_replace json_set json_tree json_type json_valid -> ->> match bm25 highlight snippet offsets
    matchinfo sqlite_version
"""
FUNCTIONS = frozenset(_WORDS.split())
SCHEMA_PRAGMAS = frozenset({"table_list", "table_xinfo", "foreign_key_list"})
INNER_PRAGMAS = frozenset({"data_version", "page_size"})
"""What full-text search asks of its own database, without a value."""
ACTIONS = {
    sqlite3.SQLITE_INSERT: "INSERT", sqlite3.SQLITE_UPDATE: "UPDATE", sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_ATTACH: "ATTACH", sqlite3.SQLITE_DETACH: "DETACH", sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "BEGIN and COMMIT", sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
    sqlite3.SQLITE_ALTER_TABLE: "ALTER", sqlite3.SQLITE_ANALYZE: "ANALYZE", sqlite3.SQLITE_REINDEX: "REINDEX",
}  # fmt: skip


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class Sqlite:
    """One database, read-only whatever is asked of it."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path = path
        self.notes: list[str] = []
        self.end = time.monotonic() + seconds
        self._pragmas: frozenset[str] = INNER_PRAGMAS
        self._denied = ""
        try:
            self._connection = self._opened()
            self._prepare_virtual()
        except sqlite3.Error as error:
            refused = self._refused(error)
            raise Refused("file", f"{path} can't be read: {error}.") if refused.kind == "sql" else refused from None
        self._connection.set_authorizer(self._authorize)

    def _opened(self) -> sqlite3.Connection:
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123
                head = file.read(100)
        except OSError as error:
            raise Refused("file", f"{self.path} can't be read: {error.strerror}.") from None
        if not head:
            raise Refused("file", f"{self.path} is empty.")
        if not head.startswith(b"SQLite format 3\0"):
            raise Refused("file", f"{self.path} is not an SQLite database.")
        try:
            return self._connected("mode=ro")
        except sqlite3.OperationalError as error:
            # A database in WAL mode needs files beside it, which can't be made where nothing may be written.
            if len(head) < 20 or head[18] != 2 or "unable to open" not in str(error):
                raise
        if os.path.exists(f"{self.path}-wal") and os.path.getsize(f"{self.path}-wal"):  # noqa: PTH110, PTH202
            self.notes.append(f"the newest changes of {self.path} are not in it yet, but in its -wal file")
        return self._connected("immutable=1")

    def _connected(self, how: str) -> sqlite3.Connection:
        uri = f"file://{quote(os.path.abspath(self.path))}?{how}"  # noqa: PTH100
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1, cached_statements=0)
        for limit, most in SQLITE_LIMITS.items():
            connection.setlimit(limit, most)
        for option, on in (("DEFENSIVE", True), ("TRUSTED_SCHEMA", False), ("ENABLE_TRIGGER", False)):
            code = getattr(sqlite3, f"SQLITE_DBCONFIG_{option}", None)
            if code is not None:
                getattr(connection, "setconfig")(code, on)  # noqa: B009  # Python 3.12
        for setting in (
            "trusted_schema=0", "query_only=1", "cell_size_check=1", "mmap_size=0", "temp_store=2",
            f"hard_heap_limit={HEAP}",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {setting}")
        connection.text_factory = _text
        connection.set_progress_handler(lambda: time.monotonic() > self.end, 1000)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return connection

    def _prepare_virtual(self) -> None:
        """A virtual table declares itself when it is first used, by what would look like an UPDATE of the schema."""
        found = self._connection.execute(
            f"SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%' LIMIT {MOST_TABLES}"
        ).fetchall()
        for table in (*(quoted(row[0]) for row in found), "json_each('[]')", "json_tree('[]')"):
            try:
                self._connection.execute(f"SELECT 1 FROM {table} LIMIT 0").close()
            except sqlite3.Error:  # of a module that isn't there
                continue

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            if (second or "").lower() in FUNCTIONS:
                return sqlite3.SQLITE_OK
            self._denied = self._denied or f"The function {second} is not allowed."
            return sqlite3.SQLITE_DENY
        name = (first or "").lower()
        if action == sqlite3.SQLITE_PRAGMA and name in self._pragmas and (name not in INNER_PRAGMAS or not second):
            return sqlite3.SQLITE_OK
        what = "That" if name.startswith("sqlite_") else ACTIONS.get(action, "That")
        self._denied = self._denied or f"{what} is not allowed: only SELECT of the tables is."
        return sqlite3.SQLITE_DENY

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        self._denied = ""
        try:
            cursor = self._connection.execute(request["sql"])
            if not cursor.description:
                raise Refused("sql", "That is no SELECT statement.")
            return fetch(cursor, request, self.notes)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> Refused:
        said = str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if self._denied and ("not authorized" in said or "prohibited" in said):
            return Refused("denied", self._denied)
        if code == sqlite3.SQLITE_INTERRUPT or said == "interrupted":
            return Refused("time", "The query takes too long.")
        if code == sqlite3.SQLITE_NOMEM:
            return Refused("memory", "The query takes too much memory.")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH):
            return Refused("denied", "That is not allowed: only SELECT of the tables is.")
        broken = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
        if code in (*broken, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
            return Refused("file", f"{self.path} can't be read: {said}.")
        return Refused("sql", said)

    def tables(self) -> dict[str, list[str]]:
        """Their columns, for hints."""
        self._pragmas = SCHEMA_PRAGMAS | INNER_PRAGMAS
        self.end = time.monotonic() + STATISTIC_S
        try:
            return {name: [column[1] for column in self._columns(name)] for name, _ in self._names()}
        except (sqlite3.Error, MemoryError):
            return {}

    def schema(self, end: float) -> list[dict[str, Any]]:
        self._pragmas = SCHEMA_PRAGMAS | INNER_PRAGMAS
        self.end = end
        try:
            return [self._table(name, is_view, end) for name, is_view in self._names()]
        except sqlite3.Error as error:
            raise self._refused(error) from None

    def _names(self) -> list[tuple[str, bool]]:
        try:
            shadows = {str(row[1]) for row in self._connection.execute("PRAGMA main.table_list") if row[2] == "shadow"}
        except sqlite3.Error:  # older than 3.37
            shadows = set[str]()
        found = self._connection.execute(
            f"SELECT name, type = 'view' FROM sqlite_master WHERE type IN ('table', 'view')"
            f" AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid LIMIT {4 * MOST_TABLES}"
        ).fetchall()
        return [(name, bool(is_view)) for name, is_view in found if name not in shadows][:MOST_TABLES]

    def _columns(self, table: str) -> list[tuple[Any, ...]]:
        """(number, name, type, not null, default, place in the key, hidden) of each."""
        try:
            found = self._connection.execute(f"PRAGMA main.table_xinfo({quoted(table)})").fetchall()
        except sqlite3.OperationalError:  # a view of what isn't there, a virtual table of a module that isn't
            return []
        return [column for column in found if column[6] != 1][:MOST_COLUMNS]

    def _table(self, name: str, is_view: bool, end: float) -> dict[str, Any]:
        columns = self._columns(name)
        refers: dict[str, str] = {}
        for row in self._connection.execute(f"PRAGMA main.foreign_key_list({quoted(name)})").fetchall():
            target = row[4] or next((column[1] for column in self._columns(row[2]) if column[5]), "")
            refers[row[3]] = f"{row[2]}.{target}" if target else str(row[2])
        told = [
            {"name": column[1], "type": column[2], "is_key": bool(column[5]), "refers": refers.get(column[1], "")}
            for column in columns
        ]

        def look(sql: str) -> list[tuple[Any, ...]]:
            self.end = min(end, time.monotonic() + STATISTIC_S)
            try:
                return self._connection.execute(sql).fetchall()
            except (sqlite3.Error, MemoryError):
                return []
            finally:
                self.end = end

        return {**with_statistics(quoted(name), told, look), "name": name, "file": self.path, "is_view": is_view}
