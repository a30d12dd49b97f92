"""A job that runs: what it is given to read, what it writes, which limit it runs into, and its end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from functools import cached_property

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import Finished, Job, Limits, Stopped, Tier
from smidgen.tools.sandbox.kept import Kept
from smidgen.tools.sandbox.launch import Launch
from smidgen.tools.sandbox.watch import Processes
from smidgen.tools.threads import in_daemon_thread

START_S = 10.0
"""Within which a sandbox comes up, on a busy computer too."""
HINT = "`smidgen doctor` tries what holds here and tells why."
NOTE_S = 0.5
"""For which what a sandbox that failed says of itself is waited for."""


class Running:
    """Made by `start`; `end` it in any case. exited: the command itself has ended, whoever still holds its output."""

    def __init__(
        self, job: Job, launch: Launch, tier: Tier, streams: _Streams, transport: asyncio.SubprocessTransport
    ) -> None:
        self.tier: Tier = tier
        self.exited = streams.exited
        self._job, self._launch, self._streams, self._transport = job, launch, streams, transport
        self._begun = time.monotonic()
        self._ending: asyncio.Future[None] | None = None

    @classmethod
    async def start(cls, job: Job, launch: Launch, tier: Tier, heard: Callable[[bytes], None] | None = None) -> Running:
        """heard: gets what the command writes to its output, which then isn't kept. Raises SandboxUnavailable if the
        sandbox doesn't come up; nothing of it is left then. Not to be cancelled."""
        streams = _Streams(job.limits, heard)
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
            await in_daemon_thread(launch.close)
            raise SandboxUnavailable(f"The sandbox can't be started: {error}.", hint=HINT) from error
        except BaseException:
            await in_daemon_thread(launch.close)
            raise
        running = cls(job, launch, tier, streams, transport)
        try:
            await running._started()
        except BaseException:
            await running.end()
            raise
        return running

    async def _started(self) -> None:
        launch, pid, streams = self._launch, self._transport.get_pid(), self._streams
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

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Written as the command reads it; what it doesn't read is dropped with it."""
        pipe = self._transport.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport) and not pipe.is_closing():
            pipe.write(data)
            if last:
                pipe.close()

    async def watch(self, seconds: float, until: asyncio.Future[None]) -> Stopped:
        """The limit that the job runs into within so many seconds; "" once it has ended, or `until` is done."""
        watched = asyncio.ensure_future(self._processes.stop_reason(self._job.limits))
        waited = (self._streams.exited, watched, self._streams.flooded, until)
        try:
            done, _ = await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if watched in done:
                return watched.result()
            if self._streams.flooded in done:
                return "output"
            return "" if done else "time"
        finally:
            watched.cancel()

    def processes(self) -> frozenset[int]:
        """Those of the job, by the numbers that they have outside."""
        return self._processes.alive()

    def interrupt(self) -> None:
        """As Ctrl-C at a terminal would, of the command alone."""
        self._signal(signal.SIGINT)

    async def halt(self, own: frozenset[int]) -> bool:
        """The command stands still until `resume`; all but its `own` processes are killed. False if it can't be done:
        then some of them may run on."""
        self._signal(signal.SIGSTOP)
        return await self._processes.halt(self._command, own)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if not self.exited.done():
            self._processes.signal(self._command, number)

    @cached_property
    def _command(self) -> int:
        return self._processes.command()

    async def end(self) -> None:
        """Nothing of it is left when this returns; a second call changes nothing. Cancelled, it goes on by itself."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        try:
            await self._processes.end()
            await asyncio.wait((self._streams.exited, self._streams.drained), timeout=START_S)
            self._transport.close()
        finally:
            await in_daemon_thread(self._launch.close)

    @property
    def _processes(self) -> Processes:
        return Processes(self._transport.get_pid(), self._launch.root, self._launch.handle)

    def finished(self, stopped: Stopped) -> Finished:
        """Once it has ended."""
        code = self._transport.get_returncode()
        status = -signal.SIGKILL if code is None else self._launch.status(code)
        if not stopped and status == -signal.SIGXCPU:
            stopped = "cpu"
        return Finished(
            status=status,
            stopped=stopped,
            output=self._streams.output.text(),
            errors=self._streams.errors.text(),
            output_cut=self._streams.output.cut,
            errors_cut=self._streams.errors.cut,
            seconds=time.monotonic() - self._begun,
            tier=self.tier,
        )


class _Streams(asyncio.SubprocessProtocol):
    """What the command writes, and whether it has ended: `exited` it itself, `drained` whatever held its output too.
    flooded: it has written far more than is kept."""

    def __init__(self, limits: Limits, heard: Callable[[bytes], None] | None) -> None:
        loop = asyncio.get_running_loop()
        self.output, self.errors = Kept(limits.output_bytes), Kept(limits.output_bytes)
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self.flooded: asyncio.Future[None] = loop.create_future()
        self._most = limits.flood_bytes
        self._heard = heard

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1 and self._heard is not None:
            self._heard(data)
            return
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
