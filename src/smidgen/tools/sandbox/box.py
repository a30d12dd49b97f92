"""Runs one job after the other, or several at once: starts it, reads what it writes, ends it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import Finished, Job, Limits, Stopped, Tier
from smidgen.tools.sandbox.kept import Kept
from smidgen.tools.sandbox.launch import Launch
from smidgen.tools.sandbox.watch import Processes

START_S = 10.0
"""Within which a sandbox comes up, on a busy computer too."""
NOTE_S = 0.5
"""For which what a sandbox that failed says of itself is waited for."""


class Sandbox:
    """tier: what holds the jobs. prepare: makes a launch of a job."""

    def __init__(self, tier: Tier, prepare: Callable[[Job], Launch]) -> None:
        self.tier: Tier = tier
        self._prepare = prepare

    async def run(self, job: Job) -> Finished:
        """Raises SandboxUnavailable if the sandbox doesn't come up, FileNotFoundError for a workspace that isn't there.
        A program that can't be found or started is a job that failed."""
        launch = self._prepare(job)
        try:
            return await self._run(job, launch)
        finally:
            launch.close()

    async def _run(self, job: Job, launch: Launch) -> Finished:
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
            raise SandboxUnavailable(f"The sandbox can't be started: {error}.") from error
        processes = Processes(transport.get_pid(), 0)
        stopped: Stopped = ""
        try:
            _feed(transport, job.stdin)
            processes = Processes(transport.get_pid(), await _started(launch, transport.get_pid(), streams))
            stopped = await _until_end(streams, processes, job)
        finally:
            await asyncio.shield(_end(streams, processes))
            transport.close()
        status = _status(transport.get_returncode() or 0)
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


async def _started(launch: Launch, pid: int, streams: _Streams) -> int:
    try:
        return await asyncio.wait_for(asyncio.to_thread(launch.started, pid), START_S)
    except (OSError, TimeoutError) as error:
        await asyncio.wait((streams.drained,), timeout=NOTE_S)
        said = streams.errors.text().strip() or str(error) or "it took too long"
        raise SandboxUnavailable(f"The sandbox didn't come up: {said[:300]}.") from error


async def _until_end(streams: _Streams, processes: Processes, job: Job) -> Stopped:
    """Why it was ended, "" if it ended by itself."""
    watched = asyncio.ensure_future(processes.stop_reason(job.limits))
    waited = (streams.exited, watched, streams.flooded)
    try:
        done, _ = await asyncio.wait(waited, timeout=job.limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
        if watched in done:
            return watched.result()
        if streams.flooded in done:
            return "output"
        return "" if streams.exited in done else "time"
    finally:
        watched.cancel()


async def _end(streams: _Streams, processes: Processes) -> None:
    """Nothing of it is left when this returns."""
    await processes.end()
    await asyncio.wait((streams.exited, streams.drained), timeout=START_S)


def _status(code: int) -> int:
    """A signal that ended the program is told as 128 and its number by what stood between."""
    return 128 - code if 128 < code <= 128 + 64 else code
