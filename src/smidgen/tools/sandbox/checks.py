"""What a job must be before anything is started for it. Pure but for a look at its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from smidgen.errors import InvalidRequest
from smidgen.tools.sandbox import MIB, Job, places

MOST_BYTES = 128 * 1024
"""Of one argument or variable, which is what Linux takes; all together may be eight times as much."""
MOST_HIDDEN = 500
"""Each takes a mount, and each mount looks at all that are there: half a second for so many."""
LEAST_MEMORY, LEAST_FILES, LEAST_PROCESSES = 64 * MIB, 32, 4
"""With less no program comes up."""


def check(job: Job) -> None:
    """Raises InvalidRequest for a job that can't be run as it is, FileNotFoundError and NotADirectoryError for its
    folder."""
    if not job.argv or not job.argv[0]:
        raise InvalidRequest("A job needs a program.")
    for name in job.variables:
        if not name or "=" in name:
            raise InvalidRequest(f"{name!r} can't be a variable's name.")
    total = sum(_bytes(text) for text in _texts(job))
    if total > 8 * MOST_BYTES:
        raise InvalidRequest(f"The arguments have {total} bytes; {8 * MOST_BYTES} are possible.")
    limits = job.limits
    if limits.memory < LEAST_MEMORY or limits.open_files < LEAST_FILES or limits.processes < LEAST_PROCESSES:
        least = f"{LEAST_MEMORY} bytes of memory, {LEAST_FILES} open files, {LEAST_PROCESSES} processes"
        raise InvalidRequest(f"With so little no program comes up; the least is {least}.")
    if len(job.hidden) > MOST_HIDDEN:
        raise InvalidRequest(
            f"{len(job.hidden)} files are to be hidden from a program; {MOST_HIDDEN} are possible.",
            hint="Give a smaller folder as the workspace, or hide whole folders.",
        )
    for path in job.hidden:
        if job.workspace is None or path.startswith("/") or ".." in path.split("/") or not path:
            raise InvalidRequest(f"{path!r} is no path in a workspace, so it can't be hidden.")
    if job.workspace is not None:
        _check_folder(job.workspace.resolve(strict=True), job.writable)


def _texts(job: Job) -> Iterable[str]:
    yield from job.argv
    yield from job.hidden
    for name, value in job.variables.items():
        yield f"{name}={value}"


def _bytes(text: str) -> int:
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{text[:40]!r} can't be passed to a program: {error.reason}.") from error
    if b"\0" in data:
        raise InvalidRequest(f"{text[:40]!r} holds a zero byte, which no program can be passed.")
    if len(data) >= MOST_BYTES:
        raise InvalidRequest(f"An argument has {len(data)} bytes; {MOST_BYTES - 1} are possible. Pass it as input.")
    return len(data)


def _check_folder(folder: Path, writable: bool) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder.")
    home = places.home()
    if folder == Path("/") or (home is not None and home.is_relative_to(folder)):
        raise InvalidRequest(f"{folder} holds the home folder; a workspace is a folder of its own.")
    if writable:
        for code in places.own_code():
            if folder.is_relative_to(code) or code.is_relative_to(folder):
                raise InvalidRequest(f"{folder} holds what smidgen itself runs, so programs may only read there.")
