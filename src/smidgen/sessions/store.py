"""What is kept: sessions with their messages, runs with their events. Every method is awaited and blocks no loop."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from smidgen.errors import ErrorInfo, InvalidRequest, UnknownRun, UnknownSession
from smidgen.events import Failed, Notice
from smidgen.messages import Message
from smidgen.sessions import Run, Session, SessionInfo, Status, StoredEvent
from smidgen.sessions.database import Database
from smidgen.sessions.owners import is_alive, this_process

TITLE = 80
"""Characters of a title that is taken from the first words."""

LOOSE_S = 30 * 86400.0
"""Seconds for which runs of no session are kept after their end."""

INTERRUPTED = Failed(
    error=ErrorInfo(
        code="interrupted",
        message="smidgen ended in the midst of this run.",
        hint="Ask again.",
        fault="system",
        retryable=True,
    )
)

_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(Message)
_messages = msgspec.json.Decoder(tuple[Message, ...])


class SessionStore:
    """path: of the SQLite file. Await `open` first and `aclose` in the end, or use it as an async context manager.

    What acknowledges a turn is on the disk when it returns; events are safe from `kill -9`, but a power cut may lose
    the latest ones of a run that lasts. All methods raise SessionsUnavailable when the file can't be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What its user must be told of how it was opened."""
        return tuple(self._database.notices)

    async def open(self) -> None:
        """Runs of processes that are gone become "interrupted", and are told so as their last event."""
        await self._database.open()
        await self._database.write(_taken_over)
        await self.prune(LOOSE_S)

    async def prune(self, older_than_s: float) -> int:
        """Deletes runs of no session, with their events, that ended longer ago than that. How many there were."""

        def work(connection: sqlite3.Connection) -> int:
            before = (datetime.now(UTC) - timedelta(seconds=older_than_s)).isoformat(timespec="milliseconds")
            old = "session IS NULL AND ended != '' AND ended < ?"
            return connection.execute(f"DELETE FROM runs WHERE {old}", (before,)).rowcount

        return await self._database.write(work, to_disk=False)

    async def aclose(self) -> None:
        await self._database.aclose()

    async def __aenter__(self) -> SessionStore:
        try:
            await self.open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def create_session(self, agent: str, *, title: str = "", messages: Sequence[Message] = ()) -> Session:
        now = _now()
        session = Session(
            id=_new_id("ses_"), agent=agent, title=title, created=now, updated=now, messages=tuple(messages)
        )

        def work(connection: sqlite3.Connection) -> None:
            columns = "id, agent, title, created, updated"
            row = (session.id, agent, title or _title(messages), now, now)
            number = connection.execute(f"INSERT INTO sessions ({columns}) VALUES (?, ?, ?, ?, ?)", row).lastrowid
            _add_messages(connection, number or 0, messages)

        await self._database.write(work)
        return await self.session(session.id)

    async def session(self, session_id: str) -> Session:
        """Raises UnknownSession."""

        def work(connection: sqlite3.Connection) -> Session:
            number, *row = _session_row(connection, session_id)
            said = connection.execute("SELECT data FROM messages WHERE session = ? ORDER BY place", (number,))
            messages = tuple(_message.decode(data) for (data,) in said)
            return Session(**_named(SessionInfo, row), messages=messages)

        return await self._database.read(work)

    async def sessions(self, *, limit: int = 50, before: str = "") -> list[SessionInfo]:
        """The latest first; before: the id of the last one that is known already. Raises UnknownSession."""

        def work(connection: sqlite3.Connection) -> list[SessionInfo]:
            columns = "id, agent, title, created, updated"
            where, values = "", []
            if before:
                number, *row = _session_row(connection, before)
                where, values = "WHERE (updated, number) < (?, ?)", [row[4], number]
            query = f"SELECT {columns} FROM sessions {where} ORDER BY updated DESC, number DESC LIMIT ?"
            return [SessionInfo(**_named(SessionInfo, row)) for row in connection.execute(query, [*values, limit])]

        return await self._database.read(work)

    async def rename(self, session_id: str, title: str) -> None:
        """Raises UnknownSession."""
        await self._changed_session("UPDATE sessions SET title = ? WHERE id = ?", (title, session_id), session_id)

    async def delete(self, session_id: str) -> None:
        """With its messages, runs and events. Raises UnknownSession."""
        await self._changed_session("DELETE FROM sessions WHERE id = ?", (session_id,), session_id)

    async def append(self, session_id: str, messages: Sequence[Message]) -> None:
        """A turn that is acknowledged when this returns. Raises UnknownSession."""
        await self._database.write(lambda connection: _append(connection, session_id, messages))

    async def _changed_session(self, statement: str, values: tuple[str, ...], session_id: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(statement, values).rowcount == 0:
                raise _no_session(session_id)

        await self._database.write(work)

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def start_run(
        self, *, agent: str, model: str, session: str = "", messages: Sequence[Message] = (), replaces: str = ""
    ) -> Run:
        """messages: what was asked. replaces: the session's last run, which is forgotten with the turn that it added.
        Raises UnknownSession, UnknownRun, InvalidRequest."""
        run = Run(
            id=_new_id("run_"),
            session=session,
            agent=agent,
            model=model,
            status="running",
            created=_now(),
            input=tuple(messages),
        )

        def work(connection: sqlite3.Connection) -> None:
            number = _session_row(connection, session)[0] if session else None
            if replaces:
                _take_back(connection, number, replaces)
            row = (run.id, number, agent, model, this_process(), run.status, run.created, _encode(messages))
            columns = "id, session, agent, model, owner, status, created, input"
            connection.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

        await self._database.write(work, to_disk=False)
        return run

    async def append_events(self, run_id: str, events: Sequence[bytes]) -> None:
        """Raises UnknownRun."""
        await self._database.write(
            lambda connection: _add_events(connection, _run_number(connection, run_id), events), to_disk=False
        )

    async def end_run(
        self, run_id: str, status: Status, *, events: Sequence[bytes] = (), messages: Sequence[Message] = ()
    ) -> None:
        """The last events, how it ended, and the turns that it adds to its session: all of it or nothing, and on the
        disk. A session that was deleted meanwhile has taken its run with it. Raises UnknownRun."""

        def work(connection: sqlite3.Connection) -> None:
            number = _run_number(connection, run_id)
            _add_events(connection, number, events)
            connection.execute("UPDATE runs SET status = ?, ended = ? WHERE number = ?", (status, _now(), number))
            query = "SELECT sessions.id FROM runs JOIN sessions ON sessions.number = runs.session WHERE runs.number = ?"
            found = connection.execute(query, (number,)).fetchone()
            if found is not None and messages:
                _append(connection, found[0], messages)

        await self._database.write(work)

    async def run(self, run_id: str) -> Run:
        """Raises UnknownRun."""

        def work(connection: sqlite3.Connection) -> Run:
            found = connection.execute(f"{_RUNS} WHERE runs.id = ?", (run_id,)).fetchone()
            if found is None:
                raise _no_run(run_id)
            return _run_of(found)

        return await self._database.read(work)

    async def runs(self, session_id: str) -> list[Run]:
        """Of a session, the first one first. Raises UnknownSession."""

        def work(connection: sqlite3.Connection) -> list[Run]:
            number = _session_row(connection, session_id)[0]
            rows = connection.execute(f"{_RUNS} WHERE runs.session = ? ORDER BY runs.number", (number,))
            return [_run_of(row) for row in rows]

        return await self._database.read(work)

    async def events(self, run_id: str, after: int = 0) -> list[StoredEvent]:
        """Those with higher numbers. Raises UnknownRun."""

        def work(connection: sqlite3.Connection) -> list[StoredEvent]:
            query = "SELECT number, data FROM events WHERE run = ? AND number > ? ORDER BY number"
            rows = connection.execute(query, (_run_number(connection, run_id), after))
            return [StoredEvent(number=number, data=data) for number, data in rows]

        return await self._database.read(work)


_RUNS = """
SELECT runs.id, coalesce(sessions.id, ''), runs.agent, runs.model, runs.status, runs.created, runs.ended,
       (SELECT coalesce(max(events.number), 0) FROM events WHERE events.run = runs.number), runs.input
FROM runs LEFT JOIN sessions ON sessions.number = runs.session
"""


def _taken_over(connection: sqlite3.Connection) -> None:
    lasting = connection.execute("SELECT number, owner FROM runs WHERE status IN ('running', 'waiting')").fetchall()
    for number, owner in lasting:
        if not is_alive(owner):
            _add_events(connection, number, [_encode(INTERRUPTED)])
            change = "UPDATE runs SET status = 'interrupted', ended = ? WHERE number = ?"
            connection.execute(change, (_now(), number))


def _session_row(connection: sqlite3.Connection, session_id: str) -> tuple[Any, ...]:
    """number, then the fields of SessionInfo."""
    query = "SELECT number, id, agent, title, created, updated FROM sessions WHERE id = ?"
    found = connection.execute(query, (session_id,)).fetchone()
    if found is None:
        raise _no_session(session_id)
    return found


def _append(connection: sqlite3.Connection, session_id: str, messages: Sequence[Message]) -> None:
    number, _, _, title, *_ = _session_row(connection, session_id)
    _add_messages(connection, number, messages)
    change = "UPDATE sessions SET updated = ?, title = ? WHERE number = ?"
    connection.execute(change, (_now(), title or _title(messages), number))


def _add_messages(connection: sqlite3.Connection, number: int, messages: Sequence[Message]) -> None:
    (place,) = connection.execute(
        "SELECT coalesce(max(place), 0) FROM messages WHERE session = ?", (number,)
    ).fetchone()
    rows = [(number, place + offset, _encode(message)) for offset, message in enumerate(messages, start=1)]
    connection.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)


def last_turn(messages: Sequence[Message]) -> int:
    """Where the last turn begins: the place of the last question, or the end if there is none."""
    asked = [place for place, message in enumerate(messages) if message.role == "user"]
    return asked[-1] if asked else len(messages)


def _take_back(connection: sqlite3.Connection, session: int | None, run_id: str) -> None:
    query = "SELECT number, id, status FROM runs WHERE session = ? ORDER BY number DESC LIMIT 1"
    found = connection.execute(query, (session,)).fetchone()
    if found is None or found[1] != run_id:
        _run_number(connection, run_id)
        raise InvalidRequest(f"{run_id} is not the last run of its session.", hint="Only the last one can be replaced.")
    if found[2] == "finished":
        said = connection.execute("SELECT place, data FROM messages WHERE session = ? ORDER BY place", (session,))
        rows = list(said)
        places = [place for place, _ in rows][last_turn([_message.decode(data) for _, data in rows]) :]
        if places:
            connection.execute("DELETE FROM messages WHERE session = ? AND place >= ?", (session, places[0]))
    connection.execute("DELETE FROM runs WHERE number = ?", (found[0],))


def _run_of(row: Sequence[Any]) -> Run:
    *fields, asked = row
    return Run(**dict(zip(Run.__struct_fields__, fields, strict=False)), input=_messages.decode(asked))


def _run_number(connection: sqlite3.Connection, run_id: str) -> int:
    found = connection.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
    if found is None:
        raise _no_run(run_id)
    return found[0]


def _add_events(connection: sqlite3.Connection, number: int, events: Sequence[bytes]) -> None:
    (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM events WHERE run = ?", (number,)).fetchone()
    rows = [(number, last + offset, data) for offset, data in enumerate(events, start=1)]
    connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)


def _named(struct: type[msgspec.Struct], row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(struct.__struct_fields__, row, strict=True))


def _title(messages: Sequence[Message]) -> str:
    """The first words that a user said."""
    said = next((message.content for message in messages if message.role == "user"), "")
    line = " ".join(said.split())
    return line if len(line) <= TITLE else f"{line[: TITLE - 1]}…"


def _no_session(session_id: str) -> UnknownSession:
    return UnknownSession(f"There is no session {session_id!r}.", hint="It may have been deleted.")


def _no_run(run_id: str) -> UnknownRun:
    return UnknownRun(f"There is no run {run_id!r}.", hint="Runs of no session are kept for a month.")


def _new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(10)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
