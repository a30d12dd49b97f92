"""What is kept comes back, in order, whole, and only where it belongs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from smidgen.errors import UnknownRun, UnknownSession
from smidgen.events import Failed
from smidgen.messages import Message, ToolCall
from smidgen.sessions import SessionStore
from smidgen.sessions import store as store_module

TURN = (
    Message(role="user", content="What is 2 + 2?\nNow."),
    Message(role="assistant", tool_calls=(ToolCall(name="calculator", arguments={"expression": "2 + 2"}, id="c"),)),
    Message(role="tool", content="4", call_id="c", name="calculator"),
    Message(role="assistant", content="4 \U0001f600"),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[SessionStore, None]:
    async with SessionStore(tmp_path / "deep" / "sessions.sqlite") as opened:
        yield opened


async def test_turns_come_back_as_they_were_said(store: SessionStore, tmp_path: Path) -> None:
    session = await store.create_session("assistant")
    await store.append(session.id, TURN)
    await store.append(session.id, TURN[:1])
    async with SessionStore(tmp_path / "deep" / "sessions.sqlite") as another:
        assert (await another.session(session.id)).messages == (*TURN, TURN[0])


async def test_a_session_is_called_by_its_first_words_unless_it_has_a_name(store: SessionStore) -> None:
    plain, named = await store.create_session("a"), await store.create_session("a", title="Mine")
    for session in (plain, named):
        await store.append(session.id, TURN)
    assert (await store.session(plain.id)).title == "What is 2 + 2? Now."
    assert (await store.session(named.id)).title == "Mine"
    long = await store.create_session("a", messages=(Message(role="user", content="word " * 50),))
    assert len(long.title) == store_module.TITLE and long.title.endswith("…")


async def test_sessions_are_listed_latest_first_page_by_page(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_now", lambda: "2026-01-01T00:00:00.000+00:00")  # all at once
    ids = [(await store.create_session("a", title=str(number))).id for number in range(7)]
    seen: list[str] = []
    while page := await store.sessions(limit=3, before=seen[-1] if seen else ""):
        seen += [session.id for session in page]
    assert seen == ids[::-1]
    monkeypatch.setattr(store_module, "_now", lambda: "2026-01-02T00:00:00.000+00:00")
    await store.append(ids[2], TURN)
    assert (await store.sessions(limit=1))[0].id == ids[2]


async def test_deleting_takes_everything_along(store: SessionStore) -> None:
    session = await store.create_session("a")
    run = await store.start_run(agent="a", model="m", session=session.id)
    await store.append_events(run.id, [b"{}"])
    await store.delete(session.id)
    with pytest.raises(UnknownSession):
        await store.session(session.id)
    with pytest.raises(UnknownRun):
        await store.events(run.id)
    with pytest.raises(UnknownSession):
        await store.delete(session.id)


async def test_renaming(store: SessionStore) -> None:
    session = await store.create_session("a")
    await store.rename(session.id, "Other")
    assert (await store.session(session.id)).title == "Other"
    with pytest.raises(UnknownSession):
        await store.rename("ses_none", "x")


async def test_events_are_numbered_from_one_in_each_run(store: SessionStore) -> None:
    first, second = await store.start_run(agent="a", model="m"), await store.start_run(agent="a", model="m")
    await store.append_events(first.id, [b"1", b"2"])
    await store.append_events(second.id, [b"one"])
    await store.append_events(first.id, [b"3"])
    assert [(event.number, event.data) for event in await store.events(first.id)] == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert [event.number for event in await store.events(first.id, after=2)] == [3]
    assert (await store.run(first.id)).last_event == 3 and (await store.run(second.id)).last_event == 1


async def test_the_end_of_a_run_is_kept_with_its_last_events_and_its_turn(store: SessionStore) -> None:
    session = await store.create_session("a")
    run = await store.start_run(agent="a", model="m", session=session.id, messages=TURN[:1])
    await store.end_run(run.id, "finished", events=[b"end"], messages=TURN)
    ended = await store.run(run.id)
    assert (ended.status, ended.last_event, ended.session) == ("finished", 1, session.id) and ended.ended
    assert (await store.session(session.id)).messages == TURN
    assert await store.runs(session.id) == [ended]


async def test_what_is_not_there_is_said(store: SessionStore) -> None:
    for call in (store.session("x"), store.append("x", TURN), store.runs("x"), store.sessions(before="x")):
        with pytest.raises(UnknownSession):
            await call
    for call in (store.run("x"), store.append_events("x", [b""]), store.end_run("x", "failed"), store.events("x")):
        with pytest.raises(UnknownRun):
            await call
    with pytest.raises(UnknownSession):
        await store.start_run(agent="a", model="m", session="x")


async def test_only_runs_of_processes_that_are_gone_are_taken_over(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await store.start_run(agent="a", model="m")
    monkeypatch.setattr(store_module, "this_process", lambda: "999999999:1.00")
    theirs = await store.start_run(agent="a", model="m")
    await store.append_events(theirs.id, [b"1"])
    async with SessionStore(tmp_path / "deep" / "sessions.sqlite") as another:
        assert (await another.run(mine.id)).status == "running"
        taken = await another.run(theirs.id)
        assert taken.status == "interrupted" and taken.ended
        last = (await another.events(theirs.id))[-1]
        event = msgspec.json.decode(last.data, type=Failed)
        assert last.number == 2 and event.error.code == "interrupted" and event.error.retryable


async def test_pruning_takes_ended_runs_of_no_session_and_their_events(store: SessionStore) -> None:
    session = await store.create_session("a")
    loose, lasting = await store.start_run(agent="a", model="m"), await store.start_run(agent="a", model="m")
    kept = await store.start_run(agent="a", model="m", session=session.id)
    for run in (loose, kept):
        await store.end_run(run.id, "finished", events=[b"{}"])
    assert await store.prune(3600) == 0
    assert await store.prune(-1) == 1
    with pytest.raises(UnknownRun):
        await store.events(loose.id)
    assert (await store.run(lasting.id)).status == "running" and len(await store.events(kept.id)) == 1


async def test_old_runs_of_no_session_go_and_others_stay(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await store.create_session("a")
    with monkeypatch.context() as then:
        then.setattr(store_module, "_now", lambda: "2020-01-01T00:00:00.000+00:00")
        loose = await store.start_run(agent="a", model="m")
        kept = await store.start_run(agent="a", model="m", session=session.id)
        for run in (loose, kept):
            await store.end_run(run.id, "finished")
    async with SessionStore(tmp_path / "deep" / "sessions.sqlite") as another:
        assert (await another.run(kept.id)).status == "finished"
        with pytest.raises(UnknownRun):
            await another.run(loose.id)
