"""A plain function in a thread of its own, which no exit of the process waits for.

`asyncio.to_thread` uses a pool whose threads are joined at exit: one call that was given up, but can't be stopped,
would hold the process for as long as it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any


async def in_daemon_thread(function: Callable[..., Any], /, **arguments: Any) -> Any:
    """Call it there and wait for what it returns or raises. Cancelled, this ends at once, and the thread runs on.

    What a coroutine can't raise without ending more than itself (SystemExit, KeyboardInterrupt, StopIteration) comes as
    RuntimeError. A daemon thread is stopped wherever it is when the process exits.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function, **arguments)
        except (SystemExit, KeyboardInterrupt, StopIteration) as ending:
            error = RuntimeError(f"{type(ending).__name__}: {ending}")
        except Exception as raised:
            error = raised
        # Nobody waits any more where the loop is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name=f"tool {getattr(function, '__name__', '')}".strip(), daemon=True).start()
    return await done
