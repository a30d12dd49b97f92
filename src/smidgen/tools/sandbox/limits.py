"""A job's limits as the kernel's: of a process that is there already, or of this one. Standard library only."""

from __future__ import annotations

import resource

from smidgen.tools.sandbox import Limits


def kernel_limits(limits: Limits) -> dict[int, int]:
    """By the kernel's resource. Cores are never written. Root's number of processes is not held by this: groups.py."""
    return {
        resource.RLIMIT_CPU: max(1, round(limits.cpu_s)),
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_CORE: 0,
    }


def set_limits(pid: int, limits: Limits) -> None:
    """Of a process, and so of whatever it starts; 0 is this one. Lower limits that it has already stay. Raises
    ProcessLookupError."""
    for kind, most in kernel_limits(limits).items():
        hard = resource.prlimit(pid, kind)[1]
        # The signal for too much processor time can be caught; a second later comes the one that can't.
        highest = most + 1 if kind == resource.RLIMIT_CPU else most
        highest = highest if hard == resource.RLIM_INFINITY else min(highest, hard)
        resource.prlimit(pid, kind, (min(most, highest), highest))
