"""The structure of GGUF files: the handcrafted cases that llama.cpp tries on its own reader, and some more."""

import struct
import time

import pytest

from smidgen.errors import InvalidModelFile
from smidgen.models.gguf import GGML_TYPES, Array, read, read_header

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
MAX = 2**64 - 1


@pytest.fixture
def filled(new_gguf):
    """A file with a key of every type and a tensor of some types."""
    file = new_gguf()
    for number, (kind, content) in enumerate(
        (
            *((0, 255), (1, -128), (2, 65535), (3, -32768), (4, 2**32 - 1), (5, -(2**31)), (6, 0.5), (7, True)),
            *((8, "text é"), (10, MAX), (11, -(2**63)), (12, 1e300)),
            *((9, (8, ["a", "", "long " * 50])), (9, (6, [1.0, 2.0])), (9, (7, [True, False])), (9, (4, []))),
        )
    ):
        file.set(f"my_key_{number}", kind, content)
    for number, (dims, kind) in enumerate((((8,), 0), ((64, 3), 2), ((32, 2, 2), 8), ((5,), 24), ((1, 1, 1, 7), 27))):
        file.tensor(f"my_tensor_{number}", dims, kind)
    return file


def refused(path) -> InvalidModelFile:
    with pytest.raises(InvalidModelFile) as caught:
        read_header(path)
    error = caught.value
    assert error.details["reason"] and error.details["offset"] >= 0 and error.hint
    return error


# --- accepted -------------------------------------------------------------------------------------------------------


def test_a_file_without_keys_and_tensors_is_read(new_gguf, saved) -> None:
    gguf = read_header(saved(new_gguf()))
    assert (gguf.version, gguf.metadata, gguf.tensors, gguf.alignment) == (3, {}, (), 32)


def test_version_2_is_read(filled, saved) -> None:
    filled.version = 2
    assert read_header(saved(filled)).version == 2


def test_keys_of_every_type_come_back_as_written(filled, saved) -> None:
    filled.tensors = []
    metadata = read_header(saved(filled)).metadata
    for name, kind, content in filled.keys:
        read_back = metadata[name]
        if kind == ARRAY:
            assert isinstance(read_back, Array) and read_back.kind == content[0]
            assert list(read_back) == content[1] and len(read_back) == len(content[1])
        else:
            assert read_back == content and type(read_back) is type(content)


def test_tensors_come_back_with_their_places(filled, saved) -> None:
    gguf = read_header(saved(filled))
    assert [(tensor.name, tensor.dims, tensor.type) for tensor in gguf.tensors] == filled.tensors
    assert [tensor.offset for tensor in gguf.tensors] == [0, 32, 160, 320, 352]
    assert [tensor.nbytes for tensor in gguf.tensors] == [32, 108, 136, 5, 56]
    assert gguf.data_offset % 32 == 0 and gguf.file_bytes == gguf.data_offset + 352 + 64


def test_an_alignment_of_one_is_used(filled, saved) -> None:
    filled.set("general.alignment", U32, 1).alignment = 1
    gguf = read_header(saved(filled))
    assert [tensor.offset for tensor in gguf.tensors] == [0, 32, 140, 276, 281]
    assert gguf.data_offset == len(filled.head())


def test_a_dimension_of_zero_makes_an_empty_tensor(new_gguf, saved) -> None:
    gguf = read_header(saved(new_gguf().tensor("empty", (32, 0), 0).tensor("next", (8,), 0)))
    assert gguf.tensors[0].nbytes == 0 and gguf.tensors[1].offset == 0


def test_a_tensor_without_dimensions_holds_one_element(new_gguf, saved) -> None:
    assert read_header(saved(new_gguf().tensor("one", (), 0))).tensors[0].elements == 1


def test_only_the_padding_after_the_last_tensor_may_be_missing(filled, saved) -> None:
    content = filled.build()
    assert read_header(saved(content[:-8])).tensors
    assert "1 of" in refused(saved(content[:-9])).message


def test_text_that_is_not_utf8_is_shown_with_replacement_characters(new_gguf, saved) -> None:
    file = new_gguf().set("a", STRING, b"\xff!").set("b", ARRAY, (STRING, [b"\xfe", "x"]))
    metadata = read_header(saved(file)).metadata
    assert metadata["a"] == "\ufffd!" and list(metadata["b"]) == ["\ufffd", "x"]


# --- refused: the start ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"", "empty"),
        (b"GG", "shorter"),
        (b"GGUF", "ends within"),
        (b"FUGG" + bytes(40), "reverse"),
        (b"<!DOCTYPE html><html><body>Not found", "web page"),
        (b"\n  <html lang='en'>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
        (b'{"error": "Repository not found"}', "error message"),
        (b"Entry not found", "error message"),
        (struct.pack("<Q", 20) + b'{"__metadata__":{}} ' + bytes(64), "safetensors"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"\x80\x02}q\x00" + bytes(60), "pickle"),
        (b"\x1f\x8b\x08" + bytes(60), "compressed"),
        (b"ggjt" + bytes(60), "before GGUF"),
        (b'{"architectures": ["LlamaForCausalLM"]}', "JSON"),
        (bytes(1000), "zeros"),
        (b"#!/bin/sh\n" * 10, "starts with"),
    ],
)
def test_what_is_not_a_model_file_is_named(saved, start, reason) -> None:
    assert reason in refused(saved(start)).message


@pytest.mark.parametrize(
    ("version", "reason"),
    [(0, "version 0"), (1, "version 1"), (4, "newer"), (0x03000000, "big-endian"), (0x02000000, "big-endian")],
)
def test_other_versions_are_refused(new_gguf, saved, version, reason) -> None:
    file = new_gguf()
    file.version = version
    assert reason in refused(saved(file)).message


@pytest.mark.parametrize("count", [-1, MAX, 2**63, 2**40, 65_537, 2])
@pytest.mark.parametrize("field", ["claimed_keys", "claimed_tensors"])
def test_wrong_counts_are_refused(new_gguf, saved, field, count) -> None:
    file = new_gguf()
    setattr(file, field, count)
    refused(saved(file.build() + bytes(20)))


def test_folders_missing_files_and_odd_paths_are_refused(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "missing", tmp_path / "a\0b", tmp_path / ("x" * 5000)):
        refused(path)


# --- refused: keys --------------------------------------------------------------------------------------------------


def test_a_key_of_absurd_length_is_refused(filled, saved) -> None:
    content = filled.build()
    assert "more than" in refused(saved(content[:24] + struct.pack("<Q", MAX) + content[32:])).message


@pytest.mark.parametrize("name", ["", b"\xff\xfe", "zero\0byte", "x" * 65_536])
def test_unusable_key_names_are_refused(new_gguf, saved, name) -> None:
    file = new_gguf()
    file.keys = [(name, U32, 1)]
    refused(saved(file.build() + bytes(64)))


@pytest.mark.parametrize("kind", [13, 14, 255, 2**32 - 1])
def test_unknown_value_types_are_refused(new_gguf, saved, kind) -> None:
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    assert "type" in refused(saved(head + struct.pack("<Q1sI", 1, b"k", kind) + bytes(64))).message
    array = struct.pack("<Q1sIIQ", 1, b"k", ARRAY, kind, 1)
    assert "type" in refused(saved(head + array + bytes(64))).message


def test_arrays_of_arrays_are_refused(new_gguf, saved) -> None:
    file = new_gguf().set("k", ARRAY, (ARRAY, [(U32, [1])]))
    assert "array of arrays" in refused(saved(file.build() + bytes(64))).message


@pytest.mark.parametrize("element", [0, 4, 7, 8, 12])
@pytest.mark.parametrize("count", [MAX, 2**63, 2**61 + 1, 2**31, 2**24, 100])
def test_arrays_longer_than_the_file_are_refused(saved, element, count) -> None:
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    started = time.thread_time()
    refused(saved(head + struct.pack("<Q1sIIQ", 1, b"k", ARRAY, element, count) + bytes(64)))
    assert time.thread_time() - started < 5


def test_a_string_longer_than_the_file_is_refused(saved) -> None:
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1)
    for length in (MAX, 2**63, 2**40, 100):
        refused(saved(head + struct.pack("<Q1sIQ", 1, b"k", STRING, length) + bytes(64)))
        refused(saved(head + struct.pack("<Q1sIIQQ", 1, b"k", ARRAY, STRING, 1, length) + bytes(64)))


def test_duplicate_keys_are_refused(new_gguf, saved) -> None:
    file = new_gguf()
    file.keys = [("same", U32, 1), ("same", U32, 1)]
    assert "twice" in refused(saved(file)).message


@pytest.mark.parametrize("alignment", [0, 13, 48, 131_072, 2**31])
def test_unusable_alignments_are_refused(filled, saved, alignment) -> None:
    filled.set("general.alignment", U32, alignment)
    assert "alignment" in refused(saved(filled)).message


@pytest.mark.parametrize(("kind", "content"), [(I32, 32), (STRING, "32"), (BOOL, True), (ARRAY, (U32, [32])), (10, 32)])
def test_an_alignment_of_another_type_is_refused(filled, saved, kind, content) -> None:
    filled.set("general.alignment", kind, content)
    assert "uint32" in refused(saved(filled)).message


# --- refused: tensors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 64, "", b"\xff", "a\0b"])
def test_unusable_tensor_names_are_refused(new_gguf, saved, name) -> None:
    file = new_gguf()
    file.tensors = [(name, (8,), 0)]
    refused(saved(file))


def test_too_many_dimensions_are_refused(filled, saved) -> None:
    for rank in (5, 2**32 - 1):
        filled.claimed_rank = rank
        assert "dimensions" in refused(saved(filled)).message


@pytest.mark.parametrize(
    ("dims", "kind"),
    [
        ((-1,), 0),
        ((2**63,), 0),
        ((4 * (2**31 - 1), 4 * (2**31 - 1)), 0),
        ((2**31, 2**31, 2**31, 2**31), 0),
        ((1_533_916_891, 1_533_916_891), 27),
        ((4, 2**30 - 1, 2**30 + 1, 1), 0),
        ((2**62,), 27),
        ((33,), 2),
        ((100, 4), 12),
        ((0x7FFFFFFFFFFFFFC0,), 24),
    ],
)
def test_impossible_shapes_are_refused(new_gguf, saved, dims, kind) -> None:
    file = new_gguf().tensor("t", dims, kind)
    file.data = bytes(64)
    refused(saved(file))


def test_two_tensors_whose_sizes_overflow_together_are_refused(new_gguf, saved) -> None:
    file = new_gguf().tensor("a", (0x7FFFFFFFFFFFFFC0,), 24).tensor("b", (0x7FFFFFFFFFFFFFC0,), 24)
    file.data = bytes(32)
    refused(saved(file))


@pytest.mark.parametrize("kind", [4, 5, 31, 33, 36, 38, 43, 100, 2**31, 2**32 - 1])
def test_removed_and_unknown_tensor_types_are_refused(new_gguf, saved, kind) -> None:
    file = new_gguf().tensor("t", (256,), kind)
    assert "type" in refused(saved(file)).message


@pytest.mark.parametrize("offset", [-1, 1, 16, 64, 2**63])
def test_wrong_offsets_are_refused(filled, saved, offset) -> None:
    filled.offsets = {1: offset}
    assert "starts at" in refused(saved(filled)).message


def test_duplicate_tensors_are_refused(new_gguf, saved) -> None:
    file = new_gguf()
    file.tensors = [("same", (8,), 0), ("same", (8,), 0)]
    assert "twice" in refused(saved(file)).message


def test_offsets_for_another_alignment_are_refused(filled, saved) -> None:
    filled.alignment = 1
    refused(saved(filled))


def test_a_file_cut_off_in_its_data_says_how_much_is_missing(new_gguf, saved) -> None:
    content = new_gguf().tensor("t", (64,), 0).build()
    assert "100 of" in refused(saved(content[:-100])).message


def test_a_file_cut_off_anywhere_is_refused(filled, saved) -> None:
    content = filled.build()
    for length in range(len(content) - 8):
        refused(saved(content[:length]))


# --- the rest -------------------------------------------------------------------------------------------------------


def test_block_sizes_are_those_of_ggml() -> None:
    """Bits per weight of each quantisation, as llama.cpp states them in its table of quantisations."""
    bits = {kind.name: 8 * kind.nbytes / kind.block for kind in GGML_TYPES.values()}
    assert bits["Q4_0"] == 4.5 and bits["Q4_1"] == 5.0 and bits["Q5_0"] == 5.5 and bits["Q5_1"] == 6.0
    assert bits["Q8_0"] == 8.5 and bits["Q2_K"] == 2.625 and bits["Q3_K"] == 3.4375 and bits["Q4_K"] == 4.5
    assert bits["Q5_K"] == 5.5 and bits["Q6_K"] == 6.5625 and bits["IQ2_XXS"] == 2.0625 and bits["IQ2_XS"] == 2.3125
    assert bits["IQ3_XXS"] == 3.0625 and bits["IQ3_S"] == 3.4375 and bits["IQ1_S"] == 1.5625 and bits["IQ1_M"] == 1.75
    assert bits["IQ4_NL"] == 4.5 and bits["IQ4_XS"] == 4.25 and bits["TQ1_0"] == 1.6875 and bits["TQ2_0"] == 2.0625
    assert bits["MXFP4"] == 4.25 and bits["BF16"] == 16 and bits["F64"] == 64 and bits["NVFP4"] == 4.5


def test_large_vocabularies_are_decoded_only_when_looked_at(new_gguf, saved) -> None:
    words = [f"word{number}" for number in range(50_000)]
    array = read_header(saved(new_gguf().set("k", ARRAY, (STRING, words)))).metadata["k"]
    assert len(array) == 50_000 and "50000" in repr(array)
    assert array[49_999] == "word49999" and array[1:3] == ("word1", "word2")


def test_real_files_are_read(real_models) -> None:
    if not real_models:
        pytest.skip("no model file on this computer: smidgen models pull smollm2-135m")
    for path in real_models.values():
        gguf = read(path)
        assert gguf.tensors and gguf.file_bytes == path.stat().st_size
