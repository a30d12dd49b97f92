"""The former contents of the files that one set of tools wrote, so that its last writes can be taken back: by the
conversation that wrote them, and no other.

They are kept in memory: of a conversation at most 20 of them and 8 MiB, of 32 conversations. The oldest are forgotten
first, and so is the conversation that was at it longest ago; how many were, is told.
"""

from __future__ import annotations

import errno
import hashlib
import threading
from typing import Any

import msgspec

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.confined import Workspace, components
from smidgen.tools.conversation import current_conversation
from smidgen.tools.visible import visible

MAX_STEPS = 20
MAX_KEPT = 8 * 1024 * 1024
"""Bytes of a conversation's former contents, all together."""
MAX_CONVERSATIONS = 32
MAX_COUNTS = 1024
"""Forgotten conversations of which it is known how many writes they had."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class Step(msgspec.Struct, frozen=True):
    """One write. former: the content before, None if there was no such file. left: size and digest of what it left."""

    parts: tuple[str, ...]
    former: bytes | None
    left: tuple[int, bytes]

    @property
    def path(self) -> str:
        return "/".join(self.parts)


class Past(msgspec.Struct, frozen=True):
    """One conversation's writes. told: the last of them when it was asked about, None if there was none, UNSET if it
    never was."""

    steps: tuple[Step, ...] = ()
    forgotten: int = 0
    told: Step | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def last(self) -> Step | None:
        return self.steps[-1] if self.steps else None


class Written(msgspec.Struct, frozen=True):
    """new: there was no such file. note: why it can't be taken back, "" if it can."""

    new: bool
    note: str = ""


class Journal:
    """Writes through it can be taken back. All it says is of the current conversation. `alone` is held while a file is
    read, changed and written."""

    def __init__(self, workspace: Workspace) -> None:
        self.alone = threading.RLock()
        self._workspace = workspace
        self._pasts: dict[int, Past] = {}  # the one used last comes last
        self._counts: dict[int, int] = {}
        self._short = threading.Lock()  # for these two, never held for long: they are read on an event loop

    def asked(self) -> Step | None:
        """The last write, which somebody is told of now: `undo` takes back this one or none."""
        return self._change(asked=True).last

    @property
    def rest(self) -> str:
        """What else can be taken back, and what no longer, in words; "" if there was nothing else."""
        past, said = self._past(), list[str]()
        if count := len(past.steps):
            said.append(f"{count} earlier write{'s' if count > 1 else ''} can be taken back too.")
        if count := past.forgotten:
            said.append(f"{count} older {'writes are' if count > 1 else 'write is'} no longer kept.")
        return " ".join(said)

    def write(self, path: str, data: bytes) -> Written:
        """Raises ToolFailed; nothing was changed then."""
        with self.alone:
            former, missing = self._former(path)
            new = self._workspace.write(path, data)
            if not new and former is None:
                missing = missing or "another program wrote the file at the same time"
            if missing:  # nor can what was before it, in the order of the writes
                past = self._past()
                self._change(steps=(), forgotten=past.forgotten + len(past.steps) + 1)
                return Written(new, f"undo_write can't take this back: {missing}.")
            self._keep(Step(components(path), former, _mark(data)))
            return Written(new)

    def undo(self) -> Step:
        """Take the last write back. Raises ToolFailed if it isn't the one that was asked about, or if the file isn't as
        that write left it; nothing is done then."""
        with self.alone:
            past = self._past()
            step = past.last
            if step is None:
                raise ToolFailed(f"There is no write to take back. {self.rest}".strip())
            if past.told is not msgspec.UNSET and past.told is not step:
                raise ToolFailed(
                    "Another write came in between, or one was taken back, so nothing is done.",
                    hint="Ask again: the last write is another one now.",
                )
            if self.current(step) is None:
                raise ToolFailed(
                    f"{visible(step.path)} was changed since it was written, so it stays as it is.",
                    hint="Read it; change it by edit_file or write_file.",
                )
            if step.former is None:
                self._workspace.remove(step.parts)
            else:
                self._workspace.write(step.parts, step.former)
            self._change(steps=past.steps[:-1])
            return step

    def current(self, step: Step) -> bytes | None:
        """The file's content if it is still what the write left, else None. Raises ToolFailed if it can't be read."""
        try:
            data = self._workspace.read(step.parts, step.left[0])
        except ToolFailed as error:
            if error.details.get("errno") in _GONE:
                return None
            raise
        return data if data is not None and _mark(data) == step.left else None

    def _former(self, path: str) -> tuple[bytes | None, str]:
        """The content now, None if there is none; and why it isn't kept, "" if it is."""
        try:
            data = self._workspace.read(path, MAX_KEPT)
        except ToolFailed as error:
            return None, "" if error.details.get("errno") == errno.ENOENT else "the former content can't be read"
        return data, "" if data is not None else f"the former content has more than {MAX_KEPT} bytes"

    def _keep(self, step: Step) -> None:
        past = self._past()
        steps, forgotten = (*past.steps, step), past.forgotten
        while len(steps) > MAX_STEPS or sum(len(kept.former or b"") for kept in steps) > MAX_KEPT:
            steps = steps[1:]
            forgotten += 1
        self._change(steps=steps, forgotten=forgotten)

    def _past(self) -> Past:
        number = current_conversation()
        with self._short:
            return self._pasts.get(number) or Past(forgotten=self._counts.get(number, 0))

    def _change(self, *, asked: bool = False, **fields: Any) -> Past:
        number = current_conversation()
        with self._short:
            past = self._pasts.pop(number, None) or Past(forgotten=self._counts.pop(number, 0))
            past = msgspec.structs.replace(past, **fields, **({"told": past.last} if asked else {}))
            self._pasts[number] = past
            if len(self._pasts) > MAX_CONVERSATIONS:
                oldest = next(iter(self._pasts))
                gone = self._pasts.pop(oldest)
                if count := gone.forgotten + len(gone.steps):
                    self._counts[oldest] = count
            if len(self._counts) > MAX_COUNTS:
                del self._counts[next(iter(self._counts))]
            return past


def _mark(data: bytes) -> tuple[int, bytes]:
    return len(data), hashlib.sha256(data).digest()
