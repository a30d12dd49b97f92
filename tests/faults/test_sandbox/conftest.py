"""Every tier that this computer can have, tried for real. A tier that isn't there is skipped with its reason."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from smidgen.tools.sandbox import Finished, Job, Limits, Tier
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.probe import candidates

Run = Callable[..., Awaitable[Finished]]
BRIEF = Limits(wall_s=5, cpu_s=2)


def sandbox_of(tier: Tier) -> Sandbox:
    found = next((sandbox for sandbox in candidates() if sandbox.tier == tier), None)
    if found is None:
        pytest.skip(f"{tier} isn't to be had here")
    return found


@pytest.fixture(params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_of(request.param)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "notes.txt").write_text("inside")
    return folder


@pytest.fixture
def python(sandbox: Sandbox, workspace: Path) -> Run:
    """Runs a Python program in the workspace."""

    async def run(source: str, *words: str, limits: Limits = BRIEF, writable: bool = False) -> Finished:
        argv = ("python3", "-I", "-c", source, *words)
        return await sandbox.run(Job(argv=argv, workspace=workspace, limits=limits, writable=writable))

    return run


@pytest.fixture
def marker() -> Iterator[str]:
    """A word to put on command lines. In the end no process with it may be left, seen from outside."""
    word = f"marker-{os.getpid()}-{secrets.token_hex(6)}"
    yield word
    assert not left(word)


def left(marker: str) -> list[psutil.Process]:
    """Processes with this word on their command line, after a moment for the kernel to clear up."""
    until = time.monotonic() + 2
    while (found := running(marker)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def running(marker: str) -> list[psutil.Process]:
    """Processes with this word on their command line."""
    return [process for process in psutil.process_iter(["cmdline", "status"]) if _shows(process, marker)]


def _shows(process: psutil.Process, marker: str) -> bool:
    words = process.info["cmdline"] or []
    return process.info["status"] != psutil.STATUS_ZOMBIE and any(marker in word for word in words)
