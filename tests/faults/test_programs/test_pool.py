"""Warm interpreters: each for one program, and none left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.faults.test_programs.conftest import alive
from tests.faults.test_sandbox.conftest import left

from smidgen.errors import InvalidRequest, SandboxUnavailable, ToolFailed
from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.programs.pool import Pool
from smidgen.tools.sandbox.box import Sandbox


class Made:
    """Starts interpreters for pools, and keeps them in mind."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.interpreters: list[Interpreter] = []
        self.problem: Exception | None = None
        self.pools: list[Pool] = []

    def pool(self, **settings: Any) -> Pool:
        self.pools.append(Pool(self._start, **settings))
        return self.pools[-1]

    async def _start(self) -> Interpreter:
        if self.problem is not None:
            raise self.problem
        self.interpreters.append(await Interpreter.start(self._sandbox))
        return self.interpreters[-1]

    def alive(self) -> list[Interpreter]:
        return [one for one in self.interpreters if not one.gone]

    async def until_alive(self, number: int) -> None:
        for _ in range(200):
            if len(self.alive()) != number:
                await asyncio.sleep(0.01)
        assert len(self.alive()) == number


@pytest.fixture
async def made(sandbox: Sandbox) -> AsyncIterator[Made]:
    found = Made(sandbox)
    yield found
    for pool in found.pools:
        await pool.aclose()
    for interpreter in found.interpreters:
        assert interpreter.gone and not alive(interpreter)


async def test_each_program_finds_nothing_of_the_one_before(made: Made, marker: str) -> None:
    pool = made.pool(size=2)
    leave = f"""
import os, subprocess, tempfile
x = 1
open(os.environ["TMPDIR"] + "/left", "w").close()
os.environ["LEFT"] = "1"
subprocess.Popen(["python3", "-c", "import time; time.sleep(600)", {marker!r}])
os.getpid()
"""
    look = "import os\n('x' in globals(), 'left' in os.listdir(os.environ['TMPDIR']), os.environ.get('LEFT'))"
    for _ in range(3):
        assert (await pool.run(leave)).ok
        assert (await pool.run(look)).value == "(False, False, None)"
    results = await asyncio.gather(*(pool.run(f"{number} * 2") for number in range(8)))
    assert [result.value for result in results] == [str(2 * number) for number in range(8)]
    assert len(set(map(id, made.interpreters))) == len(made.interpreters) >= 14
    await made.until_alive(2)
    assert not left(marker)


async def test_it_is_filled_again_and_never_beyond(made: Made) -> None:
    pool = made.pool(size=2)
    await asyncio.gather(pool.fill(), pool.fill(), pool.fill())
    assert len(made.interpreters) == 2
    taken = await pool.take()
    assert (await taken.execute("x = 1\nx")).value == "1"
    assert (await taken.execute("x")).value == "1"
    await made.until_alive(3)
    await taken.end()
    # One that has ended unseen is not handed out, and what it held is given back.
    for interpreter in made.alive():
        for process in alive(interpreter):
            process.kill()
    await made.until_alive(0)
    assert (await pool.run("'fresh'")).value == "'fresh'"
    await made.until_alive(2)
    for code in ("import os; os._exit(1)", "while True: pass"):
        assert (await pool.run(code, seconds=0.2)).stopped in ("exit", "time")
    with pytest.raises(InvalidRequest):
        await pool.run("'\ud800'")
    await made.until_alive(2)


async def test_those_that_nobody_takes_end(made: Made) -> None:
    pool = made.pool(size=1, idle_s=0.3)
    assert (await pool.run("1")).ok
    await made.until_alive(1)
    await made.until_alive(0)
    assert (await pool.run("1")).ok


async def test_where_none_can_be_started_whoever_asks_is_told(made: Made) -> None:
    pool = made.pool(size=1)
    await pool.fill()
    made.problem = SandboxUnavailable("not now")
    assert (await pool.run("1")).ok  # the one that was warm
    for _ in range(2):
        with pytest.raises(SandboxUnavailable, match="not now"):
            await pool.run("1")
        with pytest.raises(SandboxUnavailable, match="not now"):
            await pool.fill()
    made.problem = None
    assert (await pool.run("1")).ok
    await made.until_alive(1)


@pytest.mark.parametrize("after_ms", [0, 3, 30, 80])
async def test_it_may_be_closed_and_cancelled_at_any_moment(made: Made, after_ms: int) -> None:
    pool = made.pool(size=2)
    runs = [asyncio.ensure_future(pool.run("import time\ntime.sleep(60)")) for _ in range(3)]
    filling = asyncio.ensure_future(pool.fill())
    await asyncio.sleep(after_ms / 1000)
    runs[0].cancel()
    await pool.aclose()
    results = await asyncio.gather(*runs, filling, return_exceptions=True)
    for result in results[:3]:
        assert isinstance(result, asyncio.CancelledError | ToolFailed) or result.stopped == "exit"
    assert not made.alive()
    for again in (pool.run("1"), pool.take()):
        with pytest.raises(ToolFailed, match="closed"):
            await again
    await pool.fill()
    await pool.aclose()
    assert not made.alive()
