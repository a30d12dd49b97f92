"""When a model is opened from a copy in another layout, and what happens when there can't be one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import Cancelled, EngineUnavailable, OutOfMemory
from smidgen.models.hardware import Gpu, Hardware
from smidgen.models.library import Library, ModelFile
from smidgen.models.relayout import MOST_THREADS
from smidgen.runtime import loading
from smidgen.runtime.layout import MADE, NOT_MADE
from smidgen.runtime.loading import Loader, describe, lay_out, library_of
from smidgen.runtime.planning import Plan, reduced
from smidgen.testing import tiny_llama


class Machine:
    """A computer with one model in its store; `hardware` can be changed."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = Config(home=str(home))
        self.library: Library = library_of(self.config)
        self.store = self.library.store
        self.file: ModelFile = self.library.pull(str(tiny_llama.write(home / "origin" / "tiny.gguf")))
        self.copy = self.store.layout(self.file.sha256)
        self.hardware = Hardware(
            physical_cores=2,
            logical_cores=4,
            cpu_quota=0.0,
            total_bytes=8 << 30,
            available_bytes=4 << 30,
            memory_limit=0,
            swap_bytes=0,
            cpu_name="a processor",
            simd=("avx2",),
            gpus=(),
            disk_free_bytes=1 << 40,
            system="Linux",
            machine="x86_64",
        )
        monkeypatch.setattr("smidgen.models.hardware.probe", lambda: self.hardware)

    def change(self, **fields: Any) -> None:
        self.hardware = msgspec.structs.replace(self.hardware, **fields)

    def load(self, file: ModelFile | None = None, **config: Any) -> Plan:
        """What a runtime's loader plans."""
        loader = Loader(msgspec.structs.replace(self.config, **config))
        return loader._prepare((file or self.file).path)[1]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "home", monkeypatch)


def codes(plan: Plan) -> list[str]:
    return [notice.code for notice in plan.notices if notice.code != "base_model"]


def test_the_first_load_makes_the_copy_and_says_so_and_the_next_opens_it(machine: Machine) -> None:
    first = machine.load()
    assert first.options.path == str(machine.copy) and codes(first) == [MADE]
    assert 'layout = "file"' in first.notices[-1].message
    again = machine.load()
    assert again.options.path == str(machine.copy) and codes(again) == []


def test_the_copy_keeps_the_originals_hash_and_is_planned_with_its_own_size(machine: Machine) -> None:
    plan = machine.load()
    assert plan.plain is not None
    assert (plan.plain.options.path, plan.plain.options.sha256) == (machine.file.path, machine.file.sha256)
    assert plan.options.sha256 == machine.file.sha256
    more = machine.copy.stat().st_size - machine.file.bytes
    assert more > 0 and plan.bytes == plan.plain.bytes + more
    same = dict.fromkeys(("path", "memory_limit"))
    assert msgspec.structs.asdict(plan.options) | same == msgspec.structs.asdict(plan.plain.options) | same
    assert plan.options.memory_limit > plan.plain.options.memory_limit


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({}, {"layout": "file"}),
        ({"simd": ("asimd", "asimddp")}, {}),
        ({"simd": ()}, {}),
        ({"physical_cores": MOST_THREADS + 1}, {}),
        ({}, {"threads": MOST_THREADS + 1}),
    ],
    ids=str,
)
def test_the_file_itself_is_opened_where_a_copy_is_not_wanted(
    machine: Machine, fields: dict[str, Any], config: dict[str, Any]
) -> None:
    machine.change(**fields)
    plan = machine.load(**config)
    assert plan.options.path == machine.file.path and plan.plain is None
    assert not {MADE, NOT_MADE} & set(codes(plan)) and not machine.copy.exists()


def test_where_memory_is_short_the_file_itself_is_opened(machine: Machine) -> None:
    needed = machine.load(layout="file").bytes
    for plan in (machine.load(memory=2 * needed), machine.load(memory=needed)):
        assert plan.options.path == machine.file.path and codes(plan) == [] and not machine.copy.exists()
    assert codes(machine.load(memory=3 * needed)) == [MADE]
    assert machine.load(memory=2 * needed).options.path == machine.file.path, "there, but too large now"


def test_a_gpu_gets_the_file_itself(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.change(gpus=(Gpu(kind="cuda", name="A card", total_bytes=8 << 30, free_bytes=8 << 30),))
    monkeypatch.setattr(loading, "usable_gpu", lambda config, hardware: ("auto", ()))
    plan = machine.load()
    assert plan.options.gpu_layers and plan.options.path == machine.file.path


def test_a_model_without_such_weights_has_no_copy(machine: Machine, tmp_path: Path) -> None:
    other = machine.library.pull(str(tiny_llama.write(tmp_path / "eight.gguf", kind=tiny_llama.Q8_0)))
    plan = machine.load(other)
    assert plan.options.path == other.path and not machine.store.layout(other.sha256).exists()


def test_a_file_used_in_place_gets_a_copy_in_the_store(machine: Machine, tmp_path: Path) -> None:
    own = tiny_llama.write(tmp_path / "own.gguf")
    plan = machine.load(machine.library.resolve(str(own)))
    assert Path(plan.options.path).parent == machine.store.root / "layouts"
    assert list(own.parent.glob("own*")) == [own]


def test_a_disk_without_room_is_a_notice_and_the_file_is_opened(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.models.disk.free_bytes", lambda path: 1000)
    plan = machine.load()
    assert plan.options.path == machine.file.path and plan.plain is None
    assert codes(plan) == [NOT_MADE] and "only 1,000 are free" in plan.notices[-1].message


def test_a_store_that_cannot_be_written_is_a_notice_and_the_file_is_opened(machine: Machine) -> None:
    (machine.store.root / "layouts").write_text("in the way")
    plan = machine.load()
    assert plan.options.path == machine.file.path and codes(plan) == [NOT_MADE]


def test_a_copy_of_another_size_is_made_again(machine: Machine) -> None:
    machine.load()
    whole = machine.copy.read_bytes()
    machine.copy.write_bytes(whole[:-1])
    assert codes(machine.load()) == [MADE] and machine.copy.read_bytes() == whole


async def test_closing_the_runtime_ends_the_making(machine: Machine) -> None:
    loader = Loader(machine.config)
    await loader.aclose()
    with pytest.raises(Cancelled):
        loader._prepare(machine.file.path)
    assert list((machine.store.root / "layouts").glob("*")) == []


@pytest.mark.parametrize("error", [EngineUnavailable("Died."), OutOfMemory("Full.")])
def test_a_copy_that_cannot_be_opened_gives_way_to_the_file(machine: Machine, error: Any) -> None:
    plan = machine.load()
    smaller = reduced(plan, error)
    assert smaller is not None and plan.plain is not None
    assert (smaller.options, smaller.bytes, smaller.plain) == (plan.plain.options, plan.plain.bytes, None)
    assert codes(smaller)[-1] == "copy_given_up" and error.message in smaller.notices[-1].message


def test_looking_at_a_model_makes_nothing_and_says_what_would_be_opened(machine: Machine) -> None:
    told = describe(machine.file, machine.config)
    assert (told["layout"], told["copy_bytes"]) == ("file", 0) and not machine.copy.exists()
    assert "when it is next opened" in told["notices"][-1]
    plain = told["memory_bytes"]
    plan = machine.load()
    told = describe(machine.file, machine.config)
    assert (told["layout"], told["copy_bytes"]) == ("copy", machine.copy.stat().st_size)
    assert told["memory_bytes"] == plan.bytes > plain
    assert told["file_bytes"] == machine.file.bytes and told["path"] == machine.file.path
    switched_off = describe(machine.file, msgspec.structs.replace(machine.config, layout="file"))
    assert (switched_off["layout"], switched_off["copy_bytes"]) == ("file", machine.copy.stat().st_size)


def test_a_pull_lays_out_once(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    off = msgspec.structs.replace(machine.config, layout="file")
    assert lay_out(machine.file, off, machine.library, seen.append) == () and seen == []
    notices = lay_out(machine.file, machine.config, machine.library, seen.append)
    assert [notice.code for notice in notices] == [MADE] and {progress.phase for progress in seen} == {"arranging"}
    seen.clear()
    assert lay_out(machine.file, machine.config, machine.library, seen.append) == () and seen == []


def test_a_pull_of_what_does_not_fit_now_is_still_a_pull(machine: Machine) -> None:
    machine.change(available_bytes=1000)
    assert lay_out(machine.file, machine.config, machine.library, lambda progress: None) == ()


def test_a_pull_that_is_stopped_stops_the_making(machine: Machine) -> None:
    def stop(progress: object) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        lay_out(machine.file, machine.config, machine.library, stop)
    assert list((machine.store.root / "layouts").glob("*")) == []
