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
_TRIES = 500


class Processes:
    """session: the command's process, which leads a session. root: the process with whose end the kernel ends all
    others, the first of a namespace, 0 if there is none such; then none of them can leave the session."""

    def __init__(self, session: int, root: int) -> None:
        self._session, self._root = session, root
        # Its number may be another's once it is dead.
        self._handle = os.pidfd_open(root) if root else -1

    async def stop_reason(self, limits: Limits) -> Stopped:
        """Returns once there are too many of them or they take too much; to be cancelled otherwise."""
        while True:
            for _ in range(WEIGH_EVERY):
                await asyncio.sleep(TICK_S)
                if self._count() > limits.processes:
                    return "processes"
            if self._memory() > limits.memory:
                return "memory"

    def _count(self) -> int:
        if not self._root:
            return sum(_session(pid) == self._session for pid in psutil.pids())
        try:
            top = Path(f"/proc/{self._root}/root")
            if top.samefile("/"):
                return 0  # its namespace isn't set up yet, and nothing runs in it
            with os.scandir(top / "proc") as entries:
                return sum(entry.name.isdigit() for entry in entries)
        except OSError:
            return 0  # an ordinary user's: the kernel holds their number

    def _memory(self) -> int:
        """Resident bytes, what they share counted for each."""
        total = 0
        with contextlib.suppress(psutil.Error):
            if self._root:
                alive = psutil.Process(self._root).children(recursive=True)
            else:
                alive = [psutil.Process(pid) for pid in psutil.pids() if _session(pid) == self._session]
            for process in alive:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
        return total

    async def end(self) -> None:
        """Kills all of them. Those that start others meanwhile are killed again until none is left."""
        try:
            await self._kill()
        finally:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    async def _kill(self) -> None:
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
            if not any(_session(pid) == self._session and not _is_dead(pid) for pid in psutil.pids()):
                return


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
