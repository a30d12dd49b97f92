"""The former contents of the files that one set of tools wrote, so that its last writes can be taken back.

They are kept in memory: at most 20 of them and 8 MiB. The oldest are forgotten first; how many were, is told.
"""

from __future__ import annotations

import errno
import hashlib
import threading

import msgspec

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.confined import Workspace, components
from smidgen.tools.visible import visible

MAX_STEPS = 20
MAX_KEPT = 8 * 1024 * 1024
"""Bytes of former contents, all together."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


class Step(msgspec.Struct, frozen=True):
    """One write. former: the content before, None if there was no such file. left: size and digest of what it left."""

    parts: tuple[str, ...]
    former: bytes | None
    left: tuple[int, bytes]

    @property
    def path(self) -> str:
        return "/".join(self.parts)


class Written(msgspec.Struct, frozen=True):
    """new: there was no such file. note: why it can't be taken back, "" if it can."""

    new: bool
    note: str = ""


class Journal:
    """Writes through it can be taken back. `alone` is held while a file is read, changed and written."""

    def __init__(self, workspace: Workspace) -> None:
        self.alone = threading.RLock()
        self._workspace = workspace
        self._steps: tuple[Step, ...] = ()  # replaced as a whole, so that it can be read at any time
        self._forgotten = 0

    @property
    def last(self) -> Step | None:
        steps = self._steps
        return steps[-1] if steps else None

    @property
    def rest(self) -> str:
        """What else can be taken back, and what no longer, in words; "" if there was nothing else."""
        said: list[str] = []
        if count := len(self._steps):
            said.append(f"{count} earlier write{'s' if count > 1 else ''} can be taken back too.")
        if count := self._forgotten:
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
                self._forgotten += len(self._steps) + 1
                self._steps = ()
                return Written(new, f"undo_write can't take this back: {missing}.")
            self._keep(Step(components(path), former, _mark(data)))
            return Written(new)

    def undo(self) -> Step:
        """Take the last write back. Raises ToolFailed if the file isn't as that write left it; nothing is done then."""
        with self.alone:
            step = self.last
            if step is None:
                raise ToolFailed(f"There is no write to take back. {self.rest}".strip())
            if self.current(step) is None:
                raise ToolFailed(
                    f"{visible(step.path)} was changed since it was written, so it stays as it is.",
                    hint="Read it; change it by edit_file or write_file.",
                )
            if step.former is None:
                self._workspace.remove(step.parts)
            else:
                self._workspace.write(step.parts, step.former)
            self._steps = self._steps[:-1]
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
        steps = (*self._steps, step)
        while len(steps) > MAX_STEPS or sum(len(kept.former or b"") for kept in steps) > MAX_KEPT:
            steps = steps[1:]
            self._forgotten += 1
        self._steps = steps


def _mark(data: bytes) -> tuple[int, bytes]:
    return len(data), hashlib.sha256(data).digest()
