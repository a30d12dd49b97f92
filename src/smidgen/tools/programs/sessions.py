"""An interpreter for each conversation: what one call defines, the next one finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from smidgen.tools.conversation import current_conversation
from smidgen.tools.programs import Executed
from smidgen.tools.programs.interpreter import Interpreter

MOST = 4
"""Conversations whose interpreters are kept; of more, the one used longest ago ends."""
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

    async def execute(self, code: str, seconds: float | None = None) -> tuple[Executed, bool]:
        """In the current conversation's interpreter, one after the other; and whether what was defined in it before is
        lost. Raises what starting one raises, InvalidRequest for code that can't be executed."""
        number = current_conversation()
        session, lost = await self._session(number)
        async with session.lock:
            executed = await session.interpreter.execute(code, seconds)
            if not executed.gone:
                session.interpreter.clear()
        if executed.gone:
            self._sessions.pop(number, None)
        return executed, lost

    async def end(self, number: int) -> None:
        """Ends a conversation's interpreter, if it has one."""
        session = self._sessions.pop(number, None)
        self._had.discard(number)
        if session is not None:
            await self._end(session)

    async def aclose(self) -> None:
        for number in tuple(self._sessions):
            await self.end(number)
        while self._ending:
            await asyncio.wait(tuple(self._ending))

    async def _session(self, number: int) -> tuple[Session, bool]:
        async with self._starting:
            session = self._sessions.pop(number, None)
            lost = False
            if session is None or session.interpreter.gone:
                session, lost = Session(await self._start(), asyncio.Lock()), number in self._had
            self._sessions[number] = session
            self._had.add(number)
            self._renew(number, session)
            while len(self._sessions) > MOST:
                self._retire(next(iter(self._sessions)))
        return session, lost

    def _renew(self, number: int, session: Session) -> None:
        if session.idle is not None:
            session.idle.cancel()
        session.idle = asyncio.get_running_loop().call_later(self._idle_s, self._retire, number)

    def _retire(self, number: int) -> None:
        session = self._sessions.pop(number, None)
        if session is not None:
            ending = asyncio.ensure_future(self._end(session))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _end(self, session: Session) -> None:
        if session.idle is not None:
            session.idle.cancel()
        async with session.lock:
            await session.interpreter.end()
