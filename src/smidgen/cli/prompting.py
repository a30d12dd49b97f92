"""Reading messages: with editing and a history at a terminal, line by line from a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.cli import terminal

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

QUOTES = '"""'


class Reader:
    """`read()` gives one message, however many lines it has; None at the end of the input."""

    def __init__(self, history: Path) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._history = history
        self._session: PromptSession[str] | None = None
        self._piped = PipedLines(sys.stdin.fileno() if not self.interactive else -1)

    async def read(self) -> str | None:
        """Ctrl-C at the prompt throws the line away."""
        lines: list[str] = []
        while True:
            line = await self._line("> " if not lines else ". ")
            if line is None:
                return "\n".join(lines) if lines else None
            lines.append(line)
            if (message := joined(lines)) is not None:
                return message

    async def _line(self, prompt: str) -> str | None:
        if not self.interactive:
            return await self._piped.line()
        if self._session is None:
            self._session = _session(self._history)
        while True:
            try:
                return await self._session.prompt_async(prompt)
            except KeyboardInterrupt:
                terminal.say("(Ctrl-D leaves)")
            except EOFError:
                return None


class PipedLines:
    """Lines of a descriptor, read in daemon threads that never keep the program from ending."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""
        self._at_end = False

    async def line(self) -> str | None:
        """The next line without its end, None after the last. Bytes that aren't UTF-8 become replacement characters."""
        while b"\n" not in self._read and not self._at_end:
            more = await self._more()
            self._read += more
            self._at_end = not more
        if not self._read:
            return None
        line, _, self._read = self._read.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", errors="replace")

    def _more(self) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[bytes] = loop.create_future()

        def settle(data: bytes) -> None:
            if not result.done():
                result.set_result(data)

        def read() -> None:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:
                data = b""
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(settle, data)

        threading.Thread(target=read, name="stdin", daemon=True).start()
        return result


def joined(lines: list[str]) -> str | None:
    """The message that these lines make, or None while more must follow."""
    if lines[0].lstrip().startswith(QUOTES):
        inside = "\n".join(lines).lstrip()[len(QUOTES) :]
        return inside.rstrip()[: -len(QUOTES)].strip("\n") if inside.rstrip().endswith(QUOTES) else None
    if lines[-1].endswith("\\"):
        return None
    return "\n".join([*(line[:-1] for line in lines[:-1]), lines[-1]])


def _session(history: Path) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        event.current_buffer.insert_text("\n")

    try:
        history.parent.mkdir(parents=True, exist_ok=True)
        history.touch(mode=0o600)
        kept = FileHistory(str(history))
    except OSError as error:
        terminal.say(f"note: the history of this chat can't be kept: {error.strerror or error}.")
        kept = InMemoryHistory()
    return PromptSession(history=kept, key_bindings=keys)
