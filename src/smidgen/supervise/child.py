"""One worker process: spawn, stderr ring, signals to the group, and what is known of its end.

The child gets one end of a socket pair that nobody else holds; stdout and stderr both go into a ring buffer, which is
always drained, so that noise of native code can neither block it nor reach the message stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import cast

import msgspec

from smidgen.errors import ProtocolError
from smidgen.supervise.frames import Channel
from smidgen.wire import ParentMessage, WorkerMessage

RING_BYTES = 64 * 1024
DRAIN_S = 0.5
"""How long the last output is waited for after the process is gone."""

STACK = re.compile(r"^(?:Fatal Python error: |Traceback \(most recent call last\):|Current thread 0x)", re.MULTILINE)


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended. status: exit status, or -N for signal N. signal: its name, "" for a normal exit. stack: the
    last Python traceback or faulthandler stack in its output, "" if none. output: the tail of stdout and stderr."""

    pid: int
    status: int
    signal: str
    stack: str
    output: str
    seconds: float

    def describe(self) -> str:
        return f"killed by {self.signal}" if self.signal else f"exited with status {self.status}"


def signal_name(status: int) -> str:
    """'SIGSEGV' for -11; "" for an exit status that isn't a signal."""
    if status >= 0:
        return ""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def find_stack(output: str) -> str:
    """The output from the last crash report in it on, without what was printed before."""
    starts = [found.start() for found in STACK.finditer(output)]
    if not starts:
        return ""
    fatal = [at for at in starts if output.startswith("Fatal Python error", at)]
    return output[(fatal or starts)[-1] :].strip()


class _Output(asyncio.SubprocessProtocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ring = bytearray()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.ring += data
        if len(self.ring) > 2 * RING_BYTES:
            del self.ring[:-RING_BYTES]

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.drained.done():
            self.drained.set_result(None)


class Child:
    """A worker process. `start` it once; if that returns, `wait` must be awaited in the end, which reaps it.

    Whoever uses it calls `attach` in time; what came before is kept. pid is 0 before the process exists.
    """

    def __init__(self, module: str) -> None:
        self.pid = 0
        self._module = module
        self._early: list[WorkerMessage] = []
        self._lost_early: list[ProtocolError | None] = []
        self._channel = Channel(self._early.append, self._lost_early.append)
        self._transport: asyncio.SubprocessTransport | None = None
        self._output = _Output()
        self._started = time.monotonic()

    async def start(self) -> None:
        """Start `python -P -m module`. Raises OSError."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._transport = await _start(self._module, theirs, self._output)
            self.pid = self._transport.get_pid()
            await loop.create_connection(lambda: self._channel, sock=ours)
        except BaseException:
            ours.close()
            self.kill()
            raise

    def attach(self, receive: Callable[[WorkerMessage], None], lost: Callable[[ProtocolError | None], None]) -> None:
        """From now on `receive` gets every message and `lost` the end of the socket; at once what came already."""
        self._channel.receive, self._channel.lost = receive, lost
        for message in self._early:
            receive(message)
        for error in self._lost_early:
            lost(error)

    def send(self, message: ParentMessage) -> None:
        self._channel.send(message)

    def abort(self) -> None:
        """Ask for a stack: SIGABRT, which faulthandler answers. Elsewhere than on POSIX the same as `kill`."""
        if sys.platform == "win32":
            self.kill()
        elif self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGABRT)

    def kill(self) -> None:
        """SIGKILL to the process and whatever it started in its group."""
        if self._transport is None:
            return
        if sys.platform == "win32":
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), signal.SIGKILL)

    async def wait(self) -> Exit:
        """The end of the process; sweeps its group, closes all descriptors."""
        await asyncio.shield(self._output.exited)
        seconds = time.monotonic() - self._started
        self.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._output.drained), DRAIN_S)
        self._channel.close()
        status = None
        if self._transport is not None:
            status = self._transport.get_returncode()
            self._transport.close()
        output = bytes(self._output.ring[-RING_BYTES:]).decode("utf-8", "replace")
        return Exit(
            pid=self.pid,
            status=status if status is not None else 0,
            signal=signal_name(status or 0),
            stack=find_stack(output),
            output=output,
            seconds=seconds,
        )


async def _start(module: str, sock: socket.socket, output: _Output) -> asyncio.SubprocessTransport:
    loop = asyncio.get_running_loop()
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1", "PYTHONFAULTHANDLER": "1"}
    # -P: without it `-m` puts the current folder first on sys.path, and a queue.py there would run in the worker.
    command = [sys.executable, "-P", "-m", module, "--parent", str(os.getpid())]
    if sys.platform == "win32":
        # A socket can't be inherited by number there: the child reads what `share` made for its pid from stdin.
        transport, _ = await loop.subprocess_exec(
            lambda: output,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
        )
        pipe = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        pipe.write(sock.share(transport.get_pid()))
        pipe.close()
    else:
        number = sock.fileno()
        transport, _ = await loop.subprocess_exec(
            lambda: output,
            *command,
            "--fd",
            str(number),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            pass_fds=(number,),
            start_new_session=True,
        )
        _no_core_dump(transport.get_pid())
    return transport


def _no_core_dump(pid: int) -> None:
    """A core of a process with a model in memory takes seconds to write, and holds the user's text."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
