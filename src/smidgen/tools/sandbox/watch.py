"""A job's processes: how many, how much memory they take together, and their end.

The kernel's own limits don't hold these: root may start as many processes as it likes, and a limit of memory is each
process' own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from smidgen.tools.sandbox import Limits, Stopped

TICK_S = 0.01
WEIGH_EVERY = 10
"""Ticks between two sums of their memory. They are counted at every tick: root's can double in a millisecond."""
WATCHMEN = 1
"""In a session, beside the job's own processes: the one that ends it when we are gone (confine.py)."""
COMMAND = 2
"""Its number in a namespace of its own, whose first process is the sandbox's."""
END_S = 10.0
"""For which a namespace's end is waited for: thousands of processes take a while to die."""
_TRIES = 500
_HALT_S = 1.0
_LOOKS = 5


class Processes:
    """session: the command's process, which leads a session. root, handle: see `Launch`; without them none of the
    job's processes can leave the session."""

    def __init__(self, session: int, root: int = 0, handle: int = 0) -> None:
        self._session, self._root, self._handle = session, root, handle

    async def stop_reason(self, limits: Limits) -> Stopped:
        """Returns once there are too many of them or they take too much; to be cancelled otherwise."""
        while True:
            for _ in range(WEIGH_EVERY):
                await asyncio.sleep(TICK_S)
                if self._threads() > limits.processes:
                    return "processes"
            if self._memory() > limits.memory:
                return "memory"

    def _threads(self) -> int:
        """Of all of them, each process' first one included."""
        if not self._root:
            return sum(_threads(Path("/proc", str(pid))) for pid in self._in_session()) - WATCHMEN
        top = Path(f"/proc/{self._root}/root")
        try:
            if top.samefile("/"):
                return 0  # its namespace isn't set up yet, and nothing runs in it
            with os.scandir(top / "proc") as entries:
                return sum(_threads(top / "proc" / entry.name) for entry in entries if entry.name.isdigit())
        except OSError:
            return 0  # an ordinary user's: the kernel holds their number

    def _memory(self) -> int:
        """Resident bytes, what they share counted for each."""
        total = 0
        for pid in self.alive():
            with contextlib.suppress(psutil.Error):
                total += psutil.Process(pid).memory_info().rss
        return total

    def alive(self) -> frozenset[int]:
        """Their numbers, those outside."""
        found: list[int] = []
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self._root).children(recursive=True) if self._root else []
            found = [process.pid for process in children]
        return frozenset(found or self._in_session())

    def command(self) -> int:
        """The command itself, 0 if it has ended: the second in its namespace, else the one that leads the session."""
        if not self._root:
            return self._session
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self._root).children()
            return next((child.pid for child in children if _number_inside(child.pid) == COMMAND), 0)
        return 0

    def signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(OSError):
            if pid:
                os.kill(pid, number)

    async def halt(self, command: int, own: frozenset[int]) -> bool:
        """Once the command stands still, which it was told to, and all but its `own` processes are dead. Those that
        start others meanwhile are killed again until none is left; False if that takes too long.

        One that starts another and ends, again and again, can slip through a look at all processes. None has where none
        at all came or went meanwhile; on a computer where some always do, several looks must find nothing."""
        until, looks = time.monotonic() + _HALT_S, 0
        while time.monotonic() < until:
            is_still, before = _is_still(command), psutil.pids()
            others = [pid for pid in self.alive() - own if not _is_dead(pid)]
            looks = looks + 1 if is_still and not others else 0
            if looks == _LOOKS or (looks and psutil.pids() == before):
                return True
            for pid in others:
                self.signal(pid, signal.SIGKILL)
            await asyncio.sleep(TICK_S / 10)
        return False

    def _in_session(self) -> list[int]:
        return [pid for pid in psutil.pids() if _session(pid) == self._session]

    async def end(self) -> None:
        """Kills all of them. Those that start others meanwhile are killed again until none is left."""
        if self._root:
            with contextlib.suppress(ProcessLookupError):
                # Among thousands of others it would wait for its turn to die, and they with it. Root may say so.
                with contextlib.suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, self._root, -20)
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._session, signal.SIGKILL)
            await _is_over(self._handle)
            return
        for _ in range(_TRIES):
            try:
                os.killpg(self._session, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return
            await asyncio.sleep(0)
            if all(_is_dead(pid) for pid in self._in_session()):
                return


async def _is_over(handle: int) -> None:
    """Once the process of this pidfd is dead: the first of a namespace, not before all others in it are."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    loop.add_reader(handle, lambda: over.done() or over.set_result(None))
    try:
        await asyncio.wait((over,), timeout=END_S)
    finally:
        loop.remove_reader(handle)


def _threads(process: Path) -> int:
    try:
        return max(0, (process / "task").stat().st_nlink - 2)
    except OSError:
        return 0


def _is_still(process: int) -> bool:
    """All of its threads are stopped, or dead."""
    with contextlib.suppress(OSError):
        for task in tuple(Path("/proc", str(process), "task").iterdir()):
            with contextlib.suppress(OSError):
                state = (task / "stat").read_bytes().rpartition(b") ")[2][:1]
                if state not in b"TtZX":
                    return False
    return True


def _number_inside(pid: int) -> int:
    """In the innermost namespace that it is in. Source: proc_pid_status(5), NSpid."""
    with contextlib.suppress(OSError):
        for line in Path("/proc", str(pid), "status").read_bytes().splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return 0


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
