"""However a job ends, nothing of it is left: looked at from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from tests.faults.test_sandbox.conftest import Run, left

from smidgen.tools.sandbox import MIB, Job, Limits
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.groups import parents

DAEMON = """
import os, sys, time
if os.fork() == 0:
    try:
        os.setsid()
    except OSError:
        pass
    if os.fork() == 0:
        time.sleep(600)
print("started", flush=True)
"""
BOMB = """
import os, sys
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


async def test_a_daemon_ends_with_its_job(python: Run, marker: str) -> None:
    finished = await python(DAEMON, marker)
    assert "started" in finished.output
    assert finished.seconds < 4


async def test_a_fork_bomb_is_held(python: Run, marker: str) -> None:
    finished = await python(BOMB, marker, limits=Limits(wall_s=1.5, processes=32))
    assert finished.stopped in ("time", "processes")
    assert finished.seconds < 10


async def test_a_program_that_ignores_signals_is_ended_in_time(python: Run, marker: str) -> None:
    source = """
import signal, time
for number in (1, 2, 15, 24):
    signal.signal(number, signal.SIG_IGN)
print("on", flush=True)
while True:
    time.sleep(1)
"""
    finished = await python(source, marker, limits=Limits(wall_s=1))
    assert (finished.stopped, finished.status, finished.output) == ("time", -signal.SIGKILL, "on\n")


async def test_processor_time_is_bounded(python: Run, marker: str) -> None:
    finished = await python("while True: pass", marker, limits=Limits(wall_s=20, cpu_s=1))
    assert finished.stopped == "cpu"
    ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    finished = await python(ignoring, marker, limits=Limits(wall_s=20, cpu_s=1))
    assert finished.status == -signal.SIGKILL and finished.seconds < 15


async def test_ten_gigabytes_of_output_are_cut(sandbox: Sandbox, marker: str) -> None:
    tracemalloc.start()
    try:
        argv = ("python3", "-c", "import sys\nfor _ in range(10**4): sys.stdout.write('x' * 10**6)", marker)
        finished = await sandbox.run(Job(argv=argv, limits=Limits(wall_s=60)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert finished.stopped == "output"
    assert finished.output_cut > 10 * MIB and len(finished.output) < 70_000
    assert peak < 16 * MIB


async def test_one_that_waits_for_input_gets_its_end(python: Run) -> None:
    finished = await python("import sys; print(repr(sys.stdin.read()))")
    assert finished.output == "''\n"


async def test_input_that_nobody_reads_is_dropped(sandbox: Sandbox) -> None:
    finished = await sandbox.run(Job(argv=("true",), stdin=b"x" * (8 * MIB)))
    assert finished.ok


async def test_a_job_that_is_cancelled_is_ended(python: Run, marker: str) -> None:
    job = asyncio.ensure_future(python("import time; time.sleep(600)", marker))
    await asyncio.sleep(0.6)
    assert left(marker)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert not left(marker)


def test_a_job_ends_with_the_program_that_asked_for_it(sandbox: Sandbox, marker: str) -> None:
    source = f"""
import asyncio, sys
from smidgen.tools.sandbox import Job
from smidgen.tools.sandbox.probe import candidates
box = next(box for box in candidates() if box.tier == {sandbox.tier!r})
print("on", flush=True)
asyncio.run(box.run(Job(argv=("python3", "-c", "import time; time.sleep(600)", sys.argv[1]))))
"""
    with subprocess.Popen([sys.executable, "-c", source, marker], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        time.sleep(1.0)
        assert len(left(marker)) > 1
        parent.kill()
    assert not left(marker)


async def test_descriptors_and_groups_are_given_back(sandbox: Sandbox) -> None:
    await sandbox.run(Job(argv=("true",)))
    before = _descriptors()
    for _ in range(20):
        await sandbox.run(Job(argv=("true",)))
    assert _descriptors() <= before + 1
    assert not [folder for parent in parents() for folder in parent.glob(f"smidgen-{os.getpid()}-*")]


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
