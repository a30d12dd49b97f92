"""One asynchronous command in one process: what Ctrl-C and SIGTERM do to it, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from smidgen.cli import exits, terminal

T = TypeVar("T")


def run_to_end(work: Callable[[], Coroutine[Any, Any, T]], *, interruptible: bool = True) -> T:
    """Run it and give its result. SIGINT and SIGTERM cancel it, so that it can close what it opened; then raises
    `exits.Stopped`. Without `interruptible` the work deals with SIGINT itself."""

    _tame_logging()

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        received: list[int] = []

        def stop(number: int) -> None:
            received.append(number)
            task.cancel()

        with ExitStack() as handlers:
            handlers.enter_context(on_signal(signal.SIGTERM, lambda: stop(exits.TERMINATED)))
            if interruptible:
                handlers.enter_context(on_signal(signal.SIGINT, lambda: stop(exits.INTERRUPTED)))
            try:
                return await work()
            except asyncio.CancelledError:
                raise exits.Stopped(received[0] if received else exits.INTERRUPTED) from None

    return asyncio.run(guarded())


def _tame_logging() -> None:
    """What the log says of crashes and restarts is told by events here, in better words; SMIDGEN_DEBUG shows both."""
    log = logging.getLogger("smidgen")
    if terminal.debugging():
        logging.basicConfig(level=logging.DEBUG)
    elif not log.handlers:
        log.addHandler(logging.NullHandler())


@contextmanager
def on_signal(number: signal.Signals, handler: Callable[[], object]) -> Generator[None]:
    """Call `handler` in the running loop when the signal comes. Where the platform's loop can't (Windows), Ctrl-C
    stays a KeyboardInterrupt."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(number)
    try:
        loop.add_signal_handler(number, handler)
    except (NotImplementedError, RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
        if callable(before):
            signal.signal(number, before)
