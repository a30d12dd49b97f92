from pathlib import Path
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import EngineUnavailable, ModelLoadFailed, OutOfMemory
from smidgen.models.hardware import Gpu, Hardware
from smidgen.runtime import installed
from smidgen.runtime.installed import NativeLibrary
from smidgen.runtime.loading import Plan, default_spec, library_of, memory_budget, reduced, usable_gpu
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
