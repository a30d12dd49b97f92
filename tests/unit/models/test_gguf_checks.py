"""What llama.cpp would assert, or trust, about a model, refused before it sees the file."""

import pytest

from smidgen.errors import InvalidModelFile
from smidgen.models.gguf import read

U8, I8, U32, I32, F32, BOOL, STRING, ARRAY = 0, 1, 4, 5, 6, 7, 8, 9
NAN, INFINITE = float("nan"), float("inf")


def reason(path) -> str:
    with pytest.raises(InvalidModelFile) as caught:
        read(path)
    return caught.value.details["reason"]


def test_the_tiny_model_is_accepted(tiny_model, saved) -> None:
    assert read(saved(tiny_model)).metadata["general.architecture"] == "llama"


@pytest.mark.parametrize(
    ("key", "kind", "content"),
    [
        ("general.architecture", STRING, ""),
        ("general.architecture", STRING, "LLAMA; drop"),
        ("general.architecture", STRING, "clip"),
        ("general.architecture", U32, 1),
        ("general.type", STRING, "adapter"),
        ("split.count", 2, 3),
        ("llama.block_count", U32, 0),
        ("llama.block_count", U32, 3),
        ("llama.block_count", U32, 1),
        ("llama.block_count", U32, 513),
        ("llama.block_count", F32, 2.0),
        ("llama.block_count", BOOL, True),
        ("llama.embedding_length", U32, 0),
        ("llama.embedding_length", U32, 128),
        ("llama.context_length", U32, 0),
        ("llama.context_length", I32, -1),
        ("llama.attention.head_count", U32, 3),
        ("llama.attention.head_count", U32, 2**31),
        ("llama.attention.head_count", ARRAY, (U32, [4])),
        ("llama.attention.head_count", ARRAY, (STRING, ["4", "4"])),
        ("llama.attention.head_count_kv", U32, 3),
        ("llama.attention.key_length", U32, 0),
        ("llama.rope.dimension_count", U32, 18),
        ("llama.rope.dimension_count", U32, 15),
        ("llama.rope.scaling.type", STRING, "cubic"),
        ("llama.rope.freq_base", F32, 0.0),
        ("llama.rope.freq_base", F32, NAN),
        ("llama.rope.scaling.factor", F32, INFINITE),
        ("llama.attention.layer_norm_rms_epsilon", F32, NAN),
        ("llama.attention.layer_norm_rms_epsilon", F32, -1.0),
        ("llama.attention.layer_norm_rms_epsilon", F32, INFINITE),
        ("llama.attention.sliding_window", I32, -5),
        ("llama.attention.sliding_window_pattern", ARRAY, (BOOL, [True])),
        ("llama.expert_used_count", U32, 2),
        ("llama.expert_count", U32, 2000),
        ("llama.pooling_type", U32, 9),
        ("tokenizer.ggml.model", STRING, "no_vocab"),
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b"])),
        ("tokenizer.ggml.tokens", ARRAY, (U32, [0] * 263)),
        ("tokenizer.ggml.tokens", STRING, "a"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, ["same"] * 263)),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [f"t{number}" for number in range(263)])),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, [f"same\0{number}" for number in range(263)])),
        ("tokenizer.ggml.scores", ARRAY, (F32, [0.0])),
        ("tokenizer.ggml.scores", ARRAY, (STRING, ["0"] * 263)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [1] * 200)),
        ("tokenizer.ggml.token_type", ARRAY, (U32, [1] * 263)),
        ("tokenizer.ggml.merges", ARRAY, (U32, [1])),
        ("tokenizer.ggml.precompiled_charsmap", ARRAY, (U8, [1])),
        ("tokenizer.ggml.precompiled_charsmap", STRING, "x"),
        ("tokenizer.ggml.bos_token_id", STRING, "1"),
        ("tokenizer.ggml.bos_token_id", F32, 1.0),
    ],
)
def test_a_wrong_field_is_refused(tiny_model, saved, key, kind, content) -> None:
    assert reason(saved(tiny_model.set(key, kind, content)))


@pytest.mark.parametrize(
    "name",
    [
        "general.architecture",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "token_embd.weight",
    ],
)
def test_a_missing_field_is_refused(tiny_model, saved, name) -> None:
    assert reason(saved(tiny_model.drop(name)))


@pytest.mark.parametrize(
    ("name", "dims", "kind"),
    [
        ("token_embd.weight", (64, 262), 0),
        ("token_embd.weight", (32, 263), 0),
        ("output_norm.weight", (64,), 26),
        ("blk.0.attn_q.weight", (64, 64), 26),
        ("blk.0.attn_q.weight", (64, 64), 24),
        ("blk.2.attn_q.weight", (64, 64), 2),
        ("blk.99999999999999999999.attn_q.weight", (64, 64), 2),
        ("blk.0.attn_q.weight", (64, 0), 2),
    ],
)
def test_a_wrong_tensor_is_refused(tiny_model, saved, name, dims, kind) -> None:
    assert reason(saved(tiny_model.tensor(name, dims, kind)))


@pytest.mark.parametrize(
    ("key", "kind", "content"),
    [
        ("llama.attention.head_count_kv", ARRAY, (U32, [2, 0])),
        ("llama.attention.key_length", U32, 24),
        ("llama.attention.sliding_window", U32, 512),
        ("llama.attention.sliding_window_pattern", ARRAY, (BOOL, [True, False])),
        ("llama.rope.scaling.type", STRING, "yarn"),
        ("tokenizer.ggml.padding_token_id", U32, 2**32 - 1),
        ("general.description", STRING, b"\xff\xfe"),
        ("general.tags", ARRAY, (STRING, ["a"])),
    ],
)
def test_an_unusual_but_harmless_field_is_accepted(tiny_model, saved, key, kind, content) -> None:
    assert read(saved(tiny_model.set(key, kind, content)))


def test_a_vocabulary_without_weights_is_refused_with_advice(tiny_model, saved) -> None:
    tiny_model.tensors = []
    with pytest.raises(InvalidModelFile, match="no weights") as caught:
        read(saved(tiny_model))
    assert "vocabulary" in caught.value.hint
