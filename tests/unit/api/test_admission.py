"""Who is let in, who waits, who is refused: with real waits, but none that a test's outcome hangs on."""

from __future__ import annotations

import asyncio

import pytest

from smidgen.api.admission import LONGEST_HINT_S, Admission
from smidgen.errors import EngineBusy


async def hold(admission: Admission, until: asyncio.Event, order: list[int], number: int) -> None:
    async with admission.turn():
        order.append(number)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_get_their_turn_in_the_order_they_came() -> None:
    admission, order = Admission(1, 10, 0), list[int]()
    gates = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.create_task(hold(admission, gate, order, number)) for number, gate in enumerate(gates)]
    await settle()
    assert order == [0] and (admission.running, admission.waiting) == (1, 3)
    for number, gate in enumerate(gates):
        gate.set()
        await tasks[number]
    assert order == [0, 1, 2, 3] and (admission.running, admission.waiting) == (0, 0)


async def test_a_full_queue_refuses_with_the_time_to_come_back() -> None:
    admission, gate = Admission(1, 1, 0), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, gate, [], number)) for number in range(2)]
    await settle()
    with pytest.raises(EngineBusy) as refused:
        async with admission.turn():
            pass
    assert refused.value.retryable and 1 <= refused.value.details["retry_after_s"] <= LONGEST_HINT_S
    assert admission.refused == 1
    gate.set()
    await asyncio.gather(*tasks)


async def test_nobody_waits_longer_than_allowed() -> None:
    admission, gate = Admission(1, 5, 0.01), asyncio.Event()
    task = asyncio.create_task(hold(admission, gate, [], 0))
    await settle()
    with pytest.raises(EngineBusy, match=r"waited 0\.01 s"):
        async with admission.turn():
            pass
    assert admission.waiting == 0
    gate.set()
    await task


async def test_whoever_gives_up_waiting_leaves_no_gap() -> None:
    admission, gate, order = Admission(1, 5, 0), asyncio.Event(), list[int]()
    first, second, third = (asyncio.create_task(hold(admission, gate, order, number)) for number in range(3))
    await settle()
    second.cancel()
    await settle()
    gate.set()
    await asyncio.gather(first, third)
    assert order == [0, 2] and (admission.running, admission.waiting) == (0, 0)


async def test_a_request_that_fails_frees_its_place() -> None:
    admission = Admission(1, 0, 0)
    with pytest.raises(RuntimeError):
        async with admission.turn():
            raise RuntimeError
    async with admission.turn() as turn:
        assert turn.waited_s >= 0


async def test_a_turn_that_is_given_back_is_somebody_else_s_meanwhile() -> None:
    admission = Admission(1, 5, 0)
    back = asyncio.Event()
    order: list[str] = []

    async def asks() -> None:
        async with admission.turn() as turn:
            async with turn.given_back():
                order.append("asked")
                await back.wait()
            order.append("answered")

    asking = asyncio.create_task(asks())
    await settle()
    async with admission.turn():
        order.append("other")
        back.set()
        await settle()
        assert admission.running == 1
    await asking
    assert order == ["asked", "other", "answered"] and (admission.running, admission.waiting) == (0, 0)


async def test_whoever_gives_up_while_the_turn_is_given_back_takes_none() -> None:
    admission = Admission(1, 5, 0)

    async def asks() -> None:
        async with admission.turn() as turn, turn.given_back():
            await asyncio.Event().wait()

    asking = asyncio.create_task(asks())
    await settle()
    async with admission.turn():
        asking.cancel()
        await asyncio.wait({asking})
    assert (admission.running, admission.waiting) == (0, 0)
    async with admission.turn():
        assert admission.running == 1


async def test_a_queue_of_none_still_lets_in_whoever_finds_a_free_place() -> None:
    admission = Admission(2, 0, 0)
    async with admission.turn(), admission.turn():
        with pytest.raises(EngineBusy):
            async with admission.turn():
                pass
