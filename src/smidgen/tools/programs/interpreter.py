"""One Python in a sandbox: started, told what to execute, ended. What it defines stays until then."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from smidgen.errors import InvalidRequest, SandboxUnavailable
from smidgen.tools.programs import SESSION, Executed
from smidgen.tools.sandbox import Job, Limits, Stopped
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.running import HINT, START_S, Running

LONGEST_CODE = 1024 * 1024
LONGEST_REPLY = 1024 * 1024
"""Bytes of a frame that is listened to, beside the output; what is inside is never trusted."""
ESCAPED = 6
"""Bytes that one of output may take in a frame."""
GRACE_S = 0.5
"""For which code that took too long may take its interruption; else all of the interpreter is ended."""


class Interpreter:
    """Made by `start`. Executes one thing at a time. `clear` it after each unless it ends then: what code left running
    is watched by nobody."""

    def __init__(self, running: Running, frames: _Frames, limits: Limits) -> None:
        self._running, self._frames, self._limits = running, frames, limits
        self._own = running.processes()
        self._is_ended = self._is_halted = False

    @property
    def gone(self) -> bool:
        """It executes nothing any more. `end` it nevertheless."""
        return self._is_ended or self._running.exited.done()

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
        frames = _Frames(LONGEST_REPLY + ESCAPED * limits.output_bytes)
        ready = frames.expect()
        argv = (sys.executable, "-I", "-c", _driver())
        job = Job(argv=argv, workspace=workspace, writable=writable, hidden=hidden, limits=limits)
        running = await sandbox.open(job, frames.feed)
        try:
            stopped = await running.watch(START_S, ready)
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
        check_code(code)
        data = _frame({"code": code, "keep": self._limits.output_bytes})
        begun = time.monotonic()
        if self.gone:
            return Executed(stopped="exit", gone=True, tier=self._running.tier)
        try:
            reply = self._frames.expect()
            self._resume()
            self._running.write(data)
            stopped = await self._running.watch(self._limits.wall_s if seconds is None else seconds, reply)
            beyond: Stopped = ""
            if stopped == "time":
                self._running.interrupt()
                beyond = await self._running.watch(GRACE_S, reply)
        except BaseException:
            await self.end()
            raise
        told = self._frames.take()
        if told is None or stopped not in ("", "time") or beyond:
            told = None
            await self.end()
        return self._executed(told, stopped, time.monotonic() - begun)

    async def clear(self) -> None:
        """The programs that code started and left behind are dead when this returns, and what runs on in threads stands
        still until the next execution. Where that can't be done, and where this is cancelled, the interpreter ends."""
        if self._is_ended:
            return
        self._is_halted = True
        try:
            is_clear = await self._running.halt(self._own)
        except BaseException:
            await self.end()
            raise
        if not is_clear:
            await self.end()

    async def end(self) -> None:
        """Nothing of it is left when this returns."""
        self._is_ended = True
        await self._running.end()

    def _resume(self) -> None:
        if self._is_halted:
            self._is_halted = False
            self._running.resume()

    def _executed(self, told: _Reply | None, stopped: Stopped, seconds: float) -> Executed:
        tier = self._running.tier
        if told is None:
            finished = self._running.finished(stopped)
            why = finished.stopped or ("garbled" if self._frames.garbled else "exit")
            return Executed(stopped=why, error=finished.errors.strip()[-500:], gone=True, seconds=seconds, tier=tier)
        return Executed(
            output=told.output,
            cut=told.cut,
            value=told.value,
            error="" if stopped == "time" else told.error,
            stopped=stopped,
            gone=self.gone,
            seconds=seconds,
            tier=tier,
        )


class _Reply(msgspec.Struct, frozen=True):
    output: str = ""
    cut: Annotated[int, msgspec.Meta(ge=0)] = 0
    value: str = ""
    error: str = ""


class _Frames:
    """What the driver, or the code in its place, writes: one frame is expected at a time. longest: bytes of one."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._data = bytearray()
        self._expected: asyncio.Future[None] | None = None
        self.garbled = False

    def feed(self, data: bytes) -> None:
        if len(self._data) <= self._longest + 4:
            self._data += data
        if self._is_whole() and self._expected is not None and not self._expected.done():
            self._expected.set_result(None)

    def expect(self) -> asyncio.Future[None]:
        """Done once there is one. What came before is of no interest."""
        self._data.clear()
        self._expected = asyncio.get_running_loop().create_future()
        return self._expected

    def take(self) -> _Reply | None:
        """None if there is none, or none that makes sense."""
        if self._is_whole() and self._size() <= self._longest:
            with suppress(ValueError, RecursionError):  # msgspec's own are ValueErrors
                return msgspec.json.decode(self._data[4 : 4 + self._size()], type=_Reply)
        self.garbled = bool(self._data)
        return None

    def _size(self) -> int:
        return int.from_bytes(self._data[:4], "big")

    def _is_whole(self) -> bool:
        return len(self._data) >= 4 and (self._size() > self._longest or len(self._data) >= 4 + self._size())


def check_code(code: str) -> None:
    """Raises InvalidRequest for code that is too long or no text."""
    try:
        size = len(code.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"The code is no text: {error.reason}.") from error
    if size > LONGEST_CODE:
        raise InvalidRequest(f"The code has {size} bytes; {LONGEST_CODE} are possible.")


def _frame(request: dict[str, object]) -> bytes:
    data = json.dumps(request, ensure_ascii=False).encode()
    return len(data).to_bytes(4, "big") + data


@cache
def _driver() -> str:
    return Path(__file__).with_name("driver.py").read_text(encoding="utf-8")
