"""A GGUF of the llama architecture without training, small enough to be made in a test."""

from __future__ import annotations

import random
from pathlib import Path

from smidgen.models.gguf.format import ARRAY, FLOAT32, INT32, STRING, UINT32, Value
from smidgen.models.gguf.writer import array, tensors
from smidgen.models.gguf.writer import write as write_gguf

F32, Q5_0, Q8_0 = 0, 6, 8
"""Numbers of the types of weights in a GGUF file."""

LAYERS, WIDTH, INNER = 2, 64, 256
TOKENS = ("<unk>", "<s>", "</s>", "<|user|>", "a", "b", "▁a", *(f"<0x{byte:02X}>" for byte in range(256)))


def write(path: Path, *, kind: int = Q5_0, seed: int = 1) -> Path:
    """The file, in a folder that is made for it. Its layers' matrices are of type `kind`; their bytes are random, so
    its numbers are no use."""
    described: list[tuple[str, tuple[int, ...], int]] = [
        ("token_embd.weight", (WIDTH, len(TOKENS)), Q8_0),
        ("output_norm.weight", (WIDTH,), F32),
    ]
    for layer in range(LAYERS):
        described += [(f"blk.{layer}.{name}_norm.weight", (WIDTH,), F32) for name in ("attn", "ffn")]
        described += [(f"blk.{layer}.attn_{name}.weight", (WIDTH, WIDTH), kind) for name in ("q", "output")]
        described += [(f"blk.{layer}.attn_{name}.weight", (WIDTH, WIDTH // 2), kind) for name in ("k", "v")]
        described += [(f"blk.{layer}.ffn_{name}.weight", (WIDTH, INNER), kind) for name in ("gate", "up")]
        described.append((f"blk.{layer}.ffn_down.weight", (INNER, WIDTH), kind))
    placed, draw = tensors(described), random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for _ in write_gguf(file, _metadata(), placed, (draw.randbytes(tensor.nbytes) for tensor in placed)):
            pass
    return path


def _metadata() -> dict[str, tuple[int, Value]]:
    kinds = [2, 3, 3, 3, 1, 1, 1, *[6] * 256]  # unknown, control, normal, bytes
    return {
        "general.architecture": (STRING, "llama"),
        "llama.block_count": (UINT32, LAYERS),
        "llama.context_length": (UINT32, 2048),
        "llama.embedding_length": (UINT32, WIDTH),
        "llama.feed_forward_length": (UINT32, INNER),
        "llama.attention.head_count": (UINT32, 4),
        "llama.attention.head_count_kv": (UINT32, 2),
        "llama.rope.dimension_count": (UINT32, WIDTH // 4),
        "llama.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-5),
        "tokenizer.ggml.model": (STRING, "llama"),
        "tokenizer.ggml.tokens": (ARRAY, array(STRING, TOKENS)),
        "tokenizer.ggml.scores": (ARRAY, array(FLOAT32, [0.0] * len(TOKENS))),
        "tokenizer.ggml.token_type": (ARRAY, array(INT32, kinds)),
        "tokenizer.ggml.bos_token_id": (UINT32, 1),
        "tokenizer.ggml.eos_token_id": (UINT32, 2),
    }
