"""Starts a worker: `python -m smidgen.worker --fd N --parent PID`. See smidgen.supervise.child for the other end."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence

from smidgen.errors import ProtocolError, SmidgenError
from smidgen.llama import Backend, OpenBackend
from smidgen.wire import PROTOCOL_VERSION, Hello, Loading, LoadOptions, Open, Opened, OpenFailed
from smidgen.worker.channel import Channel, ParentGone

EXIT_OK = 0
EXIT_CRASHED = 70
PR_SET_PDEATHSIG = 1


def run(open_backend: OpenBackend, argv: Sequence[str]) -> int:
    """Serve one parent until it says Shutdown or goes away. Returns the exit status."""
    faulthandler.enable(all_threads=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    arguments = _parse(argv)
    _die_with(arguments.parent)
    channel = Channel(_connect(arguments.fd))
    try:
        channel.send(Hello(version=PROTOCOL_VERSION, pid=os.getpid()))
        _serve(open_backend, channel)
    except ParentGone:
        return EXIT_OK
    except Exception:
        traceback.print_exc()
        return EXIT_CRASHED
    return EXIT_OK


def _serve(open_backend: OpenBackend, channel: Channel) -> None:
    messages = channel.receive(None)
    first = messages[0]
    if not isinstance(first, Open) or len(messages) > 1:
        raise ProtocolError(f"The first message must be open, not {type(first).__name__.lower()}.")
    if first.version != PROTOCOL_VERSION:
        error = ProtocolError(f"The parent speaks protocol {first.version}, this worker {PROTOCOL_VERSION}.")
        channel.send(OpenFailed(error=error.info()))
        return
    try:
        limit_memory(first.options.memory_limit)
        backend = open_backend(first.options, lambda fraction: channel.send(Loading(fraction=fraction)))
    except SmidgenError as error:
        channel.send(OpenFailed(error=error.info()))
        return
    _decode_until_told(backend, first.options, channel)


def _decode_until_told(backend: Backend, options: LoadOptions, channel: Channel) -> None:
    from smidgen.worker.loop import Loop, Stop

    channel.send(Opened(info=backend.info))
    with contextlib.suppress(Stop):
        Loop(backend, options, channel).run()
    backend.close()


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="smidgen.worker", description="Started by smidgen itself, never by hand.")
    parser.add_argument("--fd", type=int, default=-1, help="inherited socket; -1: shared through standard input")
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    return parser.parse_args(argv)


def _connect(fd: int) -> socket.socket:
    if fd >= 0:
        return socket.socket(fileno=fd)
    if sys.platform == "win32":
        return socket.fromshare(sys.stdin.buffer.read())
    raise ProtocolError("No socket was handed over.")


def _die_with(parent: int) -> None:
    """The kernel kills this process when its parent dies (Linux); elsewhere the closed socket ends the loop."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if sys.platform != "win32" and os.getppid() != parent:
        raise SystemExit(EXIT_OK)


def limit_memory(limit: int) -> None:
    """Bound this process's address space. Takes effect before the model is mapped."""
    if limit > 0 and sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        ceiling = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
