"""CONTAINS: programs that a model wrote or asked for run in here and nowhere else.

A job gets one folder, read-only unless it may write, a scratch folder that is gone afterwards, no network, no
environment but its own, and limits on everything. What holds it is found out by trying what is forbidden (probe.py):

bubblewrap  namespaces: the job sees nothing else of this computer
landlock    Landlock for files, seccomp for sockets: it sees that other files are there, but can't read them
seatbelt    macOS' own: the same, by a profile that the kernel holds

Where none of them holds, nothing runs.

Whatever ends a job, no process of it is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

Tier = Literal["bubblewrap", "landlock", "seatbelt"]
Stopped = Literal["", "time", "cpu", "memory", "processes", "output"]
"""Which limit ended a job; "" if none did."""
MIB = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """wall_s: seconds for the whole job. cpu_s: processor seconds of each of its processes. memory: bytes of address
    space of each process, and of all together in memory. processes: at once, threads included. file_bytes: of each
    file written, and of the scratch folder where it lies in memory. output_bytes: of each of stdout and stderr that
    are kept; a job that writes more than `flood_bytes` is ended."""

    wall_s: float = 15.0
    cpu_s: float = 10.0
    memory: int = 1024 * MIB
    processes: int = 64
    open_files: int = 256
    file_bytes: int = 32 * MIB
    output_bytes: int = 64 * 1024
    flood_bytes: int = 16 * MIB


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """argv: the program, by name or by absolute path, and its arguments; no shell reads them. workspace: the folder it
    runs in, an empty one if None. writable: may it change files there? hidden: paths in it that can't be read: a file
    can't be opened, a folder is empty. variables: added to a bare environment."""

    argv: tuple[str, ...]
    workspace: Path | None = None
    writable: bool = False
    hidden: tuple[str, ...] = ()
    stdin: bytes = b""
    variables: Mapping[str, str] = {}
    limits: Limits = Limits()


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended. status: its exit status, or -N for signal N. stopped: the limit that ended it. output, errors:
    what it wrote, the beginning and the end if there was too much, and how many bytes were left out between them."""

    status: int
    stopped: Stopped
    output: str
    errors: str
    output_cut: int
    errors_cut: int
    seconds: float
    tier: Tier

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.stopped
