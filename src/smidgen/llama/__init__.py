"""The native library, behind one contract. Nothing above this room knows which library it is.

`smidgen.llama.cpp.open_model` is the implementation over llama-cpp-python's low-level API; importing this package
imports no native code. All calls are synchronous and from one thread. Every argument is checked in Python before the
native call: an out-of-range value raises InvalidRequest, never aborts the process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smidgen.wire import LoadOptions, ModelInfo


class NoRoom(Exception):
    """The KV cache has no slot for this batch; nothing was changed. Free cells and try again."""


class DecodeFailed(Exception):
    """The library reported a failure for this batch (a status other than 0 and 1)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"decode failed with status {status}")
        self.status = status


class Backend(Protocol):
    """One open model with its context.

    Sequences are small integers in [0, sequences). Positions start at 0. A batch has at most `batch` tokens.
    """

    @property
    def info(self) -> ModelInfo: ...

    @property
    def sequences(self) -> int: ...

    @property
    def batch(self) -> int: ...

    @property
    def outputs(self) -> int:
        """Tokens of one batch that may ask for logits."""
        ...

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids of the text alone: no BOS added. With `special`, control tokens in the text are parsed as such."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; b"" for control tokens."""
        ...

    def decode(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        sequences: Sequence[Sequence[int]],
        wants_logits: NDArray[np.int8],
    ) -> None:
        """Run one batch. `sequences[i]` are the ids that own token i. Raises NoRoom, DecodeFailed, InvalidRequest."""
        ...

    def logits(self, index: int) -> NDArray[np.float32]:
        """Row of the token at this batch index; a writable view of shape (vocab,), valid until the next decode.
        Raises InvalidRequest if that token did not ask for logits."""
        ...

    def embed(self, texts: Sequence[Sequence[int]]) -> Generator[int, None, NDArray[np.float32]]:
        """Yields the number of tokens after each batch, so that other work can come between; returns unit vectors of
        shape (texts, embedding_size): the mean over tokens, or the pooling the model declares. Several texts are only
        for encoders, which take them in one batch: at most `sequences` of them, with at most `info.context` tokens
        together. Needs as many free cells as there are tokens; raises NoRoom without them. Closing the generator frees
        them."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target` share the cells [0, length) of `source`. With memory that can't rewind, `length` must be all of
        `source`."""
        ...

    def drop(self, sequence: int, start: int = 0) -> bool:
        """Forget positions from `start` on. False if this memory can't (then nothing changed); start 0 always can."""
        ...

    def length(self, sequence: int) -> int:
        """Positions held: highest position + 1, or 0."""
        ...

    def grammar_tokenizer(self) -> object:
        """An llguidance LLTokenizer for this vocabulary."""
        ...

    def render(self, messages: Sequence[tuple[str, str]], add_generation_prompt: bool) -> str:
        """The library's own rendering of the file's chat template. Raises UnsupportedByModel if it knows none."""
        ...

    def close(self) -> None: ...


OpenBackend = Callable[[LoadOptions, Callable[[float], None]], Backend]
"""Opens a model; the second argument is told the fraction loaded. Raises ModelLoadFailed, OutOfMemory."""
