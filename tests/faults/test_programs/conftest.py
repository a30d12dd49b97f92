"""Interpreters in every tier that this computer can have. However a test goes, none is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import psutil
import pytest
from tests.faults.test_sandbox.conftest import marker, sandbox, sandbox_of, workspace

from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.sandbox import MIB, Limits
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.probe import candidates

__all__ = ["marker", "sandbox", "sandbox_of", "workspace"]

Start = Callable[..., Awaitable[Interpreter]]
BRIEF = Limits(wall_s=2.0, cpu_s=20.0, memory=512 * MIB, file_bytes=4 * MIB, processes=32)


@pytest.fixture
def strongest() -> Sandbox:
    """For what doesn't depend on what holds it."""
    found = candidates()
    if not found:
        pytest.skip("nothing holds programs here")
    return found[0]


@pytest.fixture
async def start(sandbox: Sandbox, workspace: Path) -> AsyncIterator[Start]:
    """Starts interpreters in the workspace; those that are left in the end are ended."""
    started: list[Interpreter] = []

    async def one(limits: Limits = BRIEF, writable: bool = False, hidden: tuple[str, ...] = ()) -> Interpreter:
        started.append(await Interpreter.start(sandbox, workspace, writable=writable, hidden=hidden, limits=limits))
        return started[-1]

    yield one
    for interpreter in started:
        await interpreter.end()
        assert not alive(interpreter)


@pytest.fixture
async def python(start: Start) -> Interpreter:
    return await start()


def alive(interpreter: Interpreter) -> list[psutil.Process]:
    """Its processes, seen from outside, but for those that are dead and not buried."""
    return living(interpreter._running.processes())


def living(pids: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                found.append(process)
        except psutil.Error:
            continue
    return found
