from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.engine.pool import EnginePool, Holding, evictions
from smidgen.errors import EngineUnavailable, ModelLoadFailed, OutOfMemory
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


async def aiter_of(pool: EnginePool[str], key: str):
    async with pool.lease(key) as engine:
        yield engine
