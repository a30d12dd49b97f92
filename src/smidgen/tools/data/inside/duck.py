"""DuckDB: CSV, TSV, Parquet and JSON lines as tables, which can open nothing else and change nothing."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

from smidgen.tools.data.inside.cells import Refused, fetch, literal, quoted
from smidgen.tools.data.inside.ragged import MOST_BYTES, delimiter_of, encoding_of, evened
from smidgen.tools.data.inside.statistics import MOST_COLUMNS, STATISTIC_S, with_statistics

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "temp_directory": "",
    "allow_community_extensions": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


class Duck:
    """Files as tables of one DuckDB in memory, which can open nothing else and change nothing.

    They are views: nothing is read that a query doesn't ask for, so that files may be larger than the memory.
    """

    def __init__(self, files: list[dict[str, str]], seconds: float) -> None:
        import duckdb

        self._duckdb = duckdb
        self.end = time.monotonic() + seconds
        self.notes: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self._allowed: list[str] = []
        try:
            self._connection = duckdb.connect(":memory:", config=dict(SETTINGS))
        except duckdb.Error as error:  # it reads what it may use of the computer, which a sandbox may not show
            why = first_line(str(error))
            raise Refused("failed", f"DuckDB can't start here, so only SQLite can be asked: {why}.") from None
        threading.Thread(target=self._watch, daemon=True).start()
        for file in files:
            try:
                self._add(file["table"], file["path"], file["kind"])
                self.files[file["table"]] = file["path"]
                self._allowed.append(f"./{file['path']}")
            except Refused as error:
                self.problems[file["table"]] = str(error)
            except duckdb.Error as error:
                self.problems[file["table"]] = f"{file['path']} can't be read: {first_line(str(error))}"
        allowed = ", ".join(literal(path) for path in self._allowed)
        try:
            self._connection.execute(f"SET allowed_paths = [{allowed}]")
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
        except duckdb.InterruptException:
            raise Refused("time", "To open the files takes too long.") from None

    def _watch(self) -> None:
        while True:
            time.sleep(0.02)
            if time.monotonic() > self.end:
                self._connection.interrupt()

    def _add(self, table: str, path: str, kind: str) -> None:
        if any(sign in path for sign in "*?["):
            raise Refused("file", f"{path} can't be read: its name holds one of * ? [, so give it another.")
        try:
            size = os.path.getsize(path)  # noqa: PTH202
        except OSError as error:
            raise Refused("file", f"{path} can't be read: {error.strerror}.") from None
        if not size:
            raise Refused("file", f"{path} is empty.")
        problem: Exception | None = None
        for source, note in self._readers(path, kind, size):
            try:
                self._connection.execute(f"CREATE OR REPLACE VIEW {quoted(table)} AS SELECT * FROM {source}")
                described = self._connection.execute(f"DESCRIBE {quoted(table)}").fetchall()
            except self._duckdb.Error as error:
                problem = error
                continue
            names = [str(row[0]) for row in described]
            if note and kind == "jsonl" and names == ["json"]:
                continue  # not one line could be read
            if kind in ("csv", "tsv") and not note:
                skipped = self._skipped(source)
                encoding = encoding_of(path)
                if delimiter_of(path, encoding) if len(names) == 1 else delimiter_of(path, encoding, skipped):
                    continue  # lines of different lengths, taken for one column, or the first ones for a title
                note = f"lines left out at its beginning: {skipped}" if skipped else ""
            if note:
                self.notes[table] = f"{path}: {note}"
            plain = plain_names(names)
            if plain != names:
                pairs = ", ".join(f"{quoted(name)} AS {quoted(new)}" for name, new in zip(names, plain, strict=True))
                self._connection.execute(f"CREATE OR REPLACE VIEW {quoted(table)} AS SELECT {pairs} FROM {source}")
            return
        self._connection.execute(f"DROP VIEW IF EXISTS {quoted(table)}")
        raise problem or Refused("file", f"{path} can't be read: it is no table.")

    def _skipped(self, source: str) -> int:
        """Lines before the table begins, a title for one, which DuckDB leaves out by itself."""
        sniffed = self._connection.execute(f"SELECT SkipRows FROM {source.replace('read_csv', 'sniff_csv', 1)}")
        row = sniffed.fetchone()
        return int(row[0]) if row else 0

    def _readers(self, path: str, kind: str, size: int) -> Iterator[tuple[str, str]]:
        """How the file may be read, and what is then to be said of it, the strictest first."""
        place = literal(f"./{path}")
        if kind == "parquet":
            yield f"read_parquet({place})", ""
        elif kind == "jsonl":
            read = f"read_json({place}, format = 'newline_delimited', sample_size = -1"
            yield f"{read})", ""
            yield f"{read}, ignore_errors = true)", "lines that can't be read are left out"
        else:
            encoding = encoding_of(path)
            sample = f"sample_size = {-1 if size <= MOST_BYTES else 200_000}"
            options = sample + (f", encoding = '{encoding}'" if encoding != "utf-8" else "")
            options += ", delim = '\\t'" if kind == "tsv" else ""
            yield f"read_csv({place}, {options})", ""
            if size <= MOST_BYTES and (sign := delimiter_of(path, encoding)):
                even = evened(path, encoding, sign)
                self._allowed.append(even)
                yield (
                    f"read_csv({literal(even)}, {sample}, skip = 0)",
                    "its lines have different lengths; what is missing is NULL",
                )
            yield (
                f"read_csv({place}, {options}, null_padding = true, strict_mode = false, ignore_errors = true)",
                "lines that can't be read are left out",
            )

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            statements = self._duckdb.extract_statements(request["sql"])
            if len(statements) != 1:
                raise Refused("sql", "Write one statement, not several." if statements else "There is no statement.")
            if statements[0].type != self._duckdb.StatementType.SELECT:
                raise Refused("denied", f"{statements[0].type.name} is not allowed: only SELECT of the tables is.")
            cursor = self._connection.execute(statements[0])
            words = {word.lower() for word in re.findall(r"\w+", request["sql"])}
            return fetch(cursor, request, [note for table, note in self.notes.items() if table.lower() in words])
        except self._duckdb.Error as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> Refused:
        said = str(error)
        if missing := re.search(r"Table with name (\S+) does not exist", said):
            for table, problem in self.problems.items():
                if table.lower() == missing[1].lower():
                    return Refused("file", problem)
        if isinstance(error, self._duckdb.InterruptException):
            return Refused("time", "The query takes too long.")
        if isinstance(error, self._duckdb.OutOfMemoryException):
            return Refused("memory", "The query takes too much memory.")
        if isinstance(error, self._duckdb.PermissionException):
            return Refused("denied", "Only the tables may be read: no other files, no settings.")
        if isinstance(error, self._duckdb.IOException):
            return Refused("file", f"The data can't be read: {first_line(said)}")
        return Refused("sql", first_line(said))

    def tables(self) -> dict[str, list[str]]:
        self.end = time.monotonic() + STATISTIC_S
        try:
            return {table: [str(row[0]) for row in self._described(table)] for table in self.files}
        except self._duckdb.Error:
            return {}

    def _described(self, table: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(f"DESCRIBE {quoted(table)}").fetchall()[:MOST_COLUMNS]

    def schema(self, end: float) -> list[dict[str, Any]]:
        def look(sql: str) -> list[tuple[Any, ...]]:
            self.end = min(end, time.monotonic() + STATISTIC_S)
            try:
                return self._connection.execute(sql).fetchall()
            except (self._duckdb.Error, MemoryError):
                return []
            finally:
                self.end = end

        found: list[dict[str, Any]] = []
        for table, path in self.files.items():
            self.end = end
            try:
                columns = [{"name": str(row[0]), "type": str(row[1])} for row in self._described(table)]
            except self._duckdb.Error as error:
                self.problems[table] = f"{path} can't be read: {first_line(str(error))}"
                continue
            found.append({**with_statistics(quoted(table), columns, look), "name": table, "file": path})
        return found


def first_line(said: str) -> str:
    """Of DuckDB's message what a model needs: not the kind of error, not the place drawn below it."""
    converting = re.search(r"Could not convert string .*", said)
    line = converting[0] if converting else said.split("\n", 1)[0]
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", line)[:300]


def plain_names(names: list[str]) -> list[str]:
    """Names that SQL takes without quotes, each once."""
    taken: set[str] = set()
    plain: list[str] = []
    for number, name in enumerate(names, 1):
        new = re.sub(r"\W+", "_", name).strip("_") or f"column_{number}"
        new = f"_{new}" if new[0].isdigit() else new
        base, again = new, 2
        while new.lower() in taken:
            new, again = f"{base}_{again}", again + 1
        taken.add(new.lower())
        plain.append(new)
    return plain
