"""Runs one job after the other, or several at once, each to its end; or opens one that is talked to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from smidgen.tools.sandbox import Finished, Job, Tier
from smidgen.tools.sandbox.checks import check
from smidgen.tools.sandbox.launch import Launch
from smidgen.tools.sandbox.running import Running

T = TypeVar("T")


class Sandbox:
    """tier: what holds the jobs. prepare: makes a launch of a job."""

    def __init__(self, tier: Tier, prepare: Callable[[Job], Launch]) -> None:
        self.tier: Tier = tier
        self._prepare = prepare

    async def run(self, job: Job) -> Finished:
        """Raises InvalidRequest for a job that can't be run as it is, FileNotFoundError and NotADirectoryError for its
        folder, SandboxUnavailable if the sandbox doesn't come up. A program that can't be found or started is a job
        that failed. Cancelled, this returns once nothing of the job is left."""
        check(job)
        stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return await _held(self._run(job, stop), stop)

    async def _run(self, job: Job, stop: asyncio.Future[None]) -> Finished:
        running = await Running.start(job, self._prepare(job), self.tier)
        try:
            running.write(job.stdin, last=True)
            stopped = await running.watch(job.limits.wall_s, stop)
        finally:
            await running.end()
        return running.finished(stopped)

    async def open(self, job: Job, heard: Callable[[bytes], None]) -> Running:
        """A job that runs until it is ended; `heard` gets what it writes, `job.stdin` is the beginning of what it
        reads. Of the limits, whoever opens it has those on time watched. Raises what `run` does."""
        check(job)
        stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return await _held(self._open(job, heard, stop), stop, Running.end)

    async def _open(self, job: Job, heard: Callable[[bytes], None], stop: asyncio.Future[None]) -> Running:
        running = await Running.start(job, self._prepare(job), self.tier, heard)
        if stop.done():
            await running.end()
        running.write(job.stdin)
        return running


async def _held(
    work: Coroutine[Any, Any, T], stop: asyncio.Future[None], undo: Callable[[T], Awaitable[None]] | None = None
) -> T:
    """On its own, so that a cancellation finds a job either not started or held, and never between: then `stop` is
    done, and what ends of itself is waited for. undo: of a result that came at that moment and that nobody gets."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not stop.done():
            stop.set_result(None)
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        if not task.cancelled() and task.exception() is None and undo is not None:
            await undo(task.result())
        raise


Boxes = Callable[[], Awaitable[Sandbox]]
"""What holds programs here, found out when first asked. Raises SandboxUnavailable where nothing does."""

OutOfSight = Callable[[], Awaitable[tuple[str, ...]]]
"""Paths of a workspace that its user's rules hide, for `Job.hidden`; looked for before each job."""
