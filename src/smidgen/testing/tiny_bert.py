"""A BERT sentence embedder without training, small enough to be made in a test: the files that publishers hand on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = ("the", "cat", "sat", "dog", "a", "un", "##want", "##ed", "run", "##n", "##ing", ",", ".", "!", "深", "cafe")

Weights = dict[str, NDArray[np.float32]]


def safetensors(tensors: Mapping[str, NDArray[Any]], dtype: str = "F32") -> bytes:
    """A safetensors file of these arrays, whose bytes are taken to be of `dtype`."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, values in tensors.items():
        data = values.tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + body


def weights(config: Mapping[str, Any], seed: int = 1) -> Weights:
    """Random ones, spread so that every part of the network matters for the result."""
    draw = np.random.default_rng(seed)
    width, inner = config["hidden_size"], config["intermediate_size"]

    def normal(*shape: int, spread: float = 0.0) -> NDArray[np.float32]:
        return (draw.standard_normal(shape) * (spread or shape[-1] ** -0.5)).astype(np.float32)

    def norm(name: str) -> Weights:
        return {f"{name}.weight": 1 + normal(width, spread=0.2), f"{name}.bias": normal(width, spread=0.2)}

    def linear(name: str, rows: int, columns: int) -> Weights:
        return {f"{name}.weight": normal(rows, columns, spread=1.5 * columns**-0.5), f"{name}.bias": normal(rows)}

    found: Weights = {
        "embeddings.word_embeddings.weight": normal(config["vocab_size"], width, spread=1.0),
        "embeddings.position_embeddings.weight": normal(config["max_position_embeddings"], width, spread=0.5),
        "embeddings.token_type_embeddings.weight": normal(config["type_vocab_size"], width, spread=0.5),
        **norm("embeddings.LayerNorm"),
    }
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            found |= linear(f"{prefix}attention.self.{part}", width, width)
        found |= linear(f"{prefix}attention.output.dense", width, width)
        found |= norm(f"{prefix}attention.output.LayerNorm")
        found |= linear(f"{prefix}intermediate.dense", inner, width)
        found |= linear(f"{prefix}output.dense", width, inner)
        found |= norm(f"{prefix}output.LayerNorm")
    return found | linear("pooler.dense", width, width)


def config(pieces: Sequence[str] = PIECES, **changes: Any) -> dict[str, Any]:
    """config.json of a model with two layers."""
    return {
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "vocab_size": len(SPECIAL) + len(pieces),
        **changes,
    }


def tokenizer(pieces: Sequence[str] = PIECES) -> dict[str, Any]:
    """tokenizer.json of an uncased vocabulary."""
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {piece: number for number, piece in enumerate((*SPECIAL, *pieces))},
        },
    }


def write(folder: Path, **changes: Any) -> Weights:
    """Writes the model into a folder, made if need be; `changes` are of its config.json. Returns its weights."""
    settings = config(**changes)
    tensors = weights(settings)
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    pooling = {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    for name, content in (
        ("config.json", settings),
        ("tokenizer.json", tokenizer()),
        ("tokenizer_config.json", {"do_lower_case": True, "cls_token": "[CLS]"}),
        ("1_Pooling/config.json", pooling),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(tensors))
    return tensors
