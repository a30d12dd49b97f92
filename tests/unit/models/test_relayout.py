"""The same numbers in other blocks, and copies of model files that are whole or not there."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import DiskFull, InvalidModelFile, StoreUnwritable, UnknownModel
from smidgen.events import Notice
from smidgen.models import copies, disk, gguf
from smidgen.models.convert.quantize import q8_0_of_q5_0
from smidgen.models.library import Library
from smidgen.models.relayout import LEAST_SHARE, MOST_THREADS, Relayout, helps, plan, write
from smidgen.models.sources import Progress
from smidgen.models.store import Store

F32, Q4_0, Q5_0, Q8_0 = 0, 2, 6, 8
Save = Callable[..., Path]


# --- the numbers ----------------------------------------------------------------------------------------------------


def numbers_of_q5_0(block: bytes) -> list[float]:
    """As ggml's dequantize_row_q5_0 does it: low and high half of each byte, the fifth bit from a field of 32."""
    scale, high = struct.unpack("<eI", block[:6])
    low = block[6:]
    halves = [low[i] & 15 for i in range(16)] + [low[i] >> 4 for i in range(16)]
    fives = [(half | (high >> i & 1) << 4) - 16 for i, half in enumerate(halves)]
    return [float(np.float32(five) * np.float32(scale)) for five in fives]


def numbers_of_q8_0(block: bytes) -> list[float]:
    scale, *eights = struct.unpack("<e32b", block)
    return [float(np.float32(eight) * np.float32(scale)) for eight in eights]


@given(
    scales=st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=6),
    seed=st.integers(0, 1 << 32),
)
def test_every_number_stays_what_it_was_to_the_last_bit(scales: list[float], seed: int) -> None:
    draw = random.Random(seed)
    five = [struct.pack("<e", scale) + draw.randbytes(20) for scale in scales]
    eight = q8_0_of_q5_0(b"".join(five))
    assert len(eight) == 34 * len(five)
    for number, block in enumerate(five):
        after = numbers_of_q8_0(eight[34 * number : 34 * number + 34])
        before = numbers_of_q5_0(block)
        assert [value.hex() for value in after] == [value.hex() for value in before], "-0.0 is not 0.0 here"


def test_each_of_the_32_numbers_is_reached_at_each_place() -> None:
    for five in range(32):
        low, high = (five & 15) * 0x11, 0xFFFFFFFF * (five >> 4)
        block = struct.pack("<eI", 1.0, high) + bytes([low]) * 16
        assert numbers_of_q8_0(q8_0_of_q5_0(block)) == numbers_of_q5_0(block) == [five - 16.0] * 32


def test_scales_that_are_no_numbers_stay_as_they_are() -> None:
    for scale in (b"\x00\x7c", b"\x00\xfe", b"\x01\x7d"):
        assert q8_0_of_q5_0(scale + bytes(20))[:2] == scale


# --- what is planned ------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_model: Any) -> Any:
    """A model whose layers are mostly Q5_0, with an output of its own, and random weights."""
    for layer in range(2):
        for name, dims in (("ffn_gate", (64, 128)), ("ffn_up", (64, 128)), ("ffn_down", (128, 64))):
            tiny_model.tensor(f"blk.{layer}.{name}.weight", dims, Q5_0)
    tiny_model.tensor("token_embd.weight", (64, 263), Q5_0).tensor("output.weight", (64, 263), Q8_0)
    return tiny_model


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """A model file with random weights, written to a path."""

    def saved(model: Any, path: Path = tmp_path / "model.gguf", seed: int = 1) -> Path:
        draw = random.Random(seed)
        sizes = [model.nbytes(dims, kind) for _, dims, kind in model.tensors]
        model.data = b"".join(draw.randbytes(size) + bytes(model.padded(size) - size) for size in sizes)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.build())
        return path

    return saved


def types(header: gguf.GGUF) -> dict[str, int]:
    return {tensor.name: tensor.type for tensor in header.tensors}


def planned(path: Path) -> Relayout:
    found = plan(gguf.read(path))
    assert found is not None
    return found


def test_matrices_in_five_bits_gain_and_nothing_else(model: Any, save: Save) -> None:
    relayout = planned(save(model))
    before, after = types(relayout.source), types(relayout.header)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"blk.{layer}.ffn_{part}.weight" for layer in (0, 1) for part in ("gate", "up", "down")}
    assert {after[name] for name in changed} == {Q8_0}
    assert relayout.bytes - relayout.source.file_bytes == 6 * 64 * 128 // 32 * (34 - 22)


def test_a_table_of_embeddings_gains_only_if_the_output_is_made_with_it(model: Any, save: Save) -> None:
    assert types(planned(save(model)).header)["token_embd.weight"] == Q5_0
    model.drop("output.weight")
    assert types(planned(save(model)).header)["token_embd.weight"] == Q8_0


def test_a_file_with_little_to_gain_stays_as_it_is(model: Any, save: Save) -> None:
    for kept in range(6, 0, -1):
        header = gguf.read(save(model))
        five = sum(tensor.nbytes for tensor in header.tensors if tensor.type == Q5_0 and tensor.name.startswith("blk"))
        assert (plan(header) is None) == (five < LEAST_SHARE * header.file_bytes) == (kept < 5)
        layer, part = divmod(kept - 1, 3)
        dims = (128, 64) if part == 0 else (64, 128)
        model.tensor(f"blk.{layer}.ffn_{('down', 'up', 'gate')[part]}.weight", dims, Q8_0)
    assert plan(gguf.read(save(model))) is None


def test_a_file_with_another_alignment_stays_as_it_is(model: Any, save: Save) -> None:
    model.set("general.alignment", 4, 64).alignment = 64
    assert plan(gguf.read(save(model))) is None


def test_it_helps_on_x86_with_few_threads() -> None:
    assert helps(("sse4_2", "avx2"), 2) and helps(("avx512f",), MOST_THREADS)
    assert not helps(("sse4_2", "avx"), 2), "no integer kernels of 256 bits"
    assert not helps(("asimd", "asimddp", "i8mm"), 2), "unmeasured on ARM"
    assert not helps((), 1) and not helps(("avx2",), MOST_THREADS + 1)


# --- the copy -------------------------------------------------------------------------------------------------------


def content(path: Path, header: gguf.GGUF, name: str) -> bytes:
    tensor = next(tensor for tensor in header.tensors if tensor.name == name)
    return path.read_bytes()[header.data_offset + tensor.offset :][: tensor.nbytes]


def test_the_copy_has_the_same_metadata_and_the_same_bytes_but_for_what_gains(
    model: Any, save: Save, tmp_path: Path
) -> None:
    source, copy = save(model), tmp_path / "copy.gguf"
    relayout = planned(source)
    with copy.open("wb") as file:
        steps = list(write(source, relayout, file))
    assert steps == sorted(steps) and steps[-1] == relayout.bytes == copy.stat().st_size
    header = gguf.read(copy)
    assert header == relayout.header
    assert header.metadata == relayout.source.metadata and header.value_types == relayout.source.value_types
    first = min(source.read_bytes().index(b"token_embd.weight"), copy.read_bytes().index(b"token_embd.weight"))
    assert copy.read_bytes()[:first] == source.read_bytes()[:first], "counts, keys and values, byte for byte"
    for tensor in header.tensors:
        before, after = content(source, relayout.source, tensor.name), content(copy, header, tensor.name)
        if types(relayout.source)[tensor.name] == tensor.type:
            assert after == before, tensor.name
        else:
            assert after == q8_0_of_q5_0(before), tensor.name


def test_large_tensors_are_copied_piece_by_piece(model: Any, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(model)
    relayout, whole, pieces = planned(source), io.BytesIO(), io.BytesIO()
    steps = list(write(source, relayout, whole))
    monkeypatch.setattr("smidgen.models.relayout._PIECE_BYTES", 22 * 7)
    assert len(list(write(source, relayout, pieces))) > 2 * len(steps)
    assert pieces.getvalue() == whole.getvalue()


def test_a_source_that_is_cut_off_meanwhile_is_a_typed_error(model: Any, save: Save) -> None:
    source = save(model)
    relayout = planned(source)
    os.truncate(source, source.stat().st_size - 1000)
    with pytest.raises(InvalidModelFile, match="shorter"):
        list(write(source, relayout, io.BytesIO()))


# --- copies in the store --------------------------------------------------------------------------------------------


class Kept:
    """A library with one pulled model, `tiny`, and what a copy of it needs."""

    def __init__(self, root: Path, origin: Path) -> None:
        self.library = Library(Store(root))
        self.store = self.library.store
        self.origin = origin
        self.model = self.library.pull(str(origin))
        self.source = Path(self.model.path)
        self.relayout = planned(self.source)
        self.told: list[Progress] = []

    def make(self, progress: Callable[[Progress], None] | None = None) -> Path:
        return copies.make(self.store, self.source, self.model.sha256, self.relayout, progress or self.told.append)

    def find(self) -> Path | None:
        return copies.find(self.store, self.model.sha256, self.relayout)

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.store.root / "layouts").glob("*"))


@pytest.fixture
def kept(tmp_path: Path, model: Any, save: Save) -> Kept:
    return Kept(tmp_path / "store", save(model, tmp_path / "origin" / "tiny.gguf"))


def test_a_copy_is_made_once_and_told_as_it_goes(kept: Kept) -> None:
    assert kept.find() is None
    made = kept.make()
    assert kept.find() == made and gguf.read(made) == kept.relayout.header
    assert {progress.phase for progress in kept.told} == {"arranging"}
    assert kept.told[-1].done_bytes == kept.told[-1].total_bytes == made.stat().st_size
    kept.told.clear()
    status = made.stat()
    assert kept.make() == made and made.stat() == status and kept.told == []
    assert kept.left() == [made.name] and kept.model.sha256 in made.name
    assert kept.store.problems() == () and kept.store.layout_bytes(kept.model.sha256) == made.stat().st_size


class Stop(Exception):
    pass


def stop_half_way(progress: Progress) -> None:
    if progress.done_bytes > (progress.total_bytes or 0) / 2:
        raise Stop


def test_an_interrupted_copy_leaves_nothing(kept: Kept) -> None:
    with pytest.raises(Stop):
        kept.make(progress=stop_half_way)
    assert kept.left() == [] and kept.find() is None
    kept.make()
    assert kept.find() is not None


def test_a_damaged_copy_stays_until_its_successor_is_whole(kept: Kept) -> None:
    made = kept.make()
    whole = made.read_bytes()
    made.write_bytes(whole[:-100])
    assert kept.find() is None
    with pytest.raises(Stop):
        kept.make(progress=stop_half_way)
    assert made.read_bytes() == whole[:-100]
    assert kept.make() == made and made.read_bytes() == whole


def test_what_a_killed_process_left_and_copies_of_what_is_gone_are_cleared_away(kept: Kept) -> None:
    folder = kept.store.root / "layouts"
    folder.mkdir()
    unfinished = folder / f".{kept.store.layout(kept.model.sha256).name}.4242.tmp"
    old, stray = folder / f"{kept.model.sha256}-0.gguf", folder / f"{'0' * 64}-1.gguf"
    for path in (unfinished, old, stray):
        path.write_bytes(b"GGUF")
    assert len([problem for problem in kept.store.problems() if "copy" in problem]) == 2
    made = kept.make()
    assert kept.left() == [made.name] and kept.store.problems() == ()


def test_a_disk_with_less_than_twice_its_size_free_is_told_before_the_first_byte(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "RESERVE_BYTES", 0)
    monkeypatch.setattr(disk, "free_bytes", lambda path: 2 * kept.relayout.bytes - 1)
    with pytest.raises(DiskFull) as caught:
        kept.make()
    assert caught.value.details["needed_bytes"] == kept.relayout.bytes and kept.left() == []
    monkeypatch.setattr(disk, "free_bytes", lambda path: 2 * kept.relayout.bytes)
    kept.make()


def test_a_folder_that_cannot_be_made_is_a_typed_error(kept: Kept) -> None:
    (kept.store.root / "layouts").write_text("in the way")
    with pytest.raises(StoreUnwritable):
        kept.make()


def test_a_copy_that_is_not_what_was_planned_gets_no_name(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    read = gguf.read
    monkeypatch.setattr(gguf, "read", lambda path: read(kept.source))
    with pytest.raises(InvalidModelFile, match="planned"):
        kept.make()
    assert kept.left() == []


def test_two_at_once_make_one_copy(kept: Kept) -> None:
    inside, go_on = threading.Event(), threading.Event()
    waited, made = threading.Event(), list[Path]()

    def first(progress: Progress) -> None:
        inside.set()
        go_on.wait(20)

    def second(progress: Progress) -> None:
        assert progress.phase == "waiting"
        waited.set()

    threads = [threading.Thread(target=lambda: made.append(kept.make(progress=first)))]
    threads[0].start()
    assert inside.wait(20)
    threads.append(threading.Thread(target=lambda: made.append(kept.make(progress=second))))
    threads[1].start()
    assert waited.wait(20)
    go_on.set()
    for thread in threads:
        thread.join()
    assert made == [kept.find()] * 2


def test_removing_the_model_removes_its_copy(kept: Kept) -> None:
    made = kept.make()
    freed = made.stat().st_size + kept.model.bytes
    assert kept.library.remove(kept.model.name) == freed
    assert kept.left() == [] and kept.store.problems() == ()


@pytest.mark.parametrize("noticed_early", [True, False])
def test_a_model_removed_while_it_is_copied_leaves_no_copy(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, noticed_early: bool
) -> None:
    def remove(progress: Progress) -> None:
        if progress.done_bytes == progress.total_bytes and kept.source.exists():
            kept.library.remove(kept.model.name)

    if not noticed_early:
        monkeypatch.setattr(kept.store, "is_current", lambda path, sha256: True)
    with pytest.raises(InvalidModelFile):
        kept.make(progress=remove)
    assert kept.left() == []


def test_a_copy_goes_with_the_last_name_of_its_model(kept: Kept) -> None:
    twin = kept.origin.with_name("twin.gguf")
    twin.write_bytes(kept.origin.read_bytes())
    other = kept.library.pull(str(twin))
    made = kept.make()
    assert kept.library.remove(kept.model.name) == 0 and kept.find() == made
    kept.library.remove(other.name)
    assert kept.left() == []


def test_verifying_compares_the_copy_and_removes_one_that_differs(kept: Kept) -> None:
    made = kept.make()
    notices: list[Notice] = []
    assert kept.library.verify(kept.model.name, notice=notices.append) == kept.model
    assert notices == [] and made.exists()
    rotten = bytearray(made.read_bytes())
    rotten[-5000] ^= 1
    made.write_bytes(rotten)
    assert kept.find() == made, "the size tells nothing"
    assert kept.library.verify(kept.model.name, notice=notices.append) == kept.model
    assert [notice.code for notice in notices] == ["copy_damaged"] and kept.left() == []
    assert kept.library.verify(kept.model.name, notice=notices.append) == kept.model and len(notices) == 1


def test_a_file_used_in_place_has_a_copy_that_can_be_removed(kept: Kept, model: Any, save: Save) -> None:
    own = save(model, kept.origin.with_name("own.gguf"), seed=2)
    file = kept.library.resolve(str(own))
    copy = copies.make(kept.store, own, file.sha256, planned(own), kept.told.append)
    assert file.sha256 == hashlib.sha256(own.read_bytes()).hexdigest() and file.sha256 in copy.name
    assert kept.store.problems() == () and kept.library.verify(str(own)) == file
    assert kept.library.remove(str(own)) == planned(own).bytes
    assert own.exists() and not copy.exists()
    with pytest.raises(UnknownModel):
        kept.library.remove(str(own))


def test_a_file_changed_while_it_is_copied_gets_no_copy(kept: Kept, model: Any, save: Save) -> None:
    own = save(model, kept.origin.with_name("own.gguf"), seed=2)
    file, relayout = kept.library.resolve(str(own)), planned(own)
    changed = own.read_bytes()[:-1] + b"?"

    def change(progress: Progress) -> None:
        if progress.done_bytes == progress.total_bytes:
            own.write_bytes(changed)

    with pytest.raises(InvalidModelFile, match="changed"):
        copies.make(kept.store, own, file.sha256, relayout, change)
    assert kept.left() == []
