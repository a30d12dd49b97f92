import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from smidgen.config import Config
from smidgen.engine.local import LocalEngine
from smidgen.engine.pool import Held
from smidgen.errors import (
    Cancelled,
    EngineUnavailable,
    InvalidRequest,
    ModelLoadFailed,
    ModelNotPulled,
    OutOfMemory,
    UnknownModel,
)
from smidgen.models.hardware import Gpu, Hardware
from smidgen.runtime import installed, loading
from smidgen.runtime.held import HeldModel, held_model
from smidgen.runtime.installed import NativeLibrary
from smidgen.runtime.loading import Loader, default_spec, library_of
from smidgen.runtime.planning import Plan, address_space, memory_budget, reduced, usable_gpu
from smidgen.testing import ScriptedEngine, tiny_llama
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
    return Plan(name="m", options=LoadOptions(path="m.gguf", **options), file_bytes=90, bytes=100)


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
    restarts = 2

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
        monkeypatch.setattr(self.loader, "name_of", self.name_of)
        monkeypatch.setattr(loading, "prepared", self.prepare)
        monkeypatch.setattr(self.loader, "_start", self.start)
        monkeypatch.setattr(self.loader, "_started_worker", self.spare)

    def ensure(self, spec: str, progress: Callable[[object], None]) -> str:
        self.progress = progress
        return spec

    def name_of(self, spec: str) -> str:
        if spec == "unknown":
            raise UnknownModel("There is no model called 'unknown'.")
        return Path(spec).stem

    def prepare(self, spec: Any, config: Config, budget: Callable[[int], int], copied: object) -> Any:
        self.prepared.append(spec)
        if spec in self.gates:
            self.begun[spec].set()
            self.gates[spec].wait(20)
        self.budgets.append(budget(self.available))
        name = Path(spec).stem
        file = SimpleNamespace(name=name, path=spec)
        facts = SimpleNamespace(fim=None)
        known = SimpleNamespace(file=file, facts=facts, profile=None, template=SimpleNamespace(notices=()))
        return known, Plan(name=name, options=LoadOptions(path=spec), file_bytes=50, bytes=60)

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


def told(bench: Bench) -> list[tuple[str, bool, int]]:
    return [(model.name, model.loading, model.users) for model in bench.loader.held()]


async def closed(bench: Bench, name: str) -> None:
    for _ in range(20_000):
        if all(model.name != name for model in bench.loader.held()):
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"{name} stays")


async def test_a_model_is_told_from_its_first_request_to_its_end(bench: Bench) -> None:
    assert bench.loader.held() == ()
    gate = bench.hold("a")
    using = asyncio.create_task(bench.use("a"))
    try:
        await asyncio.to_thread(bench.begun["a"].wait, 20)
        assert bench.loader.held() == (HeldModel(name="a", loading=True, fraction=0.0),)
    finally:
        gate.set()
    await using
    await turns()
    open_one = HeldModel(name="a", path="a", file_bytes=50, bytes=60, context=4096, restarts=2)
    assert bench.loader.held() == (open_one,)
    async with bench.loader.lease("a"):
        assert told(bench) == [("a", False, 1)]
    await bench.loader.aclose()
    assert bench.loader.held() == ()


async def test_one_that_waits_for_room_is_told_beside_the_one_that_has_it(bench: Bench) -> None:
    await bench.use("a")
    async with bench.loader.lease("b"):
        bench.loader.keep("a", 60)
        waiting = asyncio.create_task(bench.use("a"))
        await turns()
        assert told(bench) == [("b", False, 1), ("a", True, 0)]
        assert (bench.loader.held()[1].bytes, bench.loader.held()[1].closes_in_s) == (60, 60)
    await waiting
    await bench.loader.aclose()


async def test_the_file_is_told_and_not_the_copy_that_is_opened_and_how_much_of_it_is_loaded() -> None:
    own = Plan(name="m", options=LoadOptions(path="m.gguf", sha256="ab"), file_bytes=5, bytes=100)
    copy = Plan(name="m", options=LoadOptions(path="copy.gguf", sha256="ab"), file_bytes=5, bytes=120, plain=own)
    slot = Held(key=copy, bytes=120, users=1, opening=True, closing=False, idle_s=0, closes_in_s=None, engine=None)
    engine = cast("Any", SimpleNamespace(load_fraction=0.25, restarts=1))
    model = held_model(slot, engine)
    assert (model.path, model.file_bytes, model.bytes, model.sha256) == ("m.gguf", 5, 120, "ab")
    assert (model.loading, model.fraction, model.restarts) == (True, 0.25, 1)
    assert held_model(slot, None).fraction == 0.0


async def test_the_engine_that_is_opened_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loader = Loader(Config(home=str(tmp_path)))
    seen: list[object] = []

    async def refuse(engine: LocalEngine) -> None:
        seen.append(loader._opening[plan()] is engine)
        raise ModelLoadFailed("No.")

    monkeypatch.setattr(LocalEngine, "open", refuse)
    with pytest.raises(ModelLoadFailed):
        await loader._start(plan())
    assert seen == [True] and loader._opening == {}


async def test_what_is_said_of_a_model_before_it_is_loaded_holds_then_and_when_it_is_loaded_again(bench: Bench) -> None:
    bench.loader.keep("a", 0)
    for _ in range(2):
        await bench.use("a")
        await closed(bench, "a")
    assert bench.log == ["open a", "use a", "close a"] * 2
    bench.loader.keep("a", None)
    await bench.use("a")
    await turns()
    assert told(bench) == [("a", False, 0)]
    await bench.loader.aclose()


async def test_a_model_tried_smaller_is_kept_as_long_as_was_said(bench: Bench) -> None:
    bench.loader.keep("a", 60)
    bench.full = asyncio.Event()
    bench.full.set()
    await bench.use("a")
    await turns()
    (model,) = bench.loader.held()
    assert model.context == 2048 and model.closes_in_s is not None
    await bench.loader.aclose()


async def test_a_model_is_meant_by_its_name_or_by_what_it_was_loaded_as(bench: Bench) -> None:
    bench.loader.keep("small", 60)
    await bench.use("/models/small.gguf")
    await turns()
    assert [model.closes_in_s is None for model in bench.loader.held()] == [False]
    bench.loader.keep("small", None)
    assert [model.closes_in_s for model in bench.loader.held()] == [None]
    assert await bench.loader.unload("small")
    assert bench.loader.held() == () and not await bench.loader.unload("/models/small.gguf")
    await bench.use("/models/small.gguf")
    assert await bench.loader.unload("/models/small.gguf")
    await bench.loader.aclose()


async def test_unloading_waits_for_those_who_use_the_model(bench: Bench) -> None:
    async with bench.loader.lease("a"):
        unloading = asyncio.create_task(bench.loader.unload("a"))
        await turns()
        assert not unloading.done() and "close a" not in bench.log
    assert await unloading
    assert bench.log[-1] == "close a"
    await bench.loader.aclose()


async def test_a_model_that_is_unknown_or_was_never_loaded(bench: Bench) -> None:
    assert not await bench.loader.unload("a")
    with pytest.raises(UnknownModel):
        await bench.loader.unload("unknown")
    with pytest.raises(UnknownModel):
        bench.loader.keep("unknown", 5)
    with pytest.raises(InvalidRequest):
        bench.loader.keep("a", -1)
    assert bench.loader.held() == ()


def test_what_is_installed_is_told_without_any_network(tmp_path: Path) -> None:
    loader = Loader(Config(home=str(tmp_path / "home")))
    assert loader.installed() == ()
    file = library_of(Config(home=str(tmp_path / "home"))).pull(str(tiny_llama.write(tmp_path / "tiny.gguf")))
    assert loader.installed() == (file,)
    assert loader.resolve("tiny") == file
    with pytest.raises(ModelNotPulled):
        loader.resolve("smollm2-135m")
    with pytest.raises(UnknownModel):
        loader.resolve("smolm2-135m")
