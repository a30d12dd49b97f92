"""A small writer of GGUF files, good and bad, and a tiny valid model to start from."""

import contextlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import SmidgenError
from smidgen.models.catalog import builtin
from smidgen.models.library import Library

CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
U32, I32, F32, BOOL = 4, 5, 6, 7
BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    6: (32, 22),
    8: (32, 34),
    12: (256, 144),
    24: (1, 1),
    26: (1, 4),
    27: (1, 8),
}


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, content: Any) -> bytes:
    """Without the type number. An array's content is (element type, list)."""
    if kind == STRING:
        return text(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, item) for item in items)
    return struct.pack("<" + CODES[kind], content)


class GgufFile:
    """Keys are (name, type, content); tensors are (name, dims, type). Everything can be overridden to be wrong."""

    def __init__(self) -> None:
        self.magic = b"GGUF"
        self.version = 3
        self.keys: list[tuple[str | bytes, int, Any]] = []
        self.tensors: list[tuple[str | bytes, tuple[int, ...], int]] = []
        self.alignment = 32
        self.claimed_keys: int | None = None
        self.claimed_tensors: int | None = None
        self.claimed_rank: int | None = None
        self.offsets: dict[int, int] = {}
        self.data: bytes | None = None

    def set(self, name: str, kind: int, content: Any) -> "GgufFile":
        self.keys = [key for key in self.keys if key[0] != name] + [(name, kind, content)]
        return self

    def drop(self, name: str) -> "GgufFile":
        self.keys = [key for key in self.keys if key[0] != name]
        self.tensors = [tensor for tensor in self.tensors if tensor[0] != name]
        return self

    def tensor(self, name: str, dims: tuple[int, ...], kind: int) -> "GgufFile":
        self.tensors = [(name, dims, kind) if tensor[0] == name else tensor for tensor in self.tensors]
        if all(tensor[0] != name for tensor in self.tensors):
            self.tensors.append((name, dims, kind))
        return self

    def head(self) -> bytes:
        keys = len(self.keys) if self.claimed_keys is None else self.claimed_keys
        tensors = len(self.tensors) if self.claimed_tensors is None else self.claimed_tensors
        parts = [self.magic, struct.pack("<IQQ", self.version, tensors & (2**64 - 1), keys & (2**64 - 1))]
        for name, kind, content in self.keys:
            parts += [text(name), struct.pack("<I", kind), value(kind, content)]
        offset = 0
        for index, (name, dims, kind) in enumerate(self.tensors):
            rank = len(dims) if self.claimed_rank is None else self.claimed_rank
            parts += [text(name), struct.pack("<I", rank), *(struct.pack("<Q", size & (2**64 - 1)) for size in dims)]
            parts += [struct.pack("<IQ", kind, self.offsets.get(index, offset) & (2**64 - 1))]
            offset = self.padded(offset + self.nbytes(dims, kind))
        return b"".join(parts)

    def nbytes(self, dims: tuple[int, ...], kind: int) -> int:
        block, size = BLOCKS.get(kind, (1, 1))
        count = 1
        for dim in dims:
            count *= max(dim, 0)
        return count // block * size

    def padded(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment

    def build(self) -> bytes:
        head = self.head()
        if not self.tensors:
            return head
        head += b"\0" * (self.padded(len(head)) - len(head))
        if self.data is not None:
            return head + self.data
        return head + b"".join(bytes(self.padded(self.nbytes(dims, kind))) for _, dims, kind in self.tensors)


@pytest.fixture
def new_gguf() -> Callable[[], GgufFile]:
    """An empty file to fill."""
    return GgufFile


@pytest.fixture
def tiny_model() -> GgufFile:
    """A valid model of the llama architecture: 2 layers, width 64, 263 tokens."""
    file = GgufFile()
    tokens = ["<unk>", "<s>", "</s>", "<|user|>", "a", "b", "▁a", *(f"<0x{byte:02X}>" for byte in range(256))]
    for name, kind, content in (
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "Tiny Chat"),
        ("general.file_type", U32, 2),
        ("llama.block_count", U32, 2),
        ("llama.context_length", U32, 2048),
        ("llama.embedding_length", U32, 64),
        ("llama.feed_forward_length", U32, 128),
        ("llama.attention.head_count", U32, 4),
        ("llama.attention.head_count_kv", U32, 2),
        ("llama.rope.dimension_count", U32, 16),
        ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        ("tokenizer.ggml.scores", ARRAY, (F32, [0.0] * 263)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [2, 3, 3, 3, 1, 1, 1] + [6] * 256)),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
    ):
        file.set(name, kind, content)
    file.tensor("token_embd.weight", (64, 263), 0).tensor("output_norm.weight", (64,), 0)
    for layer in range(2):
        for name, dims, kind in (
            ("attn_norm", (64,), 0),
            ("attn_q", (64, 64), 2),
            ("attn_k", (64, 32), 2),
            ("attn_v", (64, 32), 2),
            ("attn_output", (64, 64), 2),
            ("ffn_norm", (64,), 0),
            ("ffn_gate", (64, 128), 8),
            ("ffn_up", (64, 128), 8),
            ("ffn_down", (128, 64), 8),
        ):
            file.tensor(f"blk.{layer}.{name}.weight", dims, kind)
    return file


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[bytes | GgufFile], Path]:
    """Writes bytes into a file and gives its path."""

    def save(content: bytes | GgufFile) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content if isinstance(content, bytes) else content.build())
        return path

    return save


@pytest.fixture(scope="session")
def real_models() -> dict[str, Path]:
    """Real model files by the catalogue's file names: those in the user's store, and those in the folders that
    SMIDGEN_TEST_MODELS lists. May be empty."""
    found: dict[str, Path] = {}
    for folder in os.environ.get("SMIDGEN_TEST_MODELS", "").split(os.pathsep):
        if folder:
            found.update((file.name, file) for file in sorted(Path(folder).glob("*.gguf")))
    library = Library()
    for entry in builtin().models:
        with contextlib.suppress(SmidgenError):
            found.setdefault(entry.file, Path(library.resolve(entry.name).path))
    return found
