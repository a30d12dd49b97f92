"""What a statement must not do, tried for real, and nothing changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.tools.data import Caps
from smidgen.tools.data.inside.answer import answer
from smidgen.tools.data.query import query_tool
from smidgen.tools.sandbox.box import Boxes

ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
BRIEF = Caps(seconds=0.5)


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO artist VALUES (3, 'x')", "UPDATE album SET year = 1", "DELETE FROM album", "DROP TABLE album",
        "REPLACE INTO artist VALUES (1, 'x')", "CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)",
        "ALTER TABLE album RENAME TO x",
        "PRAGMA writable_schema = 1", "PRAGMA journal_mode = delete", "PRAGMA query_only = 0",
        "PRAGMA table_info(album)",
        "PRAGMA page_size = 512", "ATTACH 'other.db' AS other", "ATTACH ':memory:' AS other", "DETACH main",
        "VACUUM", "VACUUM INTO 'copy.db'", "BEGIN", "COMMIT", "SAVEPOINT s", "REINDEX", "ANALYZE",
        "SELECT load_extension('./x.so')", "SELECT writefile('x', 'y')", "SELECT readfile('music.db')",
        "SELECT edit('x')",
        "SELECT fts3_tokenizer('x')", "SELECT 1; DELETE FROM album", "SELECT 1;;DROP TABLE album",
        "/* SELECT */ DELETE FROM album",
        "-- SELECT 1\nDELETE FROM album", "WITH x AS (SELECT 1) DELETE FROM album", "EXPLAIN DELETE FROM album",
        "INSERT INTO words (words) VALUES ('rebuild')", "SELECT * FROM pragma_table_info('album')", "",
        "UPDATE sqlite_master SET sql = ''", "CREATE VIRTUAL TABLE v USING fts5(a)",
        "INSERT INTO artist VALUES (9, 'x') RETURNING id",
    ],
)  # fmt: skip
def test_sqlite_only_selects(music: Path, folder: Path, sql: str) -> None:
    """Against the program itself: nothing but it stands in the way here."""
    before = state(folder)
    reply = answer(request(str(music), "sqlite", sql))
    assert not reply["ok"] and reply["kind"] in ("denied", "sql"), reply
    assert state(folder) == before


@pytest.mark.parametrize(
    "sql",
    [
        "COPY cities TO 'x.csv'", "COPY (SELECT 1) TO 'x.csv'", "SELECT * FROM read_csv('../secret.csv')",
        "SELECT * FROM '../secret.csv'", "SELECT * FROM read_text('notes.txt')",
        "SELECT * FROM read_blob('/etc/hostname')",
        "SELECT * FROM read_csv('notes.txt')", "SELECT * FROM 'notes.txt'", "SELECT * FROM glob('*')",
        "SELECT getenv('HOME')",
        "INSTALL httpfs", "LOAD httpfs", "SELECT * FROM 'https://example.org/x.csv'", "ATTACH 'x.db'",
        "SET threads = 4",
        "SET enable_external_access = true", "RESET allowed_paths", "PRAGMA database_list",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW cities", "INSERT INTO cities VALUES ('x', 1)", "SELECT 1; SELECT 2",
        "SELECT 1; COPY cities TO 'x.csv'",
        "/* SELECT */ COPY cities TO 'x.csv'", "EXPORT DATABASE 'x'", "IMPORT DATABASE 'x'", "CALL pragma_version()",
        "SELECT * FROM query('COPY cities TO ''x.csv''')", "SELECT * FROM sqlite_scan('music.db', 'album')",
        "CHECKPOINT", "",
        "SELECT * FROM sys", "EXPLAIN ANALYZE SELECT 1", "CREATE MACRO f() AS 1", "USE memory",
        "SELECT * FROM folder",
    ],
)  # fmt: skip
def test_duckdb_only_selects_from_its_tables(
    sales: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.chdir(folder)
    before = state(folder)
    reply = answer(request("cities.tsv", "tsv", sql))
    assert not reply["ok"] and reply["kind"] in ("denied", "sql", "file"), reply
    assert "SECRET" not in str(reply) and "PRIVATE" not in str(reply)
    assert state(folder) == before


@pytest.mark.parametrize(
    "sql",
    [ENDLESS, "SELECT count(*) FROM album a, album b, album c, album d, album e, album f, album g, album h, album i, "
     "album j, album k, album l, album m, album n, album o, album p, album q, album r, album s, album t, album u, "
     "album v, album w, album x, album y, album z, album aa, album bb, album cc, album dd"],
    ids=["recursive", "product"],
)  # fmt: skip
async def test_a_database_is_not_asked_for_ever(music: Path, folder: Path, boxes: Boxes, sql: str) -> None:
    outcome = await query_tool(folder, boxes, caps=BRIEF).call({"sql": sql})
    assert not outcome.ok and outcome.fault == "world" and outcome.text == "The query takes too long."


async def test_files_are_not_asked_for_ever_nor_for_everything(sales: Path, folder: Path, boxes: Boxes) -> None:
    tool = query_tool(folder, boxes, caps=BRIEF)
    for sql in (ENDLESS, "SELECT count(*) FROM range(1000000000) a, range(1000000) b"):
        assert (await tool.call({"sql": sql})).text == "The query takes too long."
    huge = await tool.call({"sql": "SELECT range(1000000000)"})
    assert huge.text == "The query takes too much memory."


async def test_the_sandbox_is_used_for_real(music: Path, sales: Path, folder: Path, boxes: Boxes) -> None:
    before = state(folder)
    tool = query_tool(folder, boxes, caps=BRIEF)
    for sql, file in (("DELETE FROM album", "music.db"), ("COPY cities TO 'x.csv'", "cities.tsv")):
        outcome = await tool.call({"sql": sql, "file": file})
        assert outcome.fault == "denied" and outcome.tier
    assert state(folder) == before


TOKENS = [
    "SELECT", "FROM", "WHERE", "album", "artist", "cities", "*", "(", ")", ",", ";", "'", '"', "--", "/*", "*/", "\n",
    "UNION ALL", "WITH RECURSIVE", "AS", "DELETE", "UPDATE", "SET", "DROP TABLE", "ATTACH", "PRAGMA", "VACUUM",
    "INTO",
    "INSERT INTO", "VALUES", "writable_schema", "=", "1", "NULL", "x'00'", "load_extension", "count", "\0",

    "é", "\u202e", "😀", "?", ":a", "@", "$1", "[", "]", "`", "COPY", "TO", "'x.csv'", "ORDER BY", "LIMIT", "-1",
    "JOIN",
    "char", "zeroblob", "1e999", "json_each", "EXPLAIN", "RETURNING", "BEGIN", "CAST",
]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(TOKENS), max_size=12), spaced=st.booleans())
def test_whatever_is_asked_there_is_a_reply_and_nothing_changes(
    music: Path, sales: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], spaced: bool
) -> None:
    monkeypatch.chdir(folder)
    before = state(folder)
    sql = (" " if spaced else "").join(words)
    for path, kind in (("music.db", "sqlite"), ("cities.tsv", "tsv")):
        reply = answer(request(path, kind, sql))
        assert reply["ok"] or reply["kind"] in ("sql", "denied", "time", "memory", "file")
    assert state(folder) == before


def request(path: str, kind: str, sql: str) -> dict[str, object]:
    table = "cities" if kind == "tsv" else ""
    return {
        "do": "query", "files": [{"path": path, "kind": kind, "table": table}], "sql": sql,
        "seconds": 0.5, "rows": 10, "cell": 100, "total": 1000,
    }  # fmt: skip
