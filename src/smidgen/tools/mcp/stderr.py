"""The last of what a server wrote to its standard error, kept to be shown when something is wrong with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TextIO

from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.visible import visible

KEPT = 8192
"""Bytes."""
_SETTLES_S = 0.5


class Tail:
    """A pipe and a thread that reads it, so that the server never has to wait for a reader. The thread ends with the
    last program that holds the pipe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = b""
        self._ended = threading.Event()
        self._ended.set()

    @contextmanager
    def open(self) -> Generator[TextIO]:
        """What the server is given. Close it once the server has it."""
        reading, writing = os.pipe()
        self._ended.clear()
        threading.Thread(target=self._read, args=(reading,), name="mcp stderr", daemon=True).start()
        with os.fdopen(writing, "w", encoding="utf-8") as stream:
            yield stream

    def text(self, characters: int = KEPT) -> str:
        """So many of the last ones, so that nothing in them can hide; "" if there are none."""
        with self._lock:
            kept = self._kept
        told = visible(kept.decode("utf-8", errors="replace").strip(), keep="\n\t")
        return told if len(told) <= characters else f"…{told[-characters:]}"

    async def settled(self) -> None:
        """Of a server that has ended: until all of it is read, or half a second has passed."""
        if not self._ended.is_set():
            await in_daemon_thread(self._ended.wait, timeout=_SETTLES_S)

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as source:
            while data := source.read(KEPT):
                with self._lock:
                    self._kept = (self._kept + data)[-KEPT:]
        self._ended.set()
