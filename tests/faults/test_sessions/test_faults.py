"""Killed, locked, damaged, read-only and full: no acknowledged turn is lost, and what can't be kept is said."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from smidgen.errors import SessionsUnavailable
from smidgen.messages import Message
from smidgen.sessions import SessionStore
from smidgen.sessions import database as database_module

TURNS = Path(__file__).with_name("turns.py")
TURN = (Message(role="user", content="hello"),)
KILLS = 8


def killed_after(path: Path, session: str, first: int, acknowledged: int) -> int:
    """How many turns a process had acknowledged when it was killed in the midst of the next."""
    command = [sys.executable, str(TURNS), str(path), session, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) - first + 1 == acknowledged:
                break
        process.kill()
        return acknowledged + len(process.stdout.read().split())


async def test_kill_9_loses_no_acknowledged_turn(tmp_path: Path) -> None:
    path, seed = tmp_path / "sessions.sqlite", random.Random(1)
    async with SessionStore(path) as store:
        session = (await store.create_session("a")).id
    acknowledged = 0
    for _ in range(KILLS):
        acknowledged += await asyncio.to_thread(killed_after, path, session, acknowledged, seed.randint(1, 25))
        async with SessionStore(path) as store:
            found = await store.session(session)
            turns = [message.content for message in found.messages if message.role == "user"]
            assert turns[:acknowledged] == [f"turn {number}" for number in range(acknowledged)]
            assert len(turns) - acknowledged in (0, 1)  # one may have been kept and not yet acknowledged
            assert len(found.messages) == 2 * len(turns)  # turns are whole
            assert {run.status for run in await store.runs(session)} <= {"finished", "interrupted"}
            acknowledged = len(turns)


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
            assert store.notices and f"sessions.sqlite.corrupt-{number}" in store.notices[0]
            await store.create_session("a")
        assert (tmp_path / f"sessions.sqlite.corrupt-{number}").read_bytes() == damage
        for left in tmp_path.glob("sessions.sqlite*"):
            if "corrupt" not in left.name:
                left.unlink()


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
