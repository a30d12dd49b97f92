"""Killed, locked, damaged, read-only and full: no acknowledged turn is lost, and what can't be kept is said."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smidgen.errors import SessionsUnavailable
from smidgen.messages import Message
from smidgen.sessions import SessionStore
from smidgen.sessions import database as database_module

TURNS = Path(__file__).with_name("turns.py")
BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "session_kills.py"
TURN = (Message(role="user", content="hello"),)
KILLS, MORE_KILLS = 8, 40
NOBODY = 65534


def killed_after(path: Path, session: str, first: int, acknowledged: int, later_s: float = 0.0) -> int:
    """How many turns a process had acknowledged when it was killed: so many, and what came in the seconds after."""
    command = [sys.executable, str(TURNS), str(path), session, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) - first + 1 == acknowledged:
                break
        time.sleep(later_s)
        process.kill()
        return acknowledged + len(process.stdout.read().split())


async def test_kill_9_loses_no_acknowledged_turn(tmp_path: Path) -> None:
    path, seed = tmp_path / "sessions.sqlite", random.Random(1)
    async with SessionStore(path) as store:
        session = (await store.create_session("a")).id
    acknowledged = 0
    for _ in range(KILLS):
        some, later_s = seed.randint(1, 5), seed.random() * 0.01
        acknowledged += await asyncio.to_thread(killed_after, path, session, acknowledged, some, later_s)
        async with SessionStore(path) as store:
            found = await store.session(session)
            turns = [message.content for message in found.messages if message.role == "user"]
            assert turns[:acknowledged] == [f"turn {number}" for number in range(acknowledged)]
            assert len(turns) - acknowledged in (0, 1)  # one may have been kept and not yet acknowledged
            assert len(found.messages) == 2 * len(turns)  # turns are whole
            assert {run.status for run in await store.runs(session)} <= {"finished", "interrupted"}
            acknowledged = len(turns)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="its children are forks")
def test_kills_at_any_moment_that_the_benchmark_counts() -> None:
    command = [sys.executable, str(BENCHMARK), str(MORE_KILLS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{MORE_KILLS} kills: 0 of "), done.stdout


async def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    async with SessionStore(path) as store:
        sessions = [(await store.create_session("a")).id for _ in range(2)]
        counts = await asyncio.gather(*(asyncio.to_thread(killed_after, path, session, 0, 15) for session in sessions))
        for session, count in zip(sessions, counts, strict=True):
            assert len((await store.session(session)).messages) >= 2 * count


@pytest.mark.parametrize("damage", [b"This is no database at all. " * 200, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_damaged_file_is_set_aside_and_that_is_told(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "sessions.sqlite"
    for number in (1, 2):
        path.write_bytes(damage)
        async with SessionStore(path) as store:
            (notice,) = store.notices
            assert notice.code == "sessions_damaged" and f"sessions.sqlite.corrupt-{number}" in notice.message
            await store.create_session("a")
        assert (tmp_path / f"sessions.sqlite.corrupt-{number}").read_bytes() == damage
        for left in tmp_path.glob("sessions.sqlite*"):
            if "corrupt" not in left.name and left.suffix != ".lock":
                left.unlink()


async def test_two_that_find_the_damage_at_once_begin_one_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions.sqlite"
    path.write_bytes(b"This is no database at all. " * 200)
    first, second = SessionStore(path), SessionStore(path)
    found, go_on, real = threading.Event(), threading.Event(), database_module.Database._connected_anew

    def late(database: database_module.Database) -> sqlite3.Connection:
        if database is second._database:
            found.set()
            assert go_on.wait(60)
        return real(database)

    monkeypatch.setattr(database_module.Database, "_connected_anew", late)
    opening = asyncio.create_task(second.open())
    assert await asyncio.to_thread(found.wait, 60)
    async with first:
        session = await first.create_session("a")
        go_on.set()
        await opening
        await first.append(session.id, TURN)
        assert (await second.session(session.id)).messages == TURN
    assert second.notices == ()
    await second.aclose()
    assert len([left for left in tmp_path.iterdir() if "corrupt" in left.name]) == 1


async def test_a_file_that_is_deleted_while_in_use_acknowledges_no_more(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    async with SessionStore(path) as store:
        session = await store.create_session("a")
        for left in tmp_path.glob("sessions.sqlite*"):
            left.unlink()
        with pytest.raises(SessionsUnavailable, match="moved or deleted"):
            await store.append(session.id, TURN)
    assert not path.exists()
    async with SessionStore(path) as store:
        await store.create_session("a")


async def test_a_page_in_the_midst_that_is_damaged_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    async with SessionStore(path) as store:
        session = await store.create_session("a")
        for _ in range(40):
            await store.append(session.id, (Message(role="user", content="x" * 2000),))
    data = bytearray(path.read_bytes())
    data[8192:40960] = os.urandom(40960 - 8192)
    path.write_bytes(data)
    async with SessionStore(path) as store:
        assert store.notices
        await store.create_session("a")


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA user_version = 99")
    made.close()
    store = SessionStore(path)
    with pytest.raises(SessionsUnavailable, match="newer"):
        await store.open()
    with pytest.raises(SessionsUnavailable):
        await store.create_session("a")
    await store.aclose()
    assert [left.name for left in tmp_path.glob("*corrupt*")] == []


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = SessionStore(tmp_path / "file" / "sessions.sqlite")
    with pytest.raises(SessionsUnavailable, match="can't be kept"):
        await store.open()
    await store.aclose()


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    if not hasattr(os, "geteuid"):
        pytest.skip("folders have no such rights here")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o555)
        was = os.geteuid()
        if was == 0:  # root may write anywhere
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(was)
            folder.chmod(0o700)


async def test_a_read_only_folder_is_said(read_only_folder: Path) -> None:
    store = SessionStore(read_only_folder / "sessions.sqlite")
    with pytest.raises(SessionsUnavailable, match="can't be kept"):
        await store.open()
    await store.aclose()
    assert list(read_only_folder.iterdir()) == []


async def test_nobody_else_may_read_what_is_said(tmp_path: Path) -> None:
    async with SessionStore(tmp_path / "sessions.sqlite") as store:
        await store.create_session("a")
        modes = {left.name: left.stat().st_mode & 0o077 for left in tmp_path.iterdir()}
    assert len(modes) == 3 and set(modes.values()) == {0}


async def test_a_full_disk_is_said_and_what_was_kept_stays(tmp_path: Path) -> None:
    path = tmp_path / "sessions.sqlite"
    async with SessionStore(path) as store:
        session = await store.create_session("a")
        await store.append(session.id, TURN)

        def shrink(connection: sqlite3.Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")

        await store._database.read(shrink)
        big = (Message(role="user", content="x" * 1_000_000),)
        with pytest.raises(SessionsUnavailable, match="full") as full:
            await store.append(session.id, big)
        assert "space" in full.value.hint
        assert (await store.session(session.id)).messages == TURN
        await store._database.read(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
        await store.append(session.id, big)
        assert len((await store.session(session.id)).messages) == 2


async def test_a_file_that_another_program_holds_is_waited_for_and_then_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_S", 0.05)
    path = tmp_path / "sessions.sqlite"
    async with SessionStore(path) as store:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(SessionsUnavailable, match="locked") as held:
            await store.create_session("a")
        assert held.value.retryable
        holder.execute("ROLLBACK")
        holder.close()
        await store.create_session("a")
