"""One request for embeddings, a batch at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.llama import Backend
from smidgen.messages import Embeddings, Usage


class Embedding:
    """texts: token lists, one after the other. `advance` decodes one batch; `result` is there when all are done."""

    def __init__(self, texts: Sequence[Sequence[int]], backend: Backend) -> None:
        self._texts = texts
        self._backend = backend
        self._vectors: list[tuple[float, ...]] = []
        self._current: Generator[int, None, NDArray[np.float32]] | None = None
        self.result: Embeddings | None = None if texts else Embeddings(vectors=(), dimensions=0)

    @property
    def starts_text(self) -> bool:
        """The next batch is the first of a text, which needs `cells_wanted` cells until it is done."""
        return self._current is None

    @property
    def cells_wanted(self) -> int:
        return len(self._texts[len(self._vectors)])

    def advance(self) -> int:
        """Decode a batch; returns its tokens. Raises NoRoom, DecodeFailed, UnsupportedByModel."""
        if self._current is None:
            self._current = self._backend.embed(self._texts[len(self._vectors)])
        try:
            return next(self._current)
        except StopIteration as end:
            self._current = None
            self._vectors.append(tuple(end.value.tolist()))
        if len(self._vectors) == len(self._texts):
            self.result = Embeddings(
                vectors=tuple(self._vectors),
                dimensions=len(self._vectors[0]),
                usage=Usage(prompt_tokens=sum(len(text) for text in self._texts)),
            )
        return 0

    def close(self) -> None:
        """Free the cells of a text that isn't done."""
        if self._current is not None:
            self._current.close()
