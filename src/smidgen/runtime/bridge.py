"""Two ways into one event loop: blocking calls from any thread, and awaits from any other loop.

All engine work of a runtime happens on its home loop: the loop that opened it with `async with`, or else a loop of its
own in a background thread, started by the first call.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, TypeVar

from smidgen.errors import Cancelled, InvalidRequest

T = TypeVar("T")

_END = object()


class Bridge:
    """Runs coroutines and asynchronous generators on the home loop, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def adopt(self) -> None:
        """Make the running loop the home loop, if there is none yet."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()

    def home(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(loop,), name="smidgen", daemon=True)
                thread.start()
                self._loop, self._thread = loop, thread
            return self._loop

    @property
    def started(self) -> bool:
        return self._loop is not None

    @property
    def owns_thread(self) -> bool:
        return self._thread is not None

    @property
    def adopted(self) -> bool:
        """Whether the home loop is somebody else's, and still usable."""
        return self._loop is not None and self._thread is None and not self._loop.is_closed()

    @property
    def is_home(self) -> bool:
        """Whether the caller runs on the home loop."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._loop is None:
            return False
        return running is self._loop

    # --- blocking ---------------------------------------------------------------------------------------------------

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work` on the home loop and block until it is done. Ctrl-C cancels it.

        Raises InvalidRequest when called from inside an event loop, which it would block.
        """
        self._refuse_inside_a_loop()
        future = asyncio.run_coroutine_threadsafe(work(), self.home())
        return self._wait(future)

    def iterate(self, work: Callable[[], AsyncIterator[T]]) -> Generator[T, None, None]:
        """The items of an asynchronous iterator, blocking. Closing the generator closes the iterator."""
        self._refuse_inside_a_loop()
        items: queue.SimpleQueue[Any] = queue.SimpleQueue()

        async def pump() -> None:
            try:
                async with aclosing(_as_generator(work())) as source:
                    async for item in source:
                        items.put(item)
            finally:
                items.put(_END)

        future = asyncio.run_coroutine_threadsafe(pump(), self.home())
        try:
            while (item := items.get()) is not _END:
                yield item
            self._wait(future)
        finally:
            future.cancel()

    # --- from another loop ------------------------------------------------------------------------------------------

    async def await_(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await `work` on the home loop."""
        self.home()
        if self.is_home:
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self.home()))

    async def aiterate(self, work: Callable[[], AsyncIterator[T]]) -> AsyncGenerator[T, None]:
        """The items of an asynchronous iterator that runs on the home loop."""
        self.home()
        if self.is_home:
            async with aclosing(_as_generator(work())) as source:
                async for item in source:
                    yield item
            return
        here = asyncio.get_running_loop()
        items: asyncio.Queue[Any] = asyncio.Queue()

        async def pump() -> None:
            try:
                async with aclosing(_as_generator(work())) as source:
                    async for item in source:
                        here.call_soon_threadsafe(items.put_nowait, item)
            finally:
                here.call_soon_threadsafe(items.put_nowait, _END)

        future = asyncio.run_coroutine_threadsafe(pump(), self.home())
        try:
            while (item := await items.get()) is not _END:
                yield item
            await asyncio.wrap_future(future)
        finally:
            future.cancel()

    # --- end --------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the background thread, if there is one. The bridge can be used again afterwards."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _refuse_inside_a_loop(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise InvalidRequest(
            "This blocking method was called inside a running event loop.",
            hint="Await its asynchronous form instead: the same name with an 'a' in front.",
        )

    def _wait(self, future: Future[T]) -> T:
        try:
            return future.result()
        except FutureCancelled:
            raise Cancelled("The request was cancelled.") from None
        except KeyboardInterrupt:
            future.cancel()
            raise


async def _as_generator(source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """An iterator with `aclose`, which also closes the source where it can be closed."""
    try:
        async for item in source:
            yield item
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
