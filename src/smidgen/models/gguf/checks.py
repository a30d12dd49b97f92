"""Cross-checks of a GGUF header: what llama.cpp asserts or trusts about a model, asked before it sees the file.

Each rule answers an assertion or an unchecked use in llama.cpp (llama-model.cpp `load_hparams`, llama-vocab.cpp `load`,
the models' graphs), where a wrong value aborts the process or reads beyond an array.
"""

from __future__ import annotations

import math
import re

from smidgen.models.gguf.format import (
    FLOAT32,
    GGML_TYPES,
    GGUF,
    INT8,
    INT32,
    STRING,
    UINT8,
    VALUE_TYPE_NAMES,
    Array,
    Tensor,
    invalid,
)

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
MAX_WIDTH = 1 << 20
MAX_HEADS = 1 << 14
MAX_CONTEXT = (1 << 31) - 1

ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
EPSILONS = ("layer_norm_epsilon", "layer_norm_rms_epsilon", "group_norm_epsilon")
TOKEN_IDS = re.compile(r"tokenizer\.ggml\.\w+_token_id$")
LAYER = re.compile(r"blk\.([0-9]+)\.")
VECTOR_TYPES = frozenset({0, 1, 30})  # what ggml's element-wise operations take: F32, F16, BF16


def check_model(gguf: GGUF) -> None:
    """Raises InvalidModelFile if the header can't be that of a model that llama.cpp loads."""
    architecture = _architecture(gguf)
    fields = _Fields(gguf, architecture)
    layers = fields.integer("block_count", 1, MAX_LAYERS)
    width = fields.integer("embedding_length", 1, MAX_WIDTH)
    fields.integer("context_length", 1, MAX_CONTEXT)
    _check_tensors(gguf, layers)
    _check_attention(fields, layers, width)
    _check_numbers(fields, layers)
    _check_experts(fields, layers)
    _check_vocabulary(gguf, width)


class _Fields:
    """Typed access to the keys that start with the architecture's name."""

    def __init__(self, gguf: GGUF, architecture: str) -> None:
        self.metadata = gguf.metadata
        self.architecture = architecture

    def integer(self, name: str, least: int, most: int, default: int | None = None) -> int:
        key = f"{self.architecture}.{name}"
        value = self.metadata.get(key)
        if value is None:
            if default is None:
                invalid(f"it has no {key}")
            return default
        return _integer(key, value, least, most)

    def per_layer(self, name: str, layers: int, least: int, most: int) -> tuple[int, ...] | None:
        """One figure per layer; a single one in the file counts for all. None if the key isn't there."""
        key = f"{self.architecture}.{name}"
        value = self.metadata.get(key)
        if value is None:
            return None
        if not isinstance(value, Array):
            return (_integer(key, value, least, most),) * layers
        if len(value) != layers:
            invalid(f"{key} has {len(value)} entries for {layers} layers")
        return tuple(_integer(key, entry, least, most) for entry in value)

    def number(self, name: str, least: float, most: float) -> None:
        key = f"{self.architecture}.{name}"
        value = self.metadata.get(key)
        if value is None:
            return
        if not isinstance(value, (int, float)) or not math.isfinite(value) or not least <= value <= most:
            invalid(f"{key} is {value!r}, not a number from {least:g} to {most:g}")


def _integer(key: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        invalid(f"{key} is {value!r}, not a whole number from {least:,} to {most:,}")
    return value


def _architecture(gguf: GGUF) -> str:
    metadata = gguf.metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", architecture):
        invalid("it doesn't say its architecture", 0, "It may be a part or an adapter; fetch the model itself.")
    kind = metadata.get("general.type", "model")
    if kind in ("adapter", "mmproj", "vocab", "imatrix") or architecture == "clip":
        invalid(
            f"it is of the kind {kind if kind != 'model' else 'mmproj'!r}, not a model", 0, "Give the model's file."
        )
    split = metadata.get("split.count", 0)
    if not isinstance(split, int) or split > 1:
        invalid(f"it is one of {split!r} parts", 0, "Join the parts with `llama-gguf-split --merge` first.")
    if not gguf.tensors:
        invalid("it holds no weights, only metadata", 0, "Fetch the model's file, not its vocabulary.")
    return architecture


def _check_tensors(gguf: GGUF, layers: int) -> None:
    present: set[int] = set()
    for tensor in gguf.tensors:
        at = gguf.data_offset + tensor.offset
        if not tensor.elements:
            invalid(f"tensor {tensor.name!r} is empty", at)
        match = LAYER.match(tensor.name)
        if match:
            number = int(match[1])
            if number >= layers:
                invalid(f"tensor {tensor.name!r} belongs to layer {number} of {layers}", at)
            present.add(number)
        _check_type(tensor, at)
    if present and len(present) != layers:
        missing = next(number for number in range(layers) if number not in present)
        invalid(f"it has no tensors for layer {missing} of {layers}", gguf.data_offset)


def _check_type(tensor: Tensor, at: int) -> None:
    kind = GGML_TYPES[tensor.type]
    is_vector = len([size for size in tensor.dims if size > 1]) <= 1
    name = tensor.name
    if is_vector and name.endswith((".weight", ".bias")) and "norm" in name and tensor.type not in VECTOR_TYPES:
        invalid(f"{name!r} is of type {kind.name}, which can't scale or shift", at)
    if not is_vector and name.endswith(".weight") and not kind.weights:
        invalid(f"{name!r} is of type {kind.name}, which can't be multiplied with", at)


def _check_attention(fields: _Fields, layers: int, width: int) -> None:
    heads = fields.per_layer("attention.head_count", layers, 0, MAX_HEADS)
    kv_heads = fields.per_layer("attention.head_count_kv", layers, 0, MAX_HEADS) or heads
    key_length = fields.integer("attention.key_length", 1, 1 << 16, 0)
    fields.integer("attention.value_length", 1, 1 << 16, 0)
    for name in ("attention.key_length_swa", "attention.value_length_swa"):
        fields.integer(name, 1, 1 << 16, 0)
    if heads is None or kv_heads is None:
        return
    for count, kv_count in zip(heads, kv_heads, strict=True):
        if count and kv_count and count % kv_count:
            invalid(f"its {count} attention heads can't be shared by {kv_count} key-value heads")
        if count and not key_length and width % count:
            invalid(f"its width of {width} can't be divided by its {count} attention heads")
    head_width = key_length or (width // heads[0] if heads[0] else 0)
    rotated = fields.integer("rope.dimension_count", 0, 1 << 16, 0)
    if head_width and rotated > head_width:
        invalid(f"rope.dimension_count is {rotated}, more than the {head_width} of a head")
    if rotated % 2:
        invalid(f"rope.dimension_count is {rotated}, which isn't even")


def _check_numbers(fields: _Fields, layers: int) -> None:
    for name in EPSILONS:
        fields.number(f"attention.{name}", 0.0, 1.0)
    fields.per_layer("feed_forward_length", layers, 0, 1 << 24)
    fields.number("rope.freq_base", 1e-6, 1e18)
    fields.number("rope.freq_base_swa", 1e-6, 1e18)
    fields.number("rope.scaling.factor", 0.0, 1e9)
    fields.number("rope.scale_linear", 0.0, 1e9)
    fields.number("attention.clamp_kqv", 0.0, 1e9)
    fields.number("attention.max_alibi_bias", 0.0, 1e9)
    fields.number("logit_scale", -1e9, 1e9)
    fields.integer("rope.scaling.original_context_length", 1, MAX_CONTEXT, 0)
    fields.integer("attention.sliding_window", 0, MAX_CONTEXT, 0)
    fields.integer("nextn_predict_layers", 0, layers, 0)
    fields.integer("pooling_type", 0, 4, 0)
    for name in ("conv_kernel", "inner_size", "state_size", "time_step_rank", "group_count"):
        fields.integer(f"ssm.{name}", 0, 1 << 24, 0)
    fields.integer("shortconv.l_cache", 1, 1 << 16, 1)
    fields.integer("wkv.head_size", 1, 1 << 16, 1)
    scaling = fields.metadata.get(f"{fields.architecture}.rope.scaling.type", "linear")
    if scaling not in ROPE_SCALINGS:
        invalid(f"rope.scaling.type is {scaling!r}, not one of {', '.join(ROPE_SCALINGS)}")
    _check_pattern(fields, layers)


def _check_pattern(fields: _Fields, layers: int) -> None:
    key = f"{fields.architecture}.attention.sliding_window_pattern"
    pattern = fields.metadata.get(key, 0)
    if isinstance(pattern, Array):
        if pattern.kind in (STRING, FLOAT32) or not layers <= len(pattern) <= MAX_LAYERS:
            invalid(f"{key} is {pattern!r} for {layers} layers")
    elif isinstance(pattern, bool) or not isinstance(pattern, int) or not 0 <= pattern <= MAX_LAYERS:
        invalid(f"{key} is {pattern!r}, not a number of layers")


def _check_experts(fields: _Fields, layers: int) -> None:
    count = fields.integer("expert_count", 0, MAX_EXPERTS, 0)
    used = max(fields.per_layer("expert_used_count", layers, 0, MAX_EXPERTS) or (0,))
    groups = fields.integer("expert_group_count", 0, MAX_EXPERTS, 0)
    groups_used = fields.integer("expert_group_used_count", 0, MAX_EXPERTS, 0)
    if used > count or (count > 1 and not used):
        invalid(f"it uses {used} of {count} experts")
    if groups and (groups >= count or (groups > 1 and (count % groups or not 0 < groups_used < groups))):
        invalid(f"its {count} experts can't be put into {groups} groups of which {groups_used} are used")


def _check_vocabulary(gguf: GGUF, width: int) -> None:
    metadata = gguf.metadata
    model = metadata.get("tokenizer.ggml.model")
    if not isinstance(model, str):
        invalid("it has no tokenizer", 0, "Convert the model again with its tokenizer files beside it.")
    embedding = next((tensor for tensor in gguf.tensors if tensor.name == "token_embd.weight"), None)
    if model in ("none", "no_vocab"):
        invalid("it was converted without a vocabulary", 0, "Fetch a file of this model with its tokenizer.")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, Array) or tokens.kind != STRING or not len(tokens):
        invalid("its vocabulary isn't a list of texts")
    if embedding is None:
        invalid("it has no token embeddings (token_embd.weight)", gguf.data_offset)
    if embedding.dims != (width, len(tokens)):
        shape = " x ".join(map(str, embedding.dims))
        invalid(
            f"its token embeddings are {shape}, but width and vocabulary are {width} x {len(tokens)}",
            gguf.data_offset + embedding.offset,
        )
    _check_token_list(tokens, model)
    _check_token_array(gguf, "tokenizer.ggml.scores", (FLOAT32, INT32), len(tokens))
    _check_token_array(gguf, "tokenizer.ggml.token_type", (INT32,), len(tokens))
    merges = metadata.get("tokenizer.ggml.merges")
    if merges is not None and (not isinstance(merges, Array) or merges.kind != STRING):
        invalid("tokenizer.ggml.merges isn't a list of texts")
    if model == "gpt2" and merges is None:
        invalid("its byte-pair vocabulary has no merges")
    charsmap = metadata.get("tokenizer.ggml.precompiled_charsmap")
    if charsmap is not None and (
        not isinstance(charsmap, Array) or charsmap.kind not in (UINT8, INT8) or 0 < charsmap.nbytes < 4
    ):
        invalid("tokenizer.ggml.precompiled_charsmap isn't a list of bytes")
    for key, value in metadata.items():
        if TOKEN_IDS.match(key):
            _integer(key, value, -1, (1 << 32) - 1)  # llama.cpp ignores ids that the vocabulary doesn't have


def _check_token_list(tokens: Array, model: str) -> None:
    """No two tokens may have the same text: llama.cpp asserts it. It reads texts up to the first zero byte, and gives
    empty ones a text of their own. A SentencePiece vocabulary has to have a token for every byte: llama.cpp looks for
    one, without a way out, where a text has a character that no token begins with."""
    seen: set[bytes] = set()
    for index, raw in enumerate(tokens.raw_strings()):
        text = raw.partition(b"\0")[0] or b"[EMPTY_%d]" % index
        if text in seen:
            invalid(f"token {index} of its vocabulary, {text[:40]!r}, is there twice")
        seen.add(text)
    if model == "llama":
        missing = next((byte for byte in range(256) if not {b"<0x%02X>" % byte, bytes([byte])} & seen), None)
        if missing is not None:
            invalid(f"its vocabulary has no token for the byte {missing}")


def _check_token_array(gguf: GGUF, key: str, kinds: tuple[int, ...], count: int) -> None:
    value = gguf.metadata.get(key)
    if value is None:
        return
    if not isinstance(value, Array) or value.kind not in kinds:
        invalid(f"{key} isn't a list of {' or '.join(VALUE_TYPE_NAMES[kind] for kind in kinds)}")
    if len(value) != count:
        invalid(f"{key} has {len(value):,} entries for {count:,} tokens")
