"""The file: one thread owns the connection, so that nobody on an event loop waits for the disk.

A transaction is durable against `kill -9` when it has ended: what was written is the system's then. Those that
acknowledge a turn also reach the disk (`synchronous=FULL`), so that a power cut loses none.

A damaged file is moved aside only under a lock and after another look, because another process may have done so first:
its new file must stay where it is. A file that was moved or deleted while it was open is noticed at the next write,
which is then not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from smidgen.errors import SessionsUnavailable
from smidgen.events import Notice
from smidgen.sessions.schema import NewerSchema, prepare
from smidgen.sessions.sqlite import BUSY_S, connected, transaction

log = logging.getLogger("smidgen.sessions")

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Database:
    """path: of the file, made with its folder. notices: what its user must be told of opening it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[Notice] = []
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    async def open(self) -> None:
        """Raises SessionsUnavailable. A damaged file is moved aside, and a new one begun."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="smidgen-sessions")
        await self._there(self._opened)

    async def aclose(self) -> None:
        """What was begun ends first. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await asyncio.get_running_loop().run_in_executor(thread, self._closed)
        thread.shutdown()

    async def read(self, work: Work[T]) -> T:
        """Raises SessionsUnavailable, and what the work raises of its own."""
        return await self._there(lambda: work(self._its()))

    async def write(self, work: Work[T], *, to_disk: bool = True) -> T:
        """In one transaction: all of it or nothing. to_disk: a power cut doesn't lose it either."""
        return await self._there(lambda: self._written(work, to_disk))

    # --- in the thread ------------------------------------------------------------------------------------------------

    async def _there(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise SessionsUnavailable("The sessions are closed.", hint="Open them first.")
        # Whoever stops waiting doesn't stop a transaction.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self._told, work))

    def _told(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _its(self) -> sqlite3.Connection:
        if self._connection is None:
            raise SessionsUnavailable("The sessions could not be opened.", hint="The log says why.")
        return self._connection

    def _written(self, work: Work[T], to_disk: bool) -> T:
        connection = self._its()
        connection.execute(f"PRAGMA synchronous = {'FULL' if to_disk else 'NORMAL'}")
        with transaction(connection):
            result = work(connection)
        if self._found() != self._file:
            raise SessionsUnavailable(
                f"{self.path.name} was moved or deleted while it was in use.",
                hint="Put it back or leave it, and start smidgen again.",
            )
        return result

    def _opened(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unavailable(error) from error
        try:
            self._connection = self._connected()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._connection = self._connected_anew()
        self._file = self._found()

    def _connected_anew(self) -> sqlite3.Connection:
        from filelock import FileLock  # for damage only, which is rare

        try:
            with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=BUSY_S):
                try:
                    return self._connected()
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._set_aside(error)
                return self._connected()
        except OSError as error:  # a lock that isn't had in time is one
            raise self._unavailable(error) from error

    def _connected(self) -> sqlite3.Connection:
        if not self.path.exists():
            try:
                self.path.touch(mode=0o600)  # what is said to an agent is nobody else's
            except OSError as error:
                raise self._unavailable(error) from error
        connection = connected(self.path)
        try:
            prepare(connection)
            if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                error = sqlite3.DatabaseError(found)
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
        except NewerSchema as error:
            connection.close()
            raise SessionsUnavailable(
                f"{self.path.name} was made by a newer smidgen ({error}).",
                hint="Update smidgen, or let `sessions` in the configuration name another file.",
            ) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: Exception) -> None:
        """The file and what belongs to it, under names that aren't taken. Raises SessionsUnavailable."""
        number = 1
        while self.path.with_name(f"{self.path.name}.corrupt-{number}").exists():
            number += 1
        # The file itself is last: whoever finds none begins a new one, whose log must not be moved.
        for ending in ("-wal", "-shm", ""):
            old = self.path.with_name(self.path.name + ending)
            try:
                old.rename(self.path.with_name(f"{self.path.name}.corrupt-{number}{ending}"))
            except FileNotFoundError:
                pass
            except OSError as problem:
                raise self._unavailable(problem) from problem
        name = self.path.name
        told = f"{name} was damaged ({error}); it is kept as {name}.corrupt-{number}, and a new one begun."
        log.warning("%s", told)
        self.notices.append(Notice(code="sessions_damaged", message=told))

    def _found(self) -> tuple[int, int] | None:
        """Which file lies there now: device and inode."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _closed(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _unavailable(self, error: Exception) -> SessionsUnavailable:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hints = {
            sqlite3.SQLITE_FULL: "Free some space on the disk.",
            sqlite3.SQLITE_BUSY: "Another program holds the file; try again.",
            sqlite3.SQLITE_READONLY: "Make the file and its folder writable, or let `sessions` name another file.",
            sqlite3.SQLITE_CANTOPEN: "Make its folder writable, or let `sessions` name another file.",
            **dict.fromkeys(DAMAGED, "Start smidgen again: it keeps the damaged file aside and begins a new one."),
        }
        return SessionsUnavailable(
            f"Conversations can't be kept in {self.path.name}: {error}.",
            hint=hints.get(code, "Look at the file and its folder."),
            retryable=code == sqlite3.SQLITE_BUSY,
        )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
