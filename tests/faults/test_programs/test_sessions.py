"""An interpreter for each conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.faults.test_programs.conftest import BRIEF, alive

from smidgen.errors import SandboxUnavailable, ToolFailed
from smidgen.tools.conversation import conversation
from smidgen.tools.programs import Executed
from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.programs.sessions import MOST, Sessions
from smidgen.tools.sandbox.box import Sandbox

Say = Callable[..., Awaitable[tuple[Executed, bool]]]


class Kept:
    """Sessions, and every interpreter that was made for them."""

    def __init__(self, sandbox: Sandbox, idle_s: float = 60.0) -> None:
        self._sandbox = sandbox
        self.sessions = Sessions(self._start, idle_s)
        self.made: list[Interpreter] = []
        self.problem: Exception | None = None

    async def _start(self) -> Interpreter:
        if self.problem is not None:
            raise self.problem
        self.made.append(await Interpreter.start(self._sandbox, limits=BRIEF))
        return self.made[-1]

    async def say(self, number: int, code: str, seconds: float | None = None) -> tuple[Executed, bool]:
        with conversation(number):
            work = asyncio.ensure_future(self.sessions.execute(code, seconds))
        try:
            return await work
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait((work,))
            raise

    async def value(self, number: int, code: str) -> tuple[str, bool]:
        executed, lost = await self.say(number, code)
        assert executed.ok, executed
        return executed.value, lost

    def alive(self) -> list[Interpreter]:
        return [one for one in self.made if not one.gone]


@pytest.fixture
async def kept(strongest: Sandbox) -> AsyncIterator[Kept]:
    found = Kept(strongest)
    yield found
    await found.sessions.aclose()
    for interpreter in found.made:
        assert interpreter.gone and not alive(interpreter)


async def test_what_is_defined_stays_with_its_conversation(kept: Kept) -> None:
    assert await kept.value(1, "x = 1") == ("", False)
    assert await kept.value(2, "'x' in globals()") == ("False", False)
    assert await kept.value(1, "x") == ("1", False)
    executed, lost = await kept.say(1, "1 / 0")
    assert "ZeroDivisionError" in executed.error and not lost
    executed, _ = await kept.say(1, "while True: pass", 0.2)
    assert (executed.stopped, executed.gone) == ("time", False)
    assert await kept.value(1, "x") == ("1", False)
    assert len(kept.made) == 2
    # Lost, which is told once.
    executed, lost = await kept.say(1, "import os; os._exit(0)")
    assert executed.gone and not lost
    assert await kept.value(1, "'x' in globals()") == ("False", True)
    assert await kept.value(1, "1") == ("1", False)
    for process in alive(kept.made[-1]):
        process.kill()
    await kept.made[-1]._running.exited
    assert await kept.value(1, "2") == ("2", True)
    assert await kept.value(2, "3") == ("3", False)
    await kept.sessions.end(1)
    await kept.sessions.end(99)
    assert await kept.value(1, "4") == ("4", False)  # that one is over, and a new one has nothing to miss
    assert len(kept.alive()) == 2


async def test_of_too_many_the_one_used_longest_ago_ends(kept: Kept) -> None:
    for number in range(MOST):
        await kept.value(number, f"x = {number}")
    assert await kept.value(0, "x") == ("0", False)
    assert await kept.value(MOST, "x = 'new'") == ("", False)
    await asyncio.sleep(0.2)
    assert len(kept.alive()) == MOST
    assert await kept.value(0, "x") == ("0", False)
    assert await kept.value(1, "'x' in globals()") == ("False", True)
    # Those that are at something are left to finish.
    results = await asyncio.gather(
        *(kept.value(number, "import time; time.sleep(0.1); 1") for number in range(MOST + 3))
    )
    assert [value for value, _ in results] == ["1"] * (MOST + 3)
    await kept.value(0, "1")
    await asyncio.sleep(0.2)
    assert len(kept.alive()) == MOST


async def test_those_that_are_idle_end_and_only_those(strongest: Sandbox) -> None:
    kept = Kept(strongest, idle_s=0.5)
    try:
        await kept.value(1, "x = 1")
        assert (await kept.say(2, "import os; os._exit(0)"))[0].gone
        await asyncio.sleep(0.3)
        assert await kept.value(1, "x") == ("1", False)
        assert await kept.value(2, "y = 1") == ("", True)
        await asyncio.sleep(0.3)
        assert await kept.value(1, "x") == ("1", False)
        assert await kept.value(2, "y") == ("1", False)  # not at the hour of the one before it
        await asyncio.sleep(0.8)
        assert not kept.alive()
        assert await kept.value(1, "'x' in globals()") == ("False", True)
    finally:
        await kept.sessions.aclose()
    assert not kept.alive()


async def test_one_after_the_other_in_a_conversation(kept: Kept) -> None:
    await kept.value(1, "log = []")
    step = "log.append('in'); import time; time.sleep(0.05); log.append('out')"
    await asyncio.gather(*(kept.say(1, step) for _ in range(4)))
    assert await kept.value(1, "log == ['in', 'out'] * 4") == ("True", False)
    # What the first does to its interpreter is not the second one's doing.
    first, second, third = await asyncio.gather(
        kept.say(1, "import os, time; time.sleep(0.1); os._exit(0)"), kept.say(1, "x = 2\nx"), kept.say(1, "x")
    )
    assert first[0].gone and not first[1]
    assert (second[0].value, second[1]) == ("2", True)
    assert (third[0].value, third[1]) == ("2", False)
    assert len(kept.alive()) == 1
    waiting = [asyncio.ensure_future(kept.say(1, code)) for code in ("import time; time.sleep(60)", "x", "'after'")]
    await asyncio.sleep(0.1)
    waiting[0].cancel()
    waiting[1].cancel()
    executed, lost = await waiting[2]
    assert (executed.value, lost) == ("'after'", True)
    assert len(kept.alive()) == 1


async def test_one_that_cannot_start_is_told_each_time(kept: Kept) -> None:
    kept.problem = SandboxUnavailable("not now")
    for _ in range(2):
        with pytest.raises(SandboxUnavailable, match="not now"):
            await kept.say(1, "1")
    kept.problem = None
    assert await kept.value(1, "1") == ("1", False)


@pytest.mark.parametrize("after_ms", [0, 10, 100])
async def test_they_may_be_closed_at_any_moment(kept: Kept, after_ms: int) -> None:
    works = [asyncio.ensure_future(kept.say(number % 2, "import time; time.sleep(60)")) for number in range(3)]
    await asyncio.sleep(after_ms / 1000)
    await kept.sessions.end(0)
    await kept.sessions.aclose()
    for result in await asyncio.wait_for(asyncio.gather(*works, return_exceptions=True), 5):
        assert isinstance(result, ToolFailed) or result[0].stopped == "exit"
    assert not kept.alive()
    with pytest.raises(ToolFailed, match="closed"):
        await kept.say(1, "1")
