"""Runs one job after the other, or several at once: starts it, reads what it writes, ends it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import Finished, Job, Limits, Stopped, Tier
from smidgen.tools.sandbox.checks import check
from smidgen.tools.sandbox.kept import Kept
from smidgen.tools.sandbox.launch import Launch
from smidgen.tools.sandbox.watch import Processes
from smidgen.tools.threads import in_daemon_thread

START_S = 10.0
"""Within which a sandbox comes up, on a busy computer too."""
HINT = "`smidgen doctor` tries what holds here and tells why."
NOTE_S = 0.5
"""For which what a sandbox that failed says of itself is waited for."""


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
        stop = asyncio.Event()
        # On its own, so that a cancellation finds the job either not started or held, and never between.
        work = asyncio.ensure_future(self._run(job, stop))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((work,))
            if not work.cancelled():
                work.exception()
            raise

    async def _run(self, job: Job, stop: asyncio.Event) -> Finished:
        launch = self._prepare(job)
        try:
            return await self._launched(job, launch, stop)
        finally:
            await in_daemon_thread(launch.close)

    async def _launched(self, job: Job, launch: Launch, stop: asyncio.Event) -> Finished:
        begun = time.monotonic()
        streams = _Streams(job.limits)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.subprocess_exec(
                lambda: streams,
                *launch.argv,
                env=launch.variables,
                cwd=launch.folder,
                pass_fds=launch.descriptors,
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable(f"The sandbox can't be started: {error}.", hint=HINT) from error
        stopped: Stopped = ""
        try:
            _feed(transport, job.stdin)
            await _started(launch, transport.get_pid(), streams)
            processes = Processes(transport.get_pid(), launch.root, launch.handle)
            stopped = await _until_end(streams, processes, job, stop)
        finally:
            await _end(streams, Processes(transport.get_pid(), launch.root, launch.handle))
            transport.close()
        code = transport.get_returncode()
        status = -signal.SIGKILL if code is None else launch.status(code)
        if not stopped and status == -signal.SIGXCPU:
            stopped = "cpu"
        return Finished(
            status=status,
            stopped=stopped,
            output=streams.output.text(),
            errors=streams.errors.text(),
            output_cut=streams.output.cut,
            errors_cut=streams.errors.cut,
            seconds=time.monotonic() - begun,
            tier=self.tier,
        )


class _Streams(asyncio.SubprocessProtocol):
    """What the command writes, and whether it has ended: `exited` it itself, `drained` whatever held its output too.
    flooded: it has written far more than is kept."""

    def __init__(self, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        self.output, self.errors = Kept(limits.output_bytes), Kept(limits.output_bytes)
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self.flooded: asyncio.Future[None] = loop.create_future()
        self._most = limits.flood_bytes

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.output if fd == 1 else self.errors
        kept.add(data)
        if kept.total > self._most:
            _done(self.flooded)

    def process_exited(self) -> None:
        _done(self.exited)

    def connection_lost(self, exc: Exception | None) -> None:
        _done(self.drained)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _feed(transport: asyncio.SubprocessTransport, data: bytes) -> None:
    """Written as the command reads it; what it doesn't read is dropped with it."""
    pipe = transport.get_pipe_transport(0)
    if isinstance(pipe, asyncio.WriteTransport):
        pipe.write(data)
        pipe.close()


async def _started(launch: Launch, pid: int, streams: _Streams) -> None:
    starting = asyncio.ensure_future(in_daemon_thread(launch.started, pid=pid))
    problem = "it took too long"
    done, _ = await asyncio.wait((starting,), timeout=START_S)
    if not done:
        await Processes(pid).end()  # then whoever waits for it finds its end
        await asyncio.wait((starting,))
    try:
        starting.result()
        if done:
            return
    except OSError as error:
        problem = str(error)
    await asyncio.wait((streams.drained,), timeout=NOTE_S)
    said = streams.errors.text().strip() or problem
    raise SandboxUnavailable(f"The sandbox didn't come up: {said[:300]}.", hint=HINT)


async def _until_end(streams: _Streams, processes: Processes, job: Job, stop: asyncio.Event) -> Stopped:
    """Why it was ended, "" if it ended by itself, or nobody waits for it any more."""
    watched = asyncio.ensure_future(processes.stop_reason(job.limits))
    given_up = asyncio.ensure_future(stop.wait())
    waited = (streams.exited, watched, streams.flooded, given_up)
    try:
        done, _ = await asyncio.wait(waited, timeout=job.limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
        if watched in done:
            return watched.result()
        if streams.flooded in done:
            return "output"
        return "" if done else "time"
    finally:
        watched.cancel()
        given_up.cancel()


async def _end(streams: _Streams, processes: Processes) -> None:
    """Nothing of it is left when this returns."""
    await processes.end()
    await asyncio.wait((streams.exited, streams.drained), timeout=START_S)
