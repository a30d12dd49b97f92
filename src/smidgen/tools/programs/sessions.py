"""An interpreter for each conversation: what one call defines, the next one finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from smidgen.errors import ToolFailed
from smidgen.tools.conversation import current_conversation
from smidgen.tools.programs import Executed
from smidgen.tools.programs.interpreter import Interpreter

MOST = 4
"""Conversations whose interpreters are kept; of more, the one used longest ago that is at nothing ends."""
IDLE_S = 900.0
"""After which an interpreter that isn't used ends."""


class Session(msgspec.Struct):
    interpreter: Interpreter
    lock: asyncio.Lock
    idle: asyncio.TimerHandle | None = None


class Sessions:
    """start: makes an interpreter. Close with `aclose`."""

    def __init__(self, start: Callable[[], Awaitable[Interpreter]], idle_s: float = IDLE_S) -> None:
        self._start = start
        self._idle_s = idle_s
        self._sessions: dict[int, Session] = {}
        self._had: set[int] = set()
        self._starting = asyncio.Lock()
        self._ending: set[asyncio.Future[None]] = set()
        self._closed = False

    async def execute(self, code: str, seconds: float | None = None) -> tuple[Executed, bool]:
        """In the current conversation's interpreter, one after the other; and whether what was defined in it before is
        lost. Raises what starting one raises, InvalidRequest for code that can't be executed, ToolFailed once
        closed."""
        number, lost = current_conversation(), False
        while True:
            session, is_lost = await self._session(number)
            lost |= is_lost
            async with session.lock:
                if session.interpreter.gone:
                    continue  # what came before has ended it, which is not this code's doing
                try:
                    executed = await session.interpreter.execute(code, seconds)
                    if not executed.gone:
                        await session.interpreter.clear()
                finally:
                    if session.interpreter.gone:
                        self._retire(number, session)
            return executed, lost

    async def end(self, number: int) -> None:
        """Ends a conversation's interpreter, if it has one, whatever it is at."""
        async with self._starting:
            session = self._sessions.get(number)
            self._had.discard(number)
            if session is not None:
                await session.interpreter.end()
                self._retire(number, session)

    async def aclose(self) -> None:
        self._closed = True
        async with self._starting:
            for number, session in tuple(self._sessions.items()):
                await session.interpreter.end()
                self._retire(number, session)
        while self._ending:
            await asyncio.wait(tuple(self._ending))

    async def _session(self, number: int) -> tuple[Session, bool]:
        """Not locked yet; and whether it is new and takes the place of one that was lost."""
        async with self._starting:
            if self._closed:
                raise ToolFailed("Python is closed.")
            session, is_lost = self._sessions.get(number), False
            if session is not None and session.interpreter.gone:
                self._retire(number, session)
                session = None
            if session is None:
                session, is_lost = Session(await self._start(), asyncio.Lock()), number in self._had
            self._sessions.pop(number, None)
            self._sessions[number] = session  # the last now
            self._had.add(number)
            self._renew(number, session)
            free = [(one, other) for one, other in self._sessions.items() if not other.lock.locked() and one != number]
            for one, other in free[: max(0, len(self._sessions) - MOST)]:
                self._retire(one, other)
        return session, is_lost

    def _renew(self, number: int, session: Session) -> None:
        if session.idle is not None:
            session.idle.cancel()
        session.idle = asyncio.get_running_loop().call_later(self._idle_s, self._retire, number, session)

    def _retire(self, number: int, session: Session) -> None:
        """It is this conversation's no more, and ends once what it is at is done."""
        if session.idle is not None:
            session.idle.cancel()
        if self._sessions.get(number) is session:
            del self._sessions[number]
        ending = asyncio.ensure_future(self._end(session))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _end(self, session: Session) -> None:
        async with session.lock:
            await session.interpreter.end()
