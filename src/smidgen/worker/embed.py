"""Embeddings: one request, a batch at a time, and the vectors of earlier ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.llama import Backend
from smidgen.messages import Embeddings, Usage

KEPT_VECTORS = 4096
KEPT_FLOATS = 4_000_000

Tokens = tuple[int, ...]


class KeptVectors:
    """Vectors by their texts' tokens, the least recently used dropped first: tool descriptions come with every request.

    At most KEPT_VECTORS of them with KEPT_FLOATS floats of 4 bytes together."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[Tokens, NDArray[np.float32]] = OrderedDict()
        self._floats = 0
        self.hits = 0
        self.misses = 0

    def get(self, text: Tokens) -> NDArray[np.float32] | None:
        found = self._vectors.get(text)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
            self._vectors.move_to_end(text)
        return found

    def put(self, text: Tokens, vector: NDArray[np.float32]) -> None:
        if text in self._vectors:
            return
        self._vectors[text] = vector.copy()  # a row would keep its whole matrix
        self._floats += len(vector)
        while len(self._vectors) > KEPT_VECTORS or self._floats > KEPT_FLOATS:
            self._floats -= len(self._vectors.popitem(last=False)[1])


class Embedding:
    """texts: token lists. Those that are not in `kept` are decoded, equal ones once, an encoder's in groups that fit a
    batch. `advance` decodes one batch; `result` is there when all are done."""

    def __init__(self, texts: Sequence[Sequence[int]], backend: Backend, kept: KeptVectors) -> None:
        self._texts = [tuple(text) for text in texts]
        self._backend = backend
        self._kept = kept
        self._vectors: dict[Tokens, NDArray[np.float32]] = {}
        missing: dict[Tokens, None] = {}
        for text in self._texts:
            vector = kept.get(text)
            if vector is None:
                missing[text] = None
            else:
                self._vectors[text] = vector
        self._cached_tokens = sum(len(text) for text in self._texts if text not in missing)
        self._groups = list(_groups(list(missing), backend))
        self._current: Generator[int, None, NDArray[np.float32]] | None = None
        self.result: Embeddings | None = None if self._groups else self._finished()

    @property
    def starts_group(self) -> bool:
        """The next batch is the first of a group, which needs `cells_wanted` cells until it is done."""
        return self._current is None

    @property
    def cells_wanted(self) -> int:
        return sum(len(text) for text in self._groups[0])

    def advance(self) -> int:
        """Decode a batch; returns its tokens. Raises NoRoom, DecodeFailed, UnsupportedByModel."""
        if self._current is None:
            self._current = self._backend.embed(self._groups[0])
        try:
            return next(self._current)
        except StopIteration as end:
            self._current = None
            for text, vector in zip(self._groups.pop(0), end.value, strict=True):
                self._vectors[text] = vector
                self._kept.put(text, vector)
        if not self._groups:
            self.result = self._finished()
        return 0

    def _finished(self) -> Embeddings:
        vectors = tuple(tuple(self._vectors[text].tolist()) for text in self._texts)
        usage = Usage(prompt_tokens=sum(map(len, self._texts)), cached_tokens=self._cached_tokens)
        return Embeddings(vectors=vectors, dimensions=len(vectors[0]) if vectors else 0, usage=usage)

    def close(self) -> None:
        """Free the cells of a group that isn't done."""
        if self._current is not None:
            self._current.close()


def _groups(texts: Sequence[Tokens], backend: Backend) -> Iterator[list[Tokens]]:
    """Texts for one batch each, in order."""
    together = backend.sequences if backend.info.is_encoder_only else 1
    group: list[Tokens] = []
    tokens = 0
    for text in texts:
        if group and (len(group) == together or tokens + len(text) > backend.info.context):
            yield group
            group, tokens = [], 0
        group.append(text)
        tokens += len(text)
    if group:
        yield group
