"""The desk with a supervisor that only notes what it is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smidgen.engine import desk as room
from smidgen.engine.desk import Desk
from smidgen.engine.job import Generation
from smidgen.engine.quarantine import CLEARED_AFTER
from smidgen.events import Failed
from smidgen.messages import GenerateRequest, Segment
from smidgen.supervise.plan import Limits
from smidgen.supervise.supervisor import Crash
from smidgen.testing import FakeBackend
from smidgen.wire import Chunk, LoadOptions, Step

INFO = FakeBackend(LoadOptions(path="fake:")).info
CRASH = Crash(cause="killed by SIGSEGV", signal="SIGSEGV", report="")
IN_ONE_STEP = tuple(range(CLEARED_AFTER + 1))


class Supervisor:
    ready = True

    def __init__(self, *_: Any, **__: Any) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def work(self, count: int) -> None: ...
    def want(self) -> None: ...
    def blame(self) -> None: ...


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(room, "Supervisor", Supervisor)
    options = LoadOptions(path="fake:")
    return Desk("fake", options, limits=Limits(), module="", crash_folder=None, on_notice=None)


def accepted(desk: Desk) -> Generation:
    desk.opened(INFO)
    job = Generation(desk.number(), asyncio.get_running_loop().time(), GenerateRequest(prompt=(Segment("Hi"),)))
    desk.accept(job)
    return job


def told(desk: Desk, job: Generation, times: int) -> None:
    for number in range(times):
        desk.received(Step(number=number, decoded=1, chunks=(Chunk(id=job.wire_id, tokens=IN_ONE_STEP, text="x"),)))


def crash_and_replace(desk: Desk) -> None:
    desk.crashed(CRASH)
    desk.opened(INFO)


async def test_many_tokens_of_one_step_clear_nobody(desk: Desk) -> None:
    job = accepted(desk)
    for _ in range(2):
        assert not job.ended
        told(desk, job, CLEARED_AFTER - 1)
        crash_and_replace(desk)
    assert isinstance((await job.take())[-1], Failed)


async def test_steps_that_were_survived_do(desk: Desk) -> None:
    job = accepted(desk)
    for _ in range(4):
        told(desk, job, CLEARED_AFTER)
        crash_and_replace(desk)
        assert not job.ended and job.wire_id
