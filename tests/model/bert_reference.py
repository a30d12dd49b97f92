"""BERT's forward pass in numpy on the publisher's weights, and its tokenizer by the published rules: what the engine's
vectors are compared with. Written from the paper and the reference implementation's description; shares no code with
smidgen.
"""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Reference:
    """`folder`: config.json, tokenizer.json and model.safetensors in 32-bit floats."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        data = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(data[:8], "little")
        self.weights: dict[str, Array] = {}
        for name, entry in json.loads(data[8 : 8 + length]).items():
            if name != "__metadata__" and entry["dtype"] == "F32":
                start, end = entry["data_offsets"]
                raw = np.frombuffer(data[8 + length + start : 8 + length + end], dtype="<f4")
                self.weights[name] = raw.reshape(entry["shape"]).astype(np.float64)

    def embed(self, text: str) -> Array:
        """A unit vector: the mean over all tokens, [CLS] and [SEP] included."""
        tokens = [self.vocabulary["[CLS]"], *self.tokens(text), self.vocabulary["[SEP]"]]
        mean = self.hidden(tokens).mean(axis=0)
        return mean / np.linalg.norm(mean)

    def tokens(self, text: str) -> list[int]:
        dropped = ("Cc", "Cf", "Co")
        kept = (c for c in text if c in "\t\n\r" or (c != "\ufffd" and unicodedata.category(c) not in dropped))
        text = "".join(f" {c} " if "CJK UNIFIED" in unicodedata.name(c, "") else c for c in kept)
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        text = "".join(c.lower() for c in text)
        marked = "".join(f" {c} " if is_mark(c) else c for c in text)
        return [token for word in marked.split() for token in self.pieces(word)]

    def pieces(self, word: str) -> list[int]:
        found: list[int] = []
        rest = word
        while rest and len(word) <= 100:
            prefix = "##" if found else ""
            size = next((n for n in range(len(rest), 0, -1) if prefix + rest[:n] in self.vocabulary), 0)
            if not size:
                return [self.vocabulary["[UNK]"]]
            found.append(self.vocabulary[prefix + rest[:size]])
            rest = rest[size:]
        return found or [self.vocabulary["[UNK]"]]

    def hidden(self, tokens: list[int]) -> Array:
        """Shape (tokens, hidden_size)."""
        embedded = self.weights["embeddings.word_embeddings.weight"][tokens]
        embedded = embedded + self.weights["embeddings.position_embeddings.weight"][: len(tokens)]
        embedded = embedded + self.weights["embeddings.token_type_embeddings.weight"][0]
        state = self.norm("embeddings.LayerNorm", embedded)
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"encoder.layer.{layer}."
            mixed = self.linear(prefix + "attention.output.dense", self.attention(prefix + "attention.self.", state))
            state = self.norm(prefix + "attention.output.LayerNorm", state + mixed)
            inner = self.linear(prefix + "intermediate.dense", state)
            inner = inner * 0.5 * (1.0 + np.vectorize(math.erf)(inner / math.sqrt(2.0)))
            state = self.norm(prefix + "output.LayerNorm", state + self.linear(prefix + "output.dense", inner))
        return state

    def attention(self, prefix: str, state: Array) -> Array:
        heads = self.config["num_attention_heads"]
        query, key, value = (
            self.linear(prefix + part, state).reshape(len(state), heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ value).swapaxes(0, 1).reshape(len(state), -1)

    def linear(self, name: str, state: Array) -> Array:
        return state @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name: str, state: Array) -> Array:
        centred = state - state.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "P" or (
        letter.isascii() and not letter.isalnum() and not letter.isspace()
    )
