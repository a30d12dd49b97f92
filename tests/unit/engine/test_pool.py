from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.engine.pool import EnginePool, Held, Holding, evictions
from smidgen.errors import EngineUnavailable, InvalidRequest, ModelLoadFailed, OutOfMemory
from smidgen.testing import ScriptedEngine

SIZES = {"small": 10, "medium": 40, "large": 80, "huge": 1000}

holdings = st.dictionaries(
    st.integers(0, 20),
    st.builds(Holding, st.integers(0, 100), st.integers(0, 2), st.floats(0, 1000)),
    max_size=10,
)


@given(holdings, st.integers(0, 200), st.integers(0, 300))
def test_evictions_make_enough_room_and_never_touch_what_is_in_use(held, wanted, budget):
    going = evictions(held, wanted, budget)
    idle = {key for key, holding in held.items() if holding.users == 0}
    taken = sum(holding.bytes for holding in held.values())
    if going is None:
        assert taken - sum(held[key].bytes for key in idle) + wanted > budget, "it could have been made to fit"
        return
    assert set(going) <= idle
    left = taken - sum(held[key].bytes for key in going) + wanted
    assert left <= budget or (not going and taken + wanted <= budget)
    for key in going:
        assert left + held[key].bytes > budget, "one was closed without need"


@given(holdings, st.integers(0, 200))
def test_nothing_goes_if_it_fits(held, wanted):
    assert evictions(held, wanted, sum(holding.bytes for holding in held.values()) + wanted) == ()


def test_least_recently_used_goes_first():
    held = {"old": Holding(10, 0, 1.0), "older": Holding(10, 0, 0.5), "busy": Holding(10, 1, 0.1)}
    assert evictions(held, 10, 30) == ("older",)


class Garage:
    """A pool over scripted engines, which writes down what was opened and closed."""

    def __init__(self, budget: int = 100, **keywords: float) -> None:
        self.log: list[str] = []
        self.fail: set[str] = set()
        self.open_now: dict[str, ScriptedEngine] = {}
        self.most = 0
        self.pool = EnginePool(self.open, SIZES.__getitem__, budget, **keywords)

    async def open(self, key: str) -> ScriptedEngine:
        self.log.append(f"open {key}")
        await asyncio.sleep(0.01)
        if key in self.fail:
            raise ModelLoadFailed(f"{key} is broken.")
        engine = Noted(key, self.closed)
        self.open_now[key] = engine
        self.most = max(self.most, sum(SIZES[name] for name in self.open_now))
        return engine

    def closed(self, key: str) -> None:
        self.log.append(f"close {key}")
        del self.open_now[key]


class Noted(ScriptedEngine):
    def __init__(self, key: str, closed: Callable[[str], None]) -> None:
        super().__init__(name=key)
        self._told = closed

    async def aclose(self) -> None:
        await asyncio.sleep(0.01)
        self._told(self.name)
        await super().aclose()


async def use(garage: Garage, key: str, seconds: float = 0.0) -> None:
    async with garage.pool.lease(key) as engine:
        assert engine.name == key
        await asyncio.sleep(seconds)
        await engine.tokenize(())


async def test_concurrent_leases_of_a_key_load_once_and_it_stays_warm():
    garage = Garage()
    await asyncio.gather(*(use(garage, "small", 0.02) for _ in range(5)))
    await use(garage, "small")
    assert garage.log == ["open small"]


async def test_idle_one_makes_room():
    garage = Garage()
    await use(garage, "medium")
    await use(garage, "small")
    await use(garage, "large")
    assert garage.log == ["open medium", "open small", "close medium", "open large"]
    assert garage.pool.open_keys == ("small", "large")
    assert garage.most <= 100


async def test_busy_one_is_waited_for():
    garage = Garage()
    busy = asyncio.create_task(use(garage, "medium", 0.2))
    await asyncio.sleep(0.05)
    await use(garage, "large")
    await busy
    assert garage.log == ["open medium", "close medium", "open large"]


async def test_no_room_within_the_timeout_says_who_has_it():
    garage = Garage(timeout_s=0.1)
    busy = asyncio.create_task(use(garage, "medium", 0.5))
    await asyncio.sleep(0.05)
    with pytest.raises(OutOfMemory, match="in use: medium") as caught:
        await use(garage, "large")
    assert caught.value.retryable
    await busy


async def test_what_can_never_fit_is_refused_at_once():
    garage = Garage()
    with pytest.raises(OutOfMemory) as caught:
        await use(garage, "huge")
    assert not caught.value.retryable
    assert caught.value.details == {"needed_bytes": 1000, "available_bytes": 100}


async def test_failed_open_is_everybodys_error_frees_the_room_and_is_tried_again():
    garage = Garage()
    garage.fail = {"large"}
    results = await asyncio.gather(use(garage, "large"), use(garage, "large"), return_exceptions=True)
    assert [type(result) for result in results] == [ModelLoadFailed] * 2
    assert garage.pool.used_bytes == 0
    garage.fail = set()
    await use(garage, "large")
    assert garage.log == ["open large", "open large"]


async def test_cancelled_lease_leaves_the_engine_for_the_next():
    garage = Garage()
    task = asyncio.create_task(use(garage, "small"))
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await use(garage, "small")
    assert garage.log == ["open small"]


async def test_closed_pool_closes_everything_and_refuses():
    garage = Garage()
    await use(garage, "small")
    await use(garage, "medium")
    await garage.pool.aclose()
    assert garage.open_now == {}
    with pytest.raises(EngineUnavailable):
        await use(garage, "small")


async def test_any_traffic_stays_within_the_budget():
    garage = Garage()
    keys = ["small", "medium", "large", "medium", "small", "large"] * 5
    await asyncio.gather(*(use(garage, key, 0.001 * index) for index, key in enumerate(keys)))
    assert garage.most <= 100
    await garage.pool.aclose()


async def test_closing_doesnt_wait_for_an_engine_that_is_being_opened():
    asked = asyncio.Event()

    async def never(key: str) -> ScriptedEngine:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    pool = EnginePool(never, SIZES.__getitem__, 100)

    async def lease() -> None:
        async with pool.lease("small"):
            raise AssertionError("it never opened")

    waiting = asyncio.create_task(lease())
    await asked.wait()
    await pool.aclose()
    with pytest.raises(EngineUnavailable):
        await waiting


async def test_giving_up_making_room_doesnt_end_the_load_of_another():
    opened = asyncio.Event()

    async def slow(key: str) -> ScriptedEngine:
        await opened.wait()
        return ScriptedEngine([])

    pool = EnginePool(slow, SIZES.__getitem__, 100)
    leasing = asyncio.create_task(anext(aiter_of(pool, "large")))
    await asyncio.sleep(0)
    leasing.cancel()  # nobody uses it, but it is being opened
    await asyncio.wait({leasing})
    wanting = asyncio.create_task(anext(aiter_of(pool, "medium")))
    for _ in range(3):
        await asyncio.sleep(0)
    wanting.cancel()
    await asyncio.wait({wanting})
    opened.set()
    async with pool.lease("large") as engine:
        assert isinstance(engine, ScriptedEngine)


async def test_giving_up_making_room_leaves_no_engine_half_closed():
    garage = Garage()
    await use(garage, "medium")
    wanting = asyncio.create_task(use(garage, "large"))
    await asyncio.sleep(0.001)
    wanting.cancel()
    await asyncio.wait({wanting})
    assert garage.pool.used_bytes == SIZES["medium"], "its room isn't free before it is closed"
    await use(garage, "large")
    assert garage.log == ["open medium", "close medium", "open large"]
    assert garage.most <= 100


async def test_whether_a_lease_would_have_to_wait():
    garage = Garage()
    assert not garage.pool.is_open("small")
    opening = asyncio.create_task(use(garage, "small"))
    await asyncio.sleep(0)
    assert not garage.pool.is_open("small")
    await opening
    assert garage.pool.is_open("small")
    closing = asyncio.create_task(garage.pool.aclose())
    await asyncio.sleep(0)
    assert not garage.pool.is_open("small")
    await closing
    assert not garage.pool.is_open("small")


async def until(done: Callable[[], bool], pause: float = 0.001) -> None:
    for _ in range(20_000):
        if done():
            return
        await asyncio.sleep(pause)
    raise AssertionError("it never came to that")


async def closed(garage: Garage, key: str) -> None:
    await until(lambda: key not in garage.pool.open_keys)


def only(garage: Garage) -> Held[str]:
    (held,) = garage.pool.held()
    return held


async def test_an_idle_one_is_closed_after_its_time_and_the_others_stay():
    garage = Garage()
    garage.pool.keep("small", 0.03)
    await asyncio.gather(use(garage, "small"), use(garage, "medium"))
    await closed(garage, "small")
    assert garage.log[-1] == "close small"
    assert garage.pool.open_keys == ("medium",)
    await use(garage, "small")
    await closed(garage, "small")
    await garage.pool.aclose()


async def test_with_no_idle_time_it_goes_when_its_last_user_does():
    garage = Garage()
    garage.pool.keep("small", 0)
    async with garage.pool.lease("small"):
        await use(garage, "small")
        await turns()
        assert garage.log == ["open small"]
    await closed(garage, "small")
    assert garage.log == ["open small", "close small"]


async def test_each_lease_begins_the_idle_time_anew():
    garage = Garage()
    garage.pool.keep("small", 60)
    await use(garage, "small")
    slot = garage.pool._slots["small"]
    first = slot.expiry
    assert first is not None
    async with garage.pool.lease("small"):
        assert first.cancelled() and slot.expiry is None
        assert (only(garage).idle_s, only(garage).closes_in_s) == (0, 60)
    assert slot.expiry is not None and slot.expiry.when() > first.when()
    await garage.pool.aclose()
    assert slot.expiry is None


async def test_what_is_said_of_an_open_one_counts_from_its_last_lease_and_can_be_taken_back():
    garage = Garage()
    await use(garage, "small")
    assert only(garage).closes_in_s is None
    garage.pool.keep("small", 60)
    closes_in_s = only(garage).closes_in_s
    assert closes_in_s is not None and closes_in_s <= 60
    garage.pool.keep("small", None)
    assert only(garage).closes_in_s is None and garage.pool._slots["small"].expiry is None
    await asyncio.sleep(0.02)
    garage.pool.keep("small", 0.01)
    await closed(garage, "small")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_a_time_that_cannot_be_waited_for_is_refused(seconds: float):
    with pytest.raises(InvalidRequest, match="can't be kept"):
        Garage().pool.keep("small", seconds)


async def test_one_that_is_closed_for_idleness_is_not_leased_but_opened_again():
    garage = Garage()
    garage.pool.keep("small", 0)
    await use(garage, "small")
    await until(lambda: only(garage).closing, pause=0)
    assert (garage.pool.is_open("small"), only(garage).closes_in_s) == (False, 0)
    async with garage.pool.lease("small") as engine:
        assert await engine.tokenize(()) == ()
        assert garage.log == ["open small", "close small", "open small"]
    await garage.pool.aclose()


async def test_leases_and_expiries_in_any_order_never_meet_a_closed_engine():
    garage = Garage()
    for key in ("small", "medium", "large"):
        garage.pool.keep(key, 0.001)

    async def often(key: str, pause: float) -> None:
        for _ in range(8):
            async with garage.pool.lease(key) as engine:
                await asyncio.sleep(pause)
                assert garage.open_now[key] is engine
            await asyncio.sleep(pause)

    await asyncio.gather(*(often(key, pause) for key in ("small", "medium", "large") for pause in (0, 0.001, 0.002)))
    for key in ("small", "medium", "large"):
        await closed(garage, key)
    assert garage.open_now == {} and garage.most <= 100


async def test_the_idle_time_of_one_that_nobody_waited_for_begins_when_it_is_open():
    garage = Garage()
    garage.pool.keep("small", 0)
    waiting = asyncio.create_task(use(garage, "small"))
    await turns()
    waiting.cancel()
    await asyncio.wait({waiting})
    held = only(garage)
    assert (held.opening, held.closing, held.users, held.engine) == (True, False, 0, None)
    garage.pool.keep("small", 60)
    slot, gave_up = garage.pool._slots["small"], asyncio.get_running_loop().time()
    await until(lambda: slot.expiry is not None)
    assert slot.expiry is not None and slot.expiry.when() > gave_up + 60
    garage.pool.keep("small", 0)
    await closed(garage, "small")
    assert garage.log == ["open small", "close small"]


async def test_unloading_waits_for_the_users_and_is_said_once():
    garage = Garage()
    assert not await garage.pool.unload("small")
    async with garage.pool.lease("small"):
        unloading = asyncio.create_task(garage.pool.unload("small"))
        await turns()
        assert only(garage).closes_in_s == 0
        await use(garage, "small")
        assert not unloading.done() and garage.log == ["open small"]
    assert await unloading
    assert garage.log == ["open small", "close small"]
    await use(garage, "small")
    await turns()
    assert only(garage).closes_in_s is None
    assert await garage.pool.unload("small")
    assert garage.open_now == {}


async def test_giving_up_waiting_does_not_revoke_an_unload():
    garage = Garage()
    async with garage.pool.lease("small"):
        unloading = asyncio.create_task(garage.pool.unload("small"))
        await turns()
        unloading.cancel()
        await asyncio.wait({unloading})
    await closed(garage, "small")
    assert garage.log == ["open small", "close small"]


async def test_what_is_held_is_told_through_its_life():
    garage = Garage()
    assert garage.pool.held() == ()
    done = asyncio.Event()

    async def use_until_done() -> None:
        async with garage.pool.lease("small"):
            await done.wait()

    using = asyncio.create_task(use_until_done())
    await turns()
    opening = only(garage)
    assert (opening.key, opening.bytes, opening.users) == ("small", 10, 1)
    assert (opening.opening, opening.closing, opening.engine) == (True, False, None)
    await until(lambda: not only(garage).opening)
    assert (only(garage).engine, only(garage).idle_s) == (garage.open_now["small"], 0)
    done.set()
    await using
    await asyncio.sleep(0.002)
    assert (only(garage).users, only(garage).idle_s > 0) == (0, True)
    await use(garage, "medium")
    assert [held.key for held in garage.pool.held()] == ["small", "medium"]
    closing = asyncio.create_task(garage.pool.aclose())
    await turns()
    assert [(held.closing, held.closes_in_s) for held in garage.pool.held()] == [(True, 0)] * 2
    await closing
    assert garage.pool.held() == ()


async def test_closing_the_pool_leaves_no_task_and_no_timer():
    garage = Garage()
    for key, seconds in (("small", 60.0), ("medium", 0.0)):
        garage.pool.keep(key, seconds)
        await use(garage, key)
    slots = [*garage.pool._slots.values()]
    await until(lambda: any(held.closing for held in garage.pool.held()), pause=0)
    await garage.pool.aclose()
    assert [slot.expiry for slot in slots] == [None, None]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert garage.open_now == {}


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def aiter_of(pool: EnginePool[str], key: str):
    async with pool.lease(key) as engine:
        yield engine
