"""Questions that are answered, of files as people have them."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.tools import ToolOutcome, Use, uses_of
from smidgen.tools.builtin.confined import Workspace
from smidgen.tools.data import Caps
from smidgen.tools.data.prepared import Query
from smidgen.tools.data.query import described, query_tool
from smidgen.tools.data.sources import find_sources
from smidgen.tools.function import FunctionTool
from smidgen.tools.sandbox import Finished, Job
from smidgen.tools.sandbox.box import Boxes, Sandbox
from smidgen.tools.sandbox.probe import candidates


async def ask(tool: FunctionTool, sql: str, file: str = "") -> ToolOutcome:
    return await tool.call({"sql": sql, "file": file})


async def test_a_database_is_described_and_asked(music: Path, folder: Path, boxes: Boxes) -> None:
    tool = await described(folder, boxes)
    assert tool.spec.description == "Answer questions about artist, album, early, words, with one SQL SELECT."
    told = tool.spec.parameters["properties"]["sql"]
    assert told["format"] == "sql"
    assert "artist_id integer -> artist.id, year integer 1959..1965" in told["description"]
    count = await ask(tool, "SELECT count(*) FROM album;")
    assert count.ok and count.text == count.answer == "2" and count.tier
    assert count.value == {"columns": ["count(*)"], "rows": [[2]], "more": False}
    joined = await ask(tool, "SELECT title, artist_name FROM album JOIN artist ON artist.id = artist_id ORDER BY 1")
    assert joined.text == "title | artist_name\nKind of Blue | Miles\nPastel Blues | Nina"
    assert (await ask(tool, "SELECT * FROM words WHERE words MATCH 'hello'")).text == "hello world"
    assert (await ask(tool, "SELECT cover FROM album WHERE id = 1")).text == "<2 bytes>"
    wrong = await ask(tool, "SELECT artist FROM artist")
    assert wrong.fault == "arguments" and "did you mean artist_name?" in wrong.text


async def test_files_are_asked_together(sales: Path, folder: Path, boxes: Boxes) -> None:
    tool = await described(folder, boxes)
    assert tool.spec.description == "Answer questions about cities, sales_2024, with one SQL SELECT."
    assert "sales_2024(Unit_Price real" in tool.spec.parameters["properties"]["sql"]["description"]
    assert (await ask(tool, "SELECT sum(Unit_Price) FROM sales_2024")).answer == "7"
    joined = await ask(tool, "SELECT people, count(*) FROM cities JOIN sales_2024 USING (city) GROUP BY 1 ORDER BY 1")
    assert joined.value["rows"] == [[1, 1], [3, 2]]
    alone = await ask(tool, "SELECT * FROM sales_2024", "cities")
    assert alone.fault == "arguments" and "no table sales_2024" in alone.text
    quoted = await ask(tool, 'SELECT people FROM cities WHERE city = "Rome"')
    assert quoted.fault == "arguments" and "'Rome'" in quoted.text


async def test_parquet_and_json_lines(folder: Path, boxes: Boxes) -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    connection.execute(f"COPY (SELECT range n, 2.5::DECIMAL(9, 2) price FROM range(3)) TO '{folder}/numbers.parquet'")
    connection.close()
    (folder / "log.jsonl").write_text('{"a": 1, "b": {"c": "x"}}\n{"a": 2, "b": {"c": "y"}}\n')
    tool = query_tool(folder, boxes)
    assert (await ask(tool, "SELECT sum(n), max(price) FROM numbers")).value["rows"] == [[3, 2.5]]
    assert (await ask(tool, "SELECT b.c FROM log")).answer == "x\ny"


async def test_the_file_is_told_by_its_tables(music: Path, sales: Path, folder: Path, boxes: Boxes) -> None:
    tool = query_tool(folder, boxes)
    assert (await ask(tool, "SELECT count(*) FROM artist")).answer == "2"
    assert (await ask(tool, "SELECT count(*) FROM cities")).answer == "2"
    assert (await ask(tool, "SELECT count(*) FROM artist", "music")).answer == "2"
    unclear = await ask(tool, "SELECT 1")
    assert unclear.fault == "arguments" and "Say which file: cities.tsv, music.db, sales 2024.csv." in unclear.text
    typo = await ask(tool, "SELECT 1", "musik.db")
    assert typo.fault == "arguments" and "Did you mean music.db?" in typo.text
    assert tool.uses({"sql": "x", "file": "music"}) == (Use(verb="read", path="music.db"),)
    for strange in ({}, {"file": 3}, {"file": "../x"}, {"file": "\0"}):
        assert tool.uses(strange) == (Use(verb="read", path="."),)
    assert (await ask(tool, "SELECT 1", "../secret.csv")).fault == "arguments"


async def test_results_are_bounded(music: Path, folder: Path, boxes: Boxes) -> None:
    tool = query_tool(folder, boxes, caps=Caps(rows=5, cell=10, total=1000))
    numbers = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"
    endless = await ask(tool, numbers)
    assert endless.value["more"] and [row[0] for row in endless.value["rows"]] == [1, 2, 3, 4, 5]
    assert endless.text.endswith("[5 of more than 5 rows shown]")
    long = await ask(tool, "SELECT printf('%.100c', 'x')")
    assert long.value["rows"] == [["x" * 10 + "…"]] and "[values cut at 10 characters: 1]" in long.text
    wide = await ask(tool, "SELECT printf('%.*c', 10000000, 'x') FROM album")
    assert wide.ok and len(wide.text) < 200
    assert (await ask(tool, "SELECT 1 --" + "x" * 20_000)).fault == "arguments"
    strange = await ask(tool, "SELECT 9e999, x'ff', CAST(x'ff' AS TEXT), char(0)")
    assert strange.value["rows"] == [["inf", "<1 bytes>", "\ufffd", "\0"]]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("name;age\r\nBob;3\r\nAnn;4\r\n".encode("utf-8-sig"), [["Bob", 3], ["Ann", 4]]),
        ("name,city\nJosé,Málaga\n".encode("latin-1"), [["José", "Málaga"]]),
        ("name,city\nJosé,Málaga\n".encode("utf-16"), [["José", "Málaga"]]),
        (b"name,age\nBob,3\nAnn\nEve,4,extra\n", [["Bob", 3, None], ["Ann", None, None], ["Eve", 4, "extra"]]),
        (b"name,age\nBob,3,x\nAnn,4,y\nEve,5,z\n", [["Bob", 3, "x"], ["Ann", 4, "y"], ["Eve", 5, "z"]]),
        (b"Sales of the year\n\nname,age\nBob,3\nAnn,4\n", [["Bob", 3], ["Ann", 4]]),
        (b"name\nBob\n", [["Bob"]]),
        (b'name,said\nBob,"a, b\nc"\n', [["Bob", "a, b\nc"]]),
        (b"id,v\n" + b"1,2\n" * 2000 + b"x,y\n", None),
        (b"name,age\n", []),
    ],
    ids=[
        "semicolons and a mark",
        "latin-1",
        "utf-16",
        "ragged",
        "short header",
        "title",
        "one column",
        "quoted lines",
        "late text",
        "header only",
    ],
)
async def test_csv_as_it_comes(folder: Path, boxes: Boxes, data: bytes, rows: list[list[object]] | None) -> None:
    (folder / "people.csv").write_bytes(data)
    outcome = await ask(query_tool(folder, boxes), "SELECT * FROM people")
    assert outcome.ok, outcome.text
    assert rows is None or outcome.value["rows"] == rows


async def test_a_database_in_wal_mode_is_read_and_left_alone(folder: Path, boxes: Boxes) -> None:
    path = folder / "wal.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES (7);")
    tool = query_tool(folder, boxes)
    assert (await ask(tool, "SELECT a FROM t", "wal.db")).answer == "7"
    connection.close()
    assert not (folder / "wal.db-wal").exists()
    assert (await ask(tool, "SELECT a FROM t")).answer == "7"
    assert [item.name for item in folder.iterdir()] == ["wal.db"]


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.db", b""), ("x.db", b"only text\n"), ("x.db", b"SQLite format 3\0" + b"\xff" * 4000), ("x.csv", b""),
     ("x.csv", b"\0\0\1\2"), ("x.parquet", b"PAR1" + b"\xff" * 100 + b"PAR1"), ("x.jsonl", b"{{{\n")],
)  # fmt: skip
async def test_files_that_hold_no_data_are_refused(folder: Path, boxes: Boxes, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    outcome = await ask(query_tool(folder, boxes), "SELECT * FROM x")
    assert not outcome.ok and outcome.fault == "world" and name in outcome.text, outcome
    with pytest.raises(ToolFailed):
        await described(folder, boxes)


async def test_a_corrupt_database_is_refused(music: Path, folder: Path, boxes: Boxes) -> None:
    data = bytearray(music.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    music.write_bytes(data)
    outcome = await ask(query_tool(folder, boxes), "SELECT * FROM album")
    assert not outcome.ok and outcome.fault == "world" and "malformed" in outcome.text


@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
async def test_in_every_tier(music: Path, sales: Path, folder: Path, tier: str) -> None:
    sandbox = next((sandbox for sandbox in candidates() if sandbox.tier == tier), None)
    if sandbox is None:
        pytest.skip(f"{tier} isn't to be had here")

    async def given() -> Sandbox:
        return sandbox

    tool = await described(folder, given)
    assert (await ask(tool, "SELECT count(*) FROM album")).answer == "2"
    outcome = await ask(tool, "SELECT count(*) FROM cities")
    assert outcome.answer == "2" or (tier == "landlock" and "DuckDB can't start here" in outcome.text)


class Recording:
    """A sandbox of a tier that is only said, and the jobs that it was given."""

    def __init__(self, sandbox: Sandbox, tier: str) -> None:
        self.tier, self.jobs, self._sandbox = tier, list[Job](), sandbox

    async def run(self, job: Job) -> Finished:
        self.jobs.append(job)
        return await self._sandbox.run(msgspec.structs.replace(job, hidden=()))


@pytest.mark.parametrize(("tier", "hidden"), [("bubblewrap", (".env",)), ("seatbelt", (".env",)), ("landlock", ())])
async def test_what_rules_hide_is_out_of_the_programs_sight(
    music: Path, folder: Path, boxes: Boxes, tier: str, hidden: tuple[str, ...]
) -> None:
    recording = Recording(await boxes(), tier)

    async def given() -> Any:
        return recording

    async def out_of_sight() -> tuple[str, ...]:
        return (".env",)

    tool = await Query(folder, given, out_of_sight=out_of_sight).prepared()
    assert (await tool.call({"sql": "SELECT count(*) FROM album"})).text == "2"
    tool = query_tool(folder, given, out_of_sight=out_of_sight)
    assert (await ask(tool, "SELECT count(*) FROM album")).text == "2"
    assert [job.hidden for job in recording.jobs] == [hidden] * 3
    assert (await ask(query_tool(folder, given), "SELECT count(*) FROM album")).ok
    assert recording.jobs[-1].hidden == ()


async def test_what_is_hidden_cannot_be_opened_in_earnest(music: Path, folder: Path, boxes: Boxes) -> None:
    if (await boxes()).tier == "landlock":
        pytest.skip("it hides no single files")

    async def out_of_sight() -> tuple[str, ...]:
        return ("music.db",)

    assert not (await ask(query_tool(folder, boxes, out_of_sight=out_of_sight), "SELECT * FROM album")).ok


async def test_too_many_files_to_hide_leave_a_tool_that_says_so(music: Path, folder: Path, boxes: Boxes) -> None:
    async def out_of_sight() -> tuple[str, ...]:
        raise InvalidRequest("too many files")

    async def given() -> Any:
        return Recording(await boxes(), "bubblewrap")

    tool = await Query(folder, given, out_of_sight=out_of_sight).prepared()
    assert "too many files" in (await tool.call({"sql": "SELECT * FROM album"})).text


async def test_the_folder_is_looked_through_apart_from_the_loop_and_seldom(
    music: Path, folder: Path, boxes: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def counted(workspace: Workspace) -> Any:
        threads.append(threading.current_thread())
        return find_sources(workspace)

    for module in ("query", "prepared"):
        monkeypatch.setattr(f"smidgen.tools.data.{module}.find_sources", counted, raising=False)
    query = Query(folder, boxes)
    tool = await query.prepared()
    assert len(threads) == 1
    for one in (query, tool):
        assert uses_of(one, {"file": "music"}) == (Use(verb="read", path="music.db"),)
        told = uses_of(one, {"file": "new"})
        assert told == (Use(verb="read", path="new"), Use(verb="read", path=".")), "a file of that name may be new"
    assert len(threads) == 1
    assert (await tool.call({"sql": "SELECT count(*) FROM album"})).text == "2"
    assert await query.prepared() is tool
    assert threading.main_thread() not in threads
    alone = query_tool(folder, boxes)
    threads.clear()
    for _ in range(3):
        assert alone.uses({"file": "music"}) == (Use(verb="read", path="music.db"),)
    assert len(threads) == 1


async def test_the_file_that_was_told_is_asked_or_none(music: Path, folder: Path, boxes: Boxes) -> None:
    tool = await described(folder, boxes)
    assert uses_of(tool, {"file": "music"}) == (Use(verb="read", path="music.db"),)
    shutil.copy(music, folder / "music")
    asked = {"sql": "SELECT count(*) FROM album", "file": "music"}
    assert (await tool.call(asked)).text == "2"
    music.unlink()
    music.symlink_to("music")
    gone = await tool.call(asked)
    assert gone.fault == "arguments" and "There is no data file 'music'." in gone.text
    assert uses_of(tool, {"file": "music"}) == (Use(verb="read", path="music"),)
    assert (await tool.call(asked)).text == "2"


async def test_no_data_at_all(folder: Path, boxes: Boxes) -> None:
    (folder / "link.csv").symlink_to(folder.parent / "secret.csv")
    (folder / ".hidden.csv").write_text("a\n1\n")
    outcome = await ask(query_tool(folder, boxes), "SELECT 1")
    assert not outcome.ok and "no data files" in outcome.text
