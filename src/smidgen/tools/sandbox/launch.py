"""What a tier makes of a job: the command to start, and what to do once it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from smidgen.tools.sandbox import Tier


class Launch(Protocol):
    """One start. `close` it in any case. descriptors: those that the command inherits beside the three. folder: where
    it is started. root, handle: the process with whose end the kernel ends all others, and a pidfd of it; 0 if there is
    none such, and before `started` has returned."""

    tier: Tier
    argv: Sequence[str]
    variables: Mapping[str, str]
    folder: str
    descriptors: Sequence[int]
    root: int
    handle: int

    def started(self, pid: int) -> None:
        """Called once the command runs; may wait for it, so in a thread. Raises OSError if the sandbox didn't come
        up."""
        ...

    def status(self, code: int) -> int:
        """Of the job, from the exit code of the command."""
        ...

    def close(self) -> None:
        """May wait a moment, so in a thread."""
        ...


class Descriptors:
    """Those that a launch opened, each closed once."""

    def __init__(self) -> None:
        self._open: set[int] = set()

    def holding(self, data: bytes) -> int:
        """One from which this can be read; nothing is on disk."""
        handle = os.memfd_create("smidgen", os.MFD_CLOEXEC)
        self._open.add(handle)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.lseek(handle, 0, os.SEEK_SET)
        return handle

    def pipe(self) -> tuple[int, int]:
        """To read, to write."""
        ends = os.pipe()
        self._open.update(ends)
        return ends

    def close(self, *handles: int) -> None:
        """These; all without."""
        for handle in handles or tuple(self._open):
            if handle in self._open:
                self._open.remove(handle)
                os.close(handle)
