"""The desk with a supervisor that only notes what it is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smidgen.engine import desk as room
from smidgen.engine import together
from smidgen.engine.desk import Desk
from smidgen.engine.job import Generation
from smidgen.engine.quarantine import CLEARED_AFTER
from smidgen.engine.together import LONGEST_S, Arrivals, current
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
    return asked(desk)


def asked(desk: Desk) -> Generation:
    job = Generation(desk.number(), asyncio.get_running_loop().time(), GenerateRequest(prompt=(Segment("Hi"),)))
    desk.accept(job)
    return job


def told(desk: Desk, job: Generation, times: int) -> None:
    for number in range(times):
        desk.received(Step(number=number, decoded=1, chunks=(Chunk(id=job.wire_id, tokens=IN_ONE_STEP, text="x"),)))


def crash_and_replace(desk: Desk) -> None:
    desk.crashed(CRASH)
    desk.opened(INFO)


async def test_requests_that_come_together_are_sent_together(desk: Desk) -> None:
    desk.opened(INFO)
    arrivals = Arrivals()
    with arrivals.one() as first, arrivals.one() as second:
        for arrival, sent in ((first, 0), (second, 2)):
            current.set(arrival)
            asked(desk)
            assert desk.sent == sent


async def test_a_request_does_not_wait_for_one_that_never_comes(desk: Desk) -> None:
    desk.opened(INFO)
    arrivals = Arrivals()
    with arrivals.one() as first, arrivals.one():
        current.set(first)
        asked(desk)
        assert desk.sent == 0
        await asyncio.sleep(2 * LONGEST_S)
        assert desk.sent == 1


async def test_a_request_that_comes_alone_or_to_a_busy_worker_does_not_wait(desk: Desk) -> None:
    desk.opened(INFO)
    arrivals = Arrivals()
    with arrivals.one():
        asked(desk)
        assert desk.sent == 1
    with arrivals.one() as second, arrivals.one():
        current.set(second)
        asked(desk)
    assert desk.sent == 2


async def test_requests_that_wait_elsewhere_are_not_expected(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "FRESH_S", -1.0)
    desk.opened(INFO)
    arrivals = Arrivals()
    with arrivals.one() as first, arrivals.one():
        current.set(first)
        asked(desk)
    assert desk.sent == 1


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
