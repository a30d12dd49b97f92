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

import msgspec
import pytest
from tests.faults.test_sandbox.conftest import Run, left, running

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
    for _ in range(100):
        if running(marker):
            break
        await asyncio.sleep(0.05)
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
asyncio.run(box.run(Job(argv=("python3", "-c", "import os, time; os.fork(); time.sleep(600)", sys.argv[1]))))
"""
    with subprocess.Popen([sys.executable, "-c", source, marker], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        while len(running(marker)) < 3:
            time.sleep(0.05)
        parent.kill()
    assert not left(marker)


@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 8, 16, 32])
async def test_a_job_that_is_cancelled_while_it_starts_never_runs_on(
    sandbox: Sandbox, marker: str, after_ms: int, tmp_path: Path
) -> None:
    source = "import time; open('ran', 'w'); time.sleep(600)"
    argv = ("python3", "-c", source, marker)
    job = asyncio.ensure_future(sandbox.run(Job(argv=argv, workspace=tmp_path, writable=True)))
    await asyncio.sleep(after_ms / 1000)
    job.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert time.monotonic() - begun < 5
    assert not left(marker)


async def test_a_second_cancellation_changes_nothing(python: Run, marker: str) -> None:
    job = asyncio.ensure_future(python("import time; time.sleep(600)", marker))
    await asyncio.sleep(0.3)
    for _ in range(3):
        job.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await job
    assert not left(marker)


@pytest.mark.parametrize("code", [1, 100, 150, 255])
async def test_a_status_is_the_program_s_own(python: Run, code: int) -> None:
    finished = await python(f"raise SystemExit({code})")
    assert (finished.status, finished.stopped) == (code, "")


async def test_a_signal_is_told(python: Run) -> None:
    finished = await python("import os; os.abort()")
    assert finished.status == -signal.SIGABRT


async def test_many_threads_are_too_many(python: Run, marker: str) -> None:
    source = "import threading, time\nfor _ in range(200): threading.Thread(target=time.sleep, args=(60,)).start()"
    finished = await python(source, marker, limits=Limits(wall_s=1.5, processes=32, memory=16 * 1024 * MIB))
    assert not finished.ok
    assert "can't start new thread" in finished.errors or finished.stopped == "processes"


async def test_a_scratch_folder_is_removed_whatever_is_in_it(sandbox: Sandbox, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o500)
    source = f"""
import os
top = os.environ["TMPDIR"]
os.chdir(top)
os.mkdir("links", 0o700)
os.symlink({str(victim)!r}, "links/out")
os.mkdir("closed", 0o700)
open("closed/x", "w").close()
os.umask(0)
os.mkdir("locked", 0)
for _ in range(1500):
    os.mkdir("d")
    os.chdir("d")
print(top)
"""
    finished = await sandbox.run(Job(argv=("python3", "-c", source)))
    assert finished.ok, finished
    assert sandbox.tier == "bubblewrap" or not Path(finished.output.strip()).exists()
    assert victim.stat().st_mode & 0o777 == 0o500


async def test_descriptors_and_groups_are_given_back(sandbox: Sandbox, tmp_path: Path) -> None:
    await sandbox.run(Job(argv=("true",)))
    before = _descriptors()
    for _ in range(20):
        await sandbox.run(Job(argv=("true",)))
    broken = Sandbox(
        sandbox.tier, lambda job: sandbox._prepare(msgspec.structs.replace(job, workspace=tmp_path / "no"))
    )
    for _ in range(5):
        with pytest.raises(FileNotFoundError):
            await broken.run(Job(argv=("true",)))
    assert _descriptors() <= before + 1
    assert not [folder for parent in parents() for folder in parent.glob(f"smidgen-{os.getpid()}-*")]


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
