"""BERT sentence embedders into GGUF: llama.cpp's architecture `bert` (its key and tensor names: llama-arch.cpp).

Matrices become F16: vectors of all-MiniLM-L6-v2 then agree with those of the original weights to a cosine of 0.99999,
with Q8_0 to 0.998, and on AVX2 it is no slower. The token embeddings are only looked up, and become Q8_0 where their
rows are whole blocks. Vectors and the small tables of positions and token types stay F32, as llama.cpp adds them up in
that type.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from smidgen.models.convert.package import WEIGHTS, Package, opened, unusable
from smidgen.models.convert.quantize import BLOCK, F16, F32, Q8_0, encode
from smidgen.models.convert.safetensors import Stored, read_floats, read_header
from smidgen.models.convert.wordpiece import Vocabulary, read_vocabulary
from smidgen.models.disk import writing
from smidgen.models.gguf import GGML_TYPES, Tensor, Value
from smidgen.models.gguf.format import ARRAY, BOOL, FLOAT32, INT32, STRING, UINT32
from smidgen.models.gguf.writer import array, tensors, write

MAX_WEIGHT_BYTES = 8 << 30
MAX_LAYERS, MAX_WIDTH, MAX_TOKENS, MAX_POSITIONS = 512, 1 << 16, 1 << 20, 1 << 16

NAMES = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_LAYER = re.compile(r"encoder\.layer\.(\d{1,4})\.(.+)\.(weight|bias|gamma|beta)")
_ENDINGS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_UNUSED = re.compile(r"embeddings\.position_ids|pooler\..*|cls\..*")
POOLINGS = {"pooling_mode_mean_tokens": 1, "pooling_mode_cls_token": 2}
"""llama.cpp's numbers of the ways to make one vector of many."""
FILE_TYPE_F16 = 1
"""general.file_type: what most of the weights are."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a BERT model, from its config.json."""

    layers: int
    width: int
    inner: int
    heads: int
    positions: int
    tokens: int
    token_types: int
    epsilon: float


def convert(source: Path, target: Path, report: Callable[[int, int], None]) -> None:
    """Writes the GGUF of the model in a folder or zip archive to `target`, synced to disk.

    report: told the bytes written so far and all that there will be. Raises InvalidModelFile, DiskFull,
    StoreUnwritable. The same model gives the same bytes, wherever it comes from.
    """
    with opened(source) as package:
        shape = read_shape(package)
        vocabulary = read_vocabulary(package, shape.tokens)
        metadata = describe(shape, vocabulary, pooling(package))
        with package.open(WEIGHTS) as (file, size):
            if size > MAX_WEIGHT_BYTES:
                unusable(f"its weights have {size:,} bytes, more than {MAX_WEIGHT_BYTES:,}")
            stored = read_header(file, size)
            names = renamed(stored, shape)
            kept = [tensor for tensor in stored if tensor.name in names]
            placed = tensors((names[item.name], item.shape[::-1], _type_of(names[item.name], item)) for item in kept)
            total = sum(tensor.nbytes for tensor in placed)
            contents = _encoded(read_floats(file, stored, names), placed)
            with writing(target, total), target.open("wb") as out:
                for written in write(out, metadata, placed, contents):
                    report(written, max(total, written))
                out.flush()
                os.fsync(out.fileno())


def read_shape(package: Package) -> Shape:
    """Raises InvalidModelFile for a model of another kind than BERT, or sizes that can't be."""
    config = package.json("config.json")
    if config.get("model_type") != "bert":
        unusable(
            f"it is of the kind {config.get('model_type')!r}, not a BERT model",
            "smidgen converts BERT sentence embedders; fetch a GGUF of other models.",
        )
    if config.get("hidden_act", "gelu") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        unusable("its activation or its positions aren't those of llama.cpp's BERT", "Fetch a GGUF of the model.")
    epsilon = config.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        unusable(f"layer_norm_eps is {epsilon!r}")
    shape = Shape(
        layers=_size(config, "num_hidden_layers", MAX_LAYERS),
        width=_size(config, "hidden_size", MAX_WIDTH),
        inner=_size(config, "intermediate_size", MAX_WIDTH),
        heads=_size(config, "num_attention_heads", MAX_WIDTH),
        positions=_size(config, "max_position_embeddings", MAX_POSITIONS),
        tokens=_size(config, "vocab_size", MAX_TOKENS),
        token_types=_size(config, "type_vocab_size", 16),
        epsilon=epsilon,
    )
    if shape.width % shape.heads:
        unusable(f"its width of {shape.width} can't be divided by its {shape.heads} attention heads")
    return shape


def _size(config: Mapping[str, Any], key: str, most: int) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        unusable(f"{key} is {value!r}, not a whole number from 1 to {most:,}")
    return value


def pooling(package: Package) -> int:
    """How the tokens' vectors become one: as sentence-transformers' modules say, by default their mean. Raises
    InvalidModelFile for a module that llama.cpp's architecture doesn't have."""
    modules = package.json("1_Pooling/config.json")
    wanted = [key for key, value in modules.items() if key.startswith("pooling_mode_") and value is True]
    if not modules:
        return POOLINGS["pooling_mode_mean_tokens"]
    if len(wanted) != 1 or wanted[0] not in POOLINGS:
        unusable(f"its pooling is {' and '.join(wanted) or 'none'}", "Mean and CLS pooling can be converted.")
    if package.has("2_Dense/config.json"):
        unusable("it has a dense layer after the pooling", "Fetch a GGUF of the model.")
    return POOLINGS[wanted[0]]


def describe(shape: Shape, vocabulary: Vocabulary, pooling: int) -> dict[str, tuple[int, Value]]:
    """The metadata: (type, value) by key."""
    entries: dict[str, tuple[int, Value]] = {
        "general.architecture": (STRING, "bert"),
        "general.type": (STRING, "model"),
        "general.file_type": (UINT32, FILE_TYPE_F16),
        "general.quantization_version": (UINT32, 2),
        "bert.block_count": (UINT32, shape.layers),
        "bert.context_length": (UINT32, shape.positions),
        "bert.embedding_length": (UINT32, shape.width),
        "bert.feed_forward_length": (UINT32, shape.inner),
        "bert.attention.head_count": (UINT32, shape.heads),
        "bert.attention.layer_norm_epsilon": (FLOAT32, shape.epsilon),
        "bert.attention.causal": (BOOL, False),
        "bert.pooling_type": (UINT32, pooling),
        "tokenizer.ggml.model": (STRING, "bert"),
        "tokenizer.ggml.token_type_count": (UINT32, shape.token_types),
        "tokenizer.ggml.tokens": (ARRAY, array(STRING, vocabulary.texts)),
        "tokenizer.ggml.token_type": (ARRAY, array(INT32, vocabulary.types)),
    }
    keys = {
        "cls": ("bos", "cls"),
        "sep": ("seperator",),  # spelled so in the format
        "unk": ("unknown",),
        "pad": ("padding",),
        "mask": ("mask",),
    }
    for role, number in vocabulary.special.items():
        entries |= {f"tokenizer.ggml.{key}_token_id": (UINT32, number) for key in keys[role]}
    return entries


def renamed(stored: tuple[Stored, ...], shape: Shape) -> dict[str, str]:
    """Names in the GGUF by names in the file, without what isn't used for embeddings. Raises InvalidModelFile unless
    they are exactly the tensors of this model, each of its shape."""
    expected = _expected(shape)
    names: dict[str, str] = {}
    for tensor in stored:
        own = tensor.name.removeprefix("bert.")
        if _UNUSED.fullmatch(own):
            continue
        name = _renamed(own)
        if name not in expected or name in names.values():
            unusable(f"it has an unexpected tensor {tensor.name!r}", "Is it a BERT sentence embedder?")
        if tensor.shape != expected[name]:
            unusable(f"tensor {tensor.name!r} has the shape {tensor.shape}, not {expected[name]}")
        names[tensor.name] = name
    missing = sorted(expected.keys() - names.values())
    if missing:
        unusable(f"it has no tensor for {missing[0]}")
    return names


def _renamed(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    if match := _LAYER.fullmatch(name):
        part = LAYER_NAMES.get(match[2])
        return f"blk.{int(match[1])}.{part}.{_ENDINGS[match[3]]}" if part else ""
    stem, _, ending = name.rpartition(".")
    return f"{NAMES[stem]}.{_ENDINGS[ending]}" if stem in NAMES and ending in _ENDINGS else ""


def _expected(shape: Shape) -> dict[str, tuple[int, ...]]:
    width, inner = shape.width, shape.inner
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (shape.tokens, width),
        "position_embd.weight": (shape.positions, width),
        "token_types.weight": (shape.token_types, width),
        "token_embd_norm.weight": (width,),
        "token_embd_norm.bias": (width,),
    }
    matrices = {"ffn_up": (inner, width), "ffn_down": (width, inner)}
    for layer in range(shape.layers):
        for part in LAYER_NAMES.values():
            is_norm = part.endswith("norm")
            rows, columns = matrices.get(part, (width, width))
            found[f"blk.{layer}.{part}.weight"] = (width,) if is_norm else (rows, columns)
            found[f"blk.{layer}.{part}.bias"] = (rows,)
    return found


def _type_of(name: str, tensor: Stored) -> int:
    if name == "token_embd.weight":
        return Q8_0 if tensor.shape[-1] % BLOCK == 0 else F16
    is_matrix = len(tensor.shape) == 2 and name not in ("position_embd.weight", "token_types.weight")
    return F16 if is_matrix else F32


def _encoded(read: Iterator[tuple[Stored, NDArray[np.float32]]], placed: tuple[Tensor, ...]) -> Iterator[bytes]:
    for (tensor, values), target in zip(read, placed, strict=True):
        try:
            yield encode(values, target.type)
        except ValueError as error:
            unusable(f"tensor {tensor.name!r} can't be stored as {GGML_TYPES[target.type].name} ({error})")
