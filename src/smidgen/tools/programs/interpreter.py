"""One Python in a sandbox: started, told what to execute, ended. What it defines stays until then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

from smidgen.errors import InvalidRequest, SandboxUnavailable
from smidgen.tools.programs import SESSION, Executed
from smidgen.tools.sandbox import Job, Limits, Stopped
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.running import HINT, START_S, Running

LONGEST_CODE = 1024 * 1024
LONGEST_REPLY = 1024 * 1024
"""Bytes of a frame that is listened to; what is inside is never trusted."""
GRACE_S = 0.5
"""For which code that took too long may take its interruption; else all of the interpreter is ended."""


class Interpreter:
    """Made by `start`. Executes one thing at a time. Once it is `gone` it executes nothing any more."""

    def __init__(self, running: Running, frames: _Frames, limits: Limits) -> None:
        self._running, self._frames, self._limits = running, frames, limits
        self._own = running.processes()
        self.gone = False

    @classmethod
    async def start(
        cls,
        sandbox: Sandbox,
        workspace: Path | None = None,
        *,
        writable: bool = False,
        hidden: tuple[str, ...] = (),
        limits: Limits = SESSION,
    ) -> Interpreter:
        """workspace: the folder it runs in; writable, hidden: see `Job`. Raises what `Sandbox.open` does."""
        frames = _Frames()
        argv = (sys.executable, "-I", "-c", _driver())
        job = Job(argv=argv, workspace=workspace, writable=writable, hidden=hidden, limits=limits)
        running = await sandbox.open(job, frames.feed)
        try:
            stopped = await running.watch(START_S, frames.expect())
            if stopped or frames.take() is None:
                said = running.finished("").errors.strip()[-300:]
                raise SandboxUnavailable(f"Python didn't come up in the sandbox: {said or 'no sign of it'}.", hint=HINT)
        except BaseException:
            await running.end()
            raise
        return cls(running, frames, limits)

    async def execute(self, code: str, seconds: float | None = None) -> Executed:
        """seconds: that it may take, the limits' own otherwise. Raises InvalidRequest for code that is too long or no
        text. Cancelled, the interpreter ends."""
        data = _frame({"code": code, "keep": self._limits.output_bytes})
        begun = time.monotonic()
        if self.gone:
            return Executed(stopped="exit", gone=True, tier=self._running.tier)
        try:
            reply = self._frames.expect()
            self._running.write(data)
            stopped = await self._running.watch(self._limits.wall_s if seconds is None else seconds, reply)
            if stopped == "time":
                await self._interrupt(reply)
        except BaseException:
            await self.end()
            raise
        told = self._frames.take()
        if told is None or stopped not in ("", "time"):
            await self.end()
        return self._executed(told, stopped, time.monotonic() - begun)

    def clear(self) -> None:
        """Ends the programs that code started and left behind."""
        for pid in self._running.processes() - self._own:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    async def end(self) -> None:
        """Nothing of it is left when this returns."""
        self.gone = True
        await self._running.end()

    async def _interrupt(self, reply: asyncio.Future[None]) -> None:
        self._running.interrupt()
        await asyncio.wait((reply, self._running.exited), timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)

    def _executed(self, told: dict[str, Any] | None, stopped: Stopped, seconds: float) -> Executed:
        tier = self._running.tier
        if told is None:
            finished = self._running.finished(stopped)
            why = finished.stopped or ("garbled" if self._frames.garbled else "exit")
            return Executed(stopped=why, error=finished.errors.strip()[-500:], gone=True, seconds=seconds, tier=tier)
        return Executed(
            output=str(told.get("output", "")),
            cut=int(told.get("cut", 0)),
            value=str(told.get("value", "")),
            error="" if stopped == "time" else str(told.get("error", "")),
            stopped=stopped,
            gone=self.gone,
            seconds=seconds,
            tier=tier,
        )


class _Frames:
    """What the driver, or the code in its place, writes: one frame is expected at a time."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._expected: asyncio.Future[None] | None = None
        self.garbled = False

    def feed(self, data: bytes) -> None:
        if len(self._data) <= LONGEST_REPLY + 4:
            self._data += data
        if self._is_whole() and self._expected is not None and not self._expected.done():
            self._expected.set_result(None)

    def expect(self) -> asyncio.Future[None]:
        """Done once there is one. What came before is of no interest."""
        self._data.clear()
        self._expected = asyncio.get_running_loop().create_future()
        return self._expected

    def take(self) -> dict[str, Any] | None:
        """None if there is none, or none that makes sense."""
        if self._data and self._is_whole() and self._size() <= LONGEST_REPLY:
            with suppress(ValueError, RecursionError):
                found: Any = json.loads(bytes(self._data[4 : 4 + self._size()]))
                if isinstance(found, dict):
                    return cast("dict[str, Any]", found)
        self.garbled = bool(self._data)
        return None

    def _size(self) -> int:
        return int.from_bytes(self._data[:4], "big")

    def _is_whole(self) -> bool:
        return len(self._data) >= 4 and (self._size() > LONGEST_REPLY or len(self._data) >= 4 + self._size())


def _frame(request: dict[str, object]) -> bytes:
    try:
        data = json.dumps(request, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"The code is no text: {error.reason}.") from error
    if len(data) > LONGEST_CODE:
        raise InvalidRequest(f"The code has {len(data)} bytes; {LONGEST_CODE} are possible.")
    return len(data).to_bytes(4, "big") + data


@cache
def _driver() -> str:
    return Path(__file__).with_name("driver.py").read_text(encoding="utf-8")
