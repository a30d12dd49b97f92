"""A job's processes: how many, how much memory they take together, and their end.

The kernel's own limits don't hold these: root may start as many processes as it likes, and a limit of memory is each
process' own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import psutil

from smidgen.tools.sandbox import Limits, Stopped

TICK_S = 0.01
WEIGH_EVERY = 10
"""Ticks between two sums of their memory. They are counted at every tick: root's can double in a millisecond."""
WATCHMEN = 1
"""In a session, beside the job's own processes: the one that ends it when we are gone (confine.py)."""
_TRIES = 500


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

    def interrupt(self) -> None:
        """The command itself: the first in its namespace, else the one that leads the session."""
        with contextlib.suppress(psutil.Error, OSError):
            children = psutil.Process(self._root).children() if self._root else []
            os.kill(children[0].pid if children else self._session, signal.SIGINT)

    def _in_session(self) -> list[int]:
        return [pid for pid in psutil.pids() if _session(pid) == self._session]

    async def end(self) -> None:
        """Kills all of them. Those that start others meanwhile are killed again until none is left."""
        with contextlib.suppress(ProcessLookupError):
            if self._root:
                # Among thousands of others it would wait for its turn to die, and they with it. Root may say so.
                with contextlib.suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, self._root, -20)
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        for _ in range(_TRIES):
            try:
                os.killpg(self._session, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return
            if self._root:
                return
            await asyncio.sleep(0)
            if all(_is_dead(pid) for pid in self._in_session()):
                return


def _threads(process: Path) -> int:
    try:
        return max(0, (process / "task").stat().st_nlink - 2)
    except OSError:
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
