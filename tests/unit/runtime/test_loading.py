import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import Cancelled, EngineUnavailable, ModelLoadFailed, OutOfMemory, UnknownModel
from smidgen.models.hardware import Gpu, Hardware
from smidgen.runtime import installed, loading
from smidgen.runtime.installed import NativeLibrary
from smidgen.runtime.loading import (
    Loader,
    Plan,
    address_space,
    default_spec,
    library_of,
    memory_budget,
    reduced,
    usable_gpu,
)
from smidgen.testing import ScriptedEngine
from smidgen.wire import LoadOptions

INFO = "CPU : SSE3 = 1 | AVX = 1 | AVX512 = 0 | REPACK = 1 | CUDA : ARCHS = 900 | USE_GRAPHS = 1 | "


def hardware(*gpus: Gpu) -> Hardware:
    return Hardware(
        physical_cores=2,
        logical_cores=4,
        cpu_quota=0.0,
        total_bytes=8 << 30,
        available_bytes=4 << 30,
        memory_limit=0,
        swap_bytes=0,
        cpu_name="a processor",
        simd=(),
        gpus=gpus,
        disk_free_bytes=1 << 40,
        system="Linux",
        machine="x86_64",
    )


CARD = Gpu(kind="cuda", name="A card", total_bytes=8 << 30, free_bytes=8 << 30)


def library(monkeypatch: pytest.MonkeyPatch, told: NativeLibrary) -> None:
    monkeypatch.setattr("smidgen.runtime.installed.native_library", lambda: told)


def test_a_gpu_that_the_library_can_use_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, NativeLibrary(gpu_offload=True))
    assert usable_gpu(Config(), hardware(CARD)) == ("auto", ())


@pytest.mark.parametrize("told", [NativeLibrary(), NativeLibrary(problem="it is not installed")])
def test_a_gpu_that_the_library_cannot_use_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, told: NativeLibrary
) -> None:
    library(monkeypatch, told)
    gpu, notices = usable_gpu(Config(), hardware(CARD))
    assert gpu == "off"
    assert [notice.code for notice in notices] == ["gpu_unused"]
    assert "A card" in notices[0].message
    assert (told.problem or "without GPU support") in notices[0].message


def test_without_a_gpu_or_if_it_is_switched_off_the_library_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.runtime.installed.native_library", None)
    assert usable_gpu(Config(), hardware()) == ("off", ())
    assert usable_gpu(Config(gpu="off"), hardware(CARD)) == ("off", ())


def plan(**options: Any) -> Plan:
    return Plan(name="m", options=LoadOptions(path="m.gguf", **options), bytes=100)


def test_trouble_with_the_gpu_falls_back_to_the_processor_whatever_it_was() -> None:
    for error in (ModelLoadFailed("No."), EngineUnavailable("Died."), OutOfMemory("Full.")):
        smaller = reduced(plan(gpu_layers=9), error)
        assert smaller is not None
        assert (smaller.options.gpu_layers, smaller.notices[-1].code) == (0, "gpu_given_up")
        assert error.message in smaller.notices[-1].message


def test_short_memory_halves_the_context_down_to_the_smallest() -> None:
    contexts: list[int] = []
    current: Plan | None = plan(context=4096)
    while current is not None:
        contexts.append(current.options.context)
        current = reduced(current, OutOfMemory("Full."))
    assert contexts == [4096, 2048, 1024, 512]


@pytest.mark.parametrize("error", [ModelLoadFailed("No."), EngineUnavailable("No."), OutOfMemory("x", retryable=True)])
def test_what_a_smaller_context_would_not_help_is_not_tried_again(error: Any) -> None:
    assert reduced(plan(), error) is None


def test_the_budget_is_the_configured_one_or_a_share_of_what_is_free() -> None:
    assert memory_budget(Config(memory=5), 1000) == 5
    assert 0 < memory_budget(Config(), 1000) < 1000


def test_the_default_model_is_the_configurations_then_the_stores_then_the_catalogues(tmp_path: Path) -> None:
    config = Config(home=str(tmp_path))
    chosen = library_of(config)
    assert default_spec(config) == chosen.catalog.default
    chosen.set_default("smollm2-135m")
    assert default_spec(config) == "smollm2-135m"
    assert default_spec(Config(home=str(tmp_path), model="other")) == "other"


def test_features_are_those_of_the_processor_that_are_on() -> None:
    told = NativeLibrary(features=INFO, devices=("CUDA0: A card", "CPU: a processor"), gpu_offload=True)
    assert told.cpu_features == ("SSE3", "AVX", "REPACK")
    assert told.gpus == ("CUDA0: A card",)


def test_a_library_that_does_not_load_is_a_problem_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_ASK", "raise OSError('libllama.so is missing')")
    told = installed.native_library.__wrapped__()
    assert "libllama.so is missing" in told.problem
    monkeypatch.setattr(installed, "_ASK", "import os; os._exit(9)")
    assert "status 9" in installed.native_library.__wrapped__().problem


def test_the_library_is_asked_in_a_process_that_imports_nothing_from_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(installed, "_ASK", "import json; print(json.dumps({'version': 'b1'}))")
    assert installed.native_library.__wrapped__() == NativeLibrary(version="b1")


def test_the_address_space_is_bounded_generously_and_only_where_no_driver_needs_it() -> None:
    limit = address_space(1 << 30, 2 << 30, hardware())
    assert limit > (1 << 30) + 2 * (2 << 30) + (8 << 30)
    assert address_space(1 << 30, 2 << 30, hardware(CARD)) == 0
    assert address_space(1 << 30, 2 << 30, msgspec.structs.replace(hardware(), system="Windows")) == 0


class Opened(ScriptedEngine):
    info = None

    def __init__(self, name: str, log: list[str], may_close: asyncio.Event) -> None:
        super().__init__(name=name)
        self._log = log
        self._may_close = may_close
        log.append(f"open {name}")

    async def aclose(self) -> None:
        await self._may_close.wait()
        self._log.append(f"close {self.name}")


class Spare:
    def __init__(self) -> None:
        self.done: list[str] = []

    def kill(self) -> None:
        self.done.append("killed")

    async def wait(self) -> None:
        self.done.append("reaped")


class Bench:
    """A loader whose models take 40 of the bytes that are available, which shrink by what is loaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}
        self.budgets: list[int] = []
        self.prepared: list[str] = []
        self.starts: list[str] = []
        self.contexts: list[int] = []
        self.full: asyncio.Event | None = None
        """The next start fails for want of memory when it is set."""
        self.opened = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.available = 100
        self.spares: list[Spare] = []
        self.fails = False
        self.loader = Loader(Config(home="nowhere"), cast("Any", SimpleNamespace(ensure=self.ensure)))
        monkeypatch.setattr(loading, "prepared", self.prepare)
        monkeypatch.setattr(self.loader, "_start", self.start)
        monkeypatch.setattr(self.loader, "_started_worker", self.spare)

    def ensure(self, spec: str, progress: Callable[[object], None]) -> str:
        self.progress = progress
        return spec

    def prepare(self, spec: Any, config: Config, budget: Callable[[int], int], copied: object) -> Any:
        self.prepared.append(spec)
        if spec in self.gates:
            self.begun[spec].set()
            self.gates[spec].wait(20)
        self.budgets.append(budget(self.available))
        known = SimpleNamespace(file=SimpleNamespace(name=spec), profile=None, template=SimpleNamespace(notices=()))
        return known, Plan(name=spec, options=LoadOptions(path=spec), bytes=60)

    async def start(self, plan: Plan) -> Opened:
        self.starts.append(plan.name)
        self.contexts.append(plan.options.context)
        if self.full is not None:
            full, self.full = self.full, None
            await full.wait()
            raise OutOfMemory("Full.")
        self.available -= plan.bytes
        if self.fails:
            raise ModelLoadFailed("No.")
        self.opened.set()
        return Opened(plan.name, self.log, self.may_close)

    async def spare(self) -> Spare:
        self.spares.append(Spare())
        return self.spares[-1]

    async def use(self, spec: str) -> None:
        async with self.loader.lease(spec):
            self.log.append(f"use {spec}")

    def hold(self, spec: str) -> threading.Event:
        self.gates[spec], self.begun[spec] = threading.Event(), threading.Event()
        return self.gates[spec]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_an_idle_model_makes_room_for_the_next_which_is_planned_with_the_whole_budget(bench: Bench) -> None:
    await bench.use("a")
    await bench.use("b")
    assert bench.budgets == [90, 90]
    assert bench.log == ["open a", "use a", "close a", "open b", "use b"]


async def test_a_loaded_model_is_leased_while_another_is_being_prepared(bench: Bench) -> None:
    await bench.use("a")
    gate = bench.hold("b")
    other = asyncio.create_task(bench.use("b"))
    try:
        await asyncio.to_thread(bench.begun["b"].wait, 20)
        await asyncio.wait_for(bench.use("a"), 10)
        assert not other.done()
    finally:
        gate.set()
        await other


async def test_a_model_wanted_twice_at_once_is_prepared_once(bench: Bench) -> None:
    await asyncio.gather(*(bench.use("a") for _ in range(5)))
    assert bench.prepared == ["a"]
    assert len(bench.spares) == 1
    assert bench.log.count("open a") == 1


async def test_a_worker_started_ahead_that_no_model_took_is_ended(bench: Bench) -> None:
    bench.fails = True
    with pytest.raises(ModelLoadFailed):
        await bench.use("a")
    await bench.loader.aclose()
    assert [spare.done for spare in bench.spares] == [["killed", "reaped"]]


async def given_up(bench: Bench, spec: str) -> None:
    """Wait for a model that is held, and give up in the middle of it."""
    waiting = asyncio.create_task(bench.use(spec))
    await asyncio.to_thread(bench.begun[spec].wait, 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_load_that_nobody_waits_for_any_more_goes_on_for_the_next(bench: Bench) -> None:
    gate = bench.hold("a")
    await given_up(bench, "a")
    gate.set()
    await asyncio.wait_for(bench.opened.wait(), 20)
    assert bench.log == ["open a"]
    await bench.use("a")
    assert (bench.log, bench.prepared) == (["open a", "use a"], ["a"])
    await bench.loader.aclose()


async def test_whoever_comes_meanwhile_joins_the_load_that_goes_on(bench: Bench) -> None:
    gate = bench.hold("a")
    await given_up(bench, "a")
    others = [asyncio.create_task(bench.use("a")) for _ in range(3)]
    await asyncio.sleep(0)
    others[0].cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*others[1:])
    assert (bench.log, bench.prepared) == (["open a", "use a", "use a"], ["a"])
    assert len(bench.spares) == 1
    await bench.loader.aclose()


async def test_a_model_is_not_evicted_before_those_who_waited_for_it_have_it(bench: Bench) -> None:
    await asyncio.gather(bench.use("a"), bench.use("b"), bench.use("a"))
    assert sorted(bench.starts) == ["a", "b"]
    assert sorted(bench.log) == ["close a", "open a", "open b", "use a", "use a", "use b"] or sorted(bench.log) == [
        "close b", "open a", "open b", "use a", "use a", "use b",
    ]  # fmt: skip
    await bench.loader.aclose()


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_loading_an_evicted_model_again_goes_on_when_who_started_it_gave_up(bench: Bench) -> None:
    await bench.use("a")
    await bench.use("b")
    bench.may_close.clear()
    bench.log.clear()
    first, second = asyncio.create_task(bench.use("a")), asyncio.create_task(bench.use("a"))
    await turns()
    first.cancel()
    await turns()
    assert bench.log == [], "the room isn't free before the other is closed"
    bench.may_close.set()
    await asyncio.wait_for(second, 20)
    assert bench.log == ["close b", "open a", "use a"]
    assert (bench.prepared, len(bench.spares)) == (["a", "b"], 2)
    await bench.loader.aclose()


async def test_an_evicted_model_that_waits_for_room_is_loaded_for_the_next_if_nobody_waits_for_it(bench: Bench) -> None:
    await bench.use("a")
    async with bench.loader.lease("b"):
        bench.log.clear()
        waiting = asyncio.create_task(bench.use("a"))
        await turns()
        waiting.cancel()
        await turns()
        assert bench.log == []
    await turns()
    assert bench.log == ["close b", "open a"]
    await bench.use("a")
    assert bench.log == ["close b", "open a", "use a"]
    await bench.loader.aclose()


async def test_an_evicted_model_that_no_longer_fits_is_tried_smaller_also_without_who_started_it(bench: Bench) -> None:
    await bench.use("a")
    await bench.use("b")
    bench.log.clear()
    bench.contexts.clear()
    bench.full = full = asyncio.Event()
    waiting = asyncio.create_task(bench.use("a"))
    await turns()
    waiting.cancel()
    await turns()
    full.set()
    await turns()
    whole, smaller = bench.contexts
    assert smaller == whole // 2
    assert bench.log == ["close b", "open a"]
    await bench.loader.aclose()


async def test_closing_ends_the_loading_of_an_evicted_model(bench: Bench) -> None:
    await bench.use("a")
    async with bench.loader.lease("b"):
        waiting = asyncio.create_task(bench.use("a"))
        await turns()
        await bench.loader.aclose()
        with pytest.raises(EngineUnavailable, match="closed"):
            await waiting


async def test_a_load_that_fails_fails_for_all_who_wait_and_is_tried_again_by_the_next(bench: Bench) -> None:
    bench.fails = True
    results = await asyncio.gather(*(bench.use("a") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ModelLoadFailed] * 3
    assert bench.starts == ["a"]
    bench.fails, bench.available = False, 100
    await bench.use("a")
    assert bench.log == ["open a", "use a"]
    await bench.loader.aclose()


async def test_closing_ends_what_is_being_got_ready_and_its_download(bench: Bench) -> None:
    gate = bench.hold("a")
    waiting = asyncio.create_task(bench.use("a"))
    try:
        await asyncio.to_thread(bench.begun["a"].wait, 20)
        bench.progress(None)
        await bench.loader.aclose()
        with pytest.raises(EngineUnavailable, match="closed"):
            await waiting
        with pytest.raises(Cancelled):
            bench.progress(None)
    finally:
        gate.set()
    assert [spare.done for spare in bench.spares] == [["killed", "reaped"]]
    assert bench.log == []


def test_a_models_name_is_known_without_fetching_or_reading_it(tmp_path: Path) -> None:
    loader = Loader(Config(home=str(tmp_path / "home")))
    file = tmp_path / "My Model.gguf"
    file.write_bytes(b"not read")
    assert loader.name_of("smollm2-135m") == "smollm2-135m"
    assert loader.name_of(str(file)) == "my-model"
    assert loader.name_of("hf:someone/models/Tiny-Q4.gguf") == "tiny-q4"
    for unknown in ("smolm2-135m", str(tmp_path / "gone.gguf")):
        with pytest.raises(UnknownModel):
            loader.name_of(unknown)
