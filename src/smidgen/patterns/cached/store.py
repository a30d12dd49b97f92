"""Where answers are kept: an SQLite file that several processes may share, or memory.

Nothing here is worth failing a request for: what can't be read is as if it weren't kept, and what is wrong is told once
(`problems`). A damaged file is moved aside. An answer that was kept survives `kill -9`; a power cut may lose the last.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from smidgen.patterns.cached.schema import BUSY_S, damaged, is_damage, prepare
from smidgen.sessions.sqlite import transaction

log = logging.getLogger("smidgen.cached")

T = TypeVar("T")

CLOCKS_APART_S = 60.0
"""An answer from further in the future than this was kept by a clock that was wrong, and isn't believed."""
HITS = ("exact", "by meaning")
OUTCOMES = (*HITS, "missed", "passed by")
"""What became of a request: answered from here in two ways, not kept yet, or one that is never kept."""

_COUNT = "INSERT INTO counts VALUES (?, 1) ON CONFLICT (outcome) DO UPDATE SET number = number + 1"
_VALID = "expires > :now AND made <= :now + :apart AND (:ttl = 0 OR made + :ttl > :now)"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, encoded. group, embedder and vector (little-endian floats): of its request; "" and empty where it
    isn't to be found by meaning. made: seconds since 1970."""

    key: bytes
    group: bytes
    request: str
    answer: bytes
    made: float
    embedder: str = ""
    vector: bytes = b""


class Near(msgspec.Struct, frozen=True, kw_only=True):
    key: bytes
    request: str
    vector: bytes


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. counts: of `OUTCOMES`, since it was made."""

    answers: int
    bytes: int
    counts: dict[str, int]

    @property
    def hits(self) -> int:
        return sum(self.counts.get(outcome, 0) for outcome in HITS)

    @property
    def asked(self) -> int:
        return sum(self.counts.values())


class Store:
    """path: of the file, made with its folder at the first use; None for memory. ttl_s, size: as in `Settings`. clock:
    seconds since 1970. Methods block, and may be called from any thread; none raises."""

    def __init__(self, path: Path | None, *, ttl_s: float, size: int, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._ttl_s, self._size, self._clock = ttl_s, size, clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._close: weakref.finalize[[], Store] | None = None
        self._file: tuple[int, int] | None = None
        self._problems: list[str] = []
        self._told: set[str] = set()

    def problems(self) -> tuple[str, ...]:
        """What went wrong since the last call; each kind once in all."""
        with self._lock:
            found, self._problems = tuple(self._problems), []
        return found

    def get(self, key: bytes) -> Kept | None:
        columns = "key, family, request, answer, made, embedder, vector"

        def work(connection: sqlite3.Connection) -> Kept | None:
            row = connection.execute(f"SELECT {columns} FROM answers WHERE key = :key AND {_VALID}", self._at(key=key))
            found = row.fetchone()
            return None if found is None else Kept(**dict(zip(Kept.__struct_fields__, found, strict=True)))

        return self._done(work, None)

    def near(self, group: bytes, embedder: str) -> Sequence[Near]:
        """Those that could be found by meaning."""
        which = f"family = :group AND embedder = :embedder AND {_VALID}"

        def work(connection: sqlite3.Connection) -> list[Near]:
            rows = connection.execute(
                f"SELECT key, request, vector FROM answers WHERE {which}", self._at(group=group, embedder=embedder)
            )
            return [Near(key=key, request=request, vector=vector) for key, request, vector in rows]

        return self._done(work, [])

    def put(self, kept: Kept) -> None:
        """What is over, and what is used least beyond the size, goes."""
        now = self._clock()
        expires = kept.made + self._ttl_s if self._ttl_s else 1e18

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM answers WHERE expires <= ?", (now,))
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, "
                "(SELECT coalesce(max(used), 0) + 1 FROM answers))",
                (kept.key, kept.group, kept.request, kept.embedder, kept.vector, kept.answer, kept.made, expires),
            )
            connection.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used DESC LIMIT -1 OFFSET ?)",
                (self._size,),
            )

        self._written(work)

    def count(self, outcome: str, key: bytes = b"") -> None:
        """One of `OUTCOMES`; key: of the answer that was used."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_COUNT, (outcome,))
            if key:
                connection.execute(
                    "UPDATE answers SET used = (SELECT max(used) + 1 FROM answers) WHERE key = ?", (key,)
                )

        self._written(work)

    def drop(self, key: bytes) -> None:
        self._written(lambda connection: connection.execute("DELETE FROM answers WHERE key = ?", (key,)))

    def clear(self) -> None:
        """All answers; what was counted stays."""
        self._written(lambda connection: connection.execute("DELETE FROM answers"))

    def summary(self) -> Summary:
        size = 0
        with suppress(OSError):
            size = 0 if self.path is None else self.path.stat().st_size
        return self._done(lambda connection: _summary(connection, size), Summary(answers=0, bytes=size, counts={}))

    def close(self) -> None:
        """It opens again when it is used."""
        with self._lock:
            self._closed()

    # --- with the lock held -----------------------------------------------------------------------------------------

    def _at(self, **values: object) -> dict[str, object]:
        return {"now": self._clock(), "apart": CLOCKS_APART_S, "ttl": self._ttl_s, **values}

    def _written(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """All of it or nothing."""

        def whole(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                work(connection)

        self._done(whole, None)

    def _done(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._lock:
            for last in (False, True):
                try:
                    return work(self._opened())
                except (sqlite3.Error, OSError) as error:
                    self._closed()
                    if last or not is_damage(error) or not self._set_aside(error):
                        self._tell(f"Answers can't be kept in {self._name} now: {error}.")
                        return otherwise
        return otherwise

    @property
    def _name(self) -> str:
        return "memory" if self.path is None else self.path.name

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and (self.path is None or _identity(self.path) == self._file):
            return self._connection
        self._closed()  # the file was moved or deleted: a new one is begun
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)  # what is asked is nobody else's
        connection = sqlite3.connect(
            ":memory:" if self.path is None else self.path,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._close = weakref.finalize(self, connection.close)
        self._file = None if self.path is None else _identity(self.path)
        return connection

    def _closed(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if self._close is not None:
            self._close.detach()
            self._close = None

    def _set_aside(self, error: Exception) -> bool:
        """The damaged file under another name, unless another process did so just now. False if that can't be done."""
        from filelock import FileLock  # for damage only, which is rare

        path = self.path
        if path is None:
            return False
        try:
            with FileLock(path.with_name(f"{path.name}.lock"), timeout=BUSY_S):
                if not damaged(path):
                    return True
                number = 1
                while path.with_name(f"{path.name}.corrupt-{number}").exists():
                    number += 1
                # The file itself is last: whoever finds none begins a new one, whose log must not be moved.
                for ending in ("-wal", "-shm", ""):
                    with suppress(FileNotFoundError):
                        path.with_name(path.name + ending).rename(
                            path.with_name(f"{path.name}.corrupt-{number}{ending}")
                        )
        except OSError as problem:  # a lock that isn't had in time is one
            log.warning("%s can't be moved aside: %s", path.name, problem)
            return False
        self._tell(
            f"{path.name} was damaged ({error}); it is kept as {path.name}.corrupt-{number}, and a new one begun."
        )
        return True

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self._problems.append(problem)
            log.warning("%s", problem)


def summary_of(path: Path) -> Summary:
    """Of a file that may be in use, which isn't changed. Raises sqlite3.Error, OSError."""
    size = path.stat().st_size
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
        return _summary(connection, size)


def _summary(connection: sqlite3.Connection, size: int) -> Summary:
    answers = connection.execute("SELECT count(*) FROM answers").fetchone()[0]
    return Summary(answers=answers, bytes=size, counts=dict(connection.execute("SELECT outcome, number FROM counts")))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
