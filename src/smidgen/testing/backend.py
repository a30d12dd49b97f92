"""A Backend without a model: a token per byte, logits that are a hash of the last tokens, honest bookkeeping of cells.

What the real library aborts on or refuses, this one refuses as the contract says, so that a caller's mistake shows.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidRequest
from smidgen.llama import NoRoom
from smidgen.wire import LoadOptions, ModelInfo

CONTROL = ("<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>")
BOS, EOS, IM_START, IM_END = 256, 257, 258, 259
MEMORY = 8
"""Tokens that the next one depends on."""
EMBEDDING_SIZE = 16
END_EVERY = 199
"""One context in this many has the end of the answer as its likeliest continuation."""
PRINTABLE = np.arange(32, 127)


class _Cell:
    """One position in the KV cache, shared by the sequences that own it."""

    __slots__ = ("owners", "token")

    def __init__(self, token: int) -> None:
        self.token = token
        self.owners = 0


class FakeBackend:
    """See smidgen.llama.Backend. `control` adds control tokens; `step_s` is how long each decode takes; an `encoder`
    embeds several texts in one batch, and ends each with EOS."""

    def __init__(
        self, options: LoadOptions, *, control: Sequence[str] = (), step_s: float = 0.0, encoder: bool = False
    ) -> None:
        self._control = (*CONTROL, *control)
        self._ids = {text: 256 + index for index, text in enumerate(self._control)}
        self._special = re.compile("|".join(re.escape(text) for text in self._control).encode())
        self._options = options
        self._step_s = step_s
        self._cells: list[list[_Cell]] = [[] for _ in range(options.sequences)]
        self._used = 0
        self._rows: dict[int, tuple[int, ...]] = {}
        self._closed = False
        self._encoder = encoder

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            library="fake",
            description="one token per byte",
            vocab_size=256 + len(self._control),
            context=self._options.context,
            trained_context=self._options.context,
            embedding_size=EMBEDDING_SIZE,
            layers=1,
            parameters=1000,
            size_bytes=1000,
            state_bytes=1000,
            can_rewind=True,
            is_encoder_only=self._encoder,
            has_encoder=False,
            add_bos=True,
            bos=BOS,
            eos=EOS,
            end_tokens=(EOS, IM_END),
            control_tokens=self._control,
            devices=("CPU",),
            gpu_layers=0,
            load_seconds=0.0,
            native_template="chatml",
            closing=EOS if self._encoder else -1,
        )

    @property
    def sequences(self) -> int:
        return self._options.sequences

    @property
    def batch(self) -> int:
        return self._options.batch

    @property
    def outputs(self) -> int:
        return self._options.batch

    @property
    def cells_used(self) -> int:
        return self._used

    def tokenize(self, text: str, special: bool) -> list[int]:
        data = text.encode()
        if not special:
            return list(data)
        tokens: list[int] = []
        start = 0
        for found in self._special.finditer(data):
            tokens += data[start : found.start()]
            tokens.append(self._ids[found.group().decode()])
            start = found.end()
        tokens += data[start:]
        return tokens

    def piece(self, token: int) -> bytes:
        self._check_token(token)
        return bytes([token]) if token < 256 else b""

    def held(self, sequence: int) -> tuple[int, ...]:
        """The tokens that a sequence has in its cells."""
        self._check_sequence(sequence)
        return tuple(cell.token for cell in self._cells[sequence])

    def decode(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        sequences: Sequence[Sequence[int]],
        wants_logits: NDArray[np.int8],
    ) -> None:
        count = len(tokens)
        if not 1 <= count <= self.batch:
            raise InvalidRequest(f"A batch has 1 to {self.batch} tokens, not {count}.")
        if not count == len(positions) == len(sequences) == len(wants_logits):
            raise InvalidRequest("The batch's arrays differ in length.")
        lengths = [len(cells) for cells in self._cells]
        for token, position, owners in zip(tokens.tolist(), positions.tolist(), sequences, strict=True):
            self._check_token(token)
            if not owners:
                raise InvalidRequest("A token belongs to no sequence.")
            for owner in owners:
                self._check_sequence(owner)
                if position != lengths[owner]:
                    raise InvalidRequest(f"Sequence {owner} continues at {lengths[owner]}, not at {position}.")
                lengths[owner] += 1
        if self._used + count > self._options.context:
            raise NoRoom
        if self._step_s:
            time.sleep(self._step_s)
        self._rows = {}
        for index, (token, owners) in enumerate(zip(tokens.tolist(), sequences, strict=True)):
            cell = _Cell(token)
            self._used += 1
            for owner in owners:
                cell.owners += 1
                self._cells[owner].append(cell)
            if wants_logits[index]:
                self._rows[index] = tuple(cell.token for cell in self._cells[owners[0]][-MEMORY:])

    def logits(self, index: int) -> NDArray[np.float32]:
        if index not in self._rows:
            raise InvalidRequest(f"Token {index} of the batch asked for no logits.")
        seed = zlib.crc32(np.array(self._rows[index], dtype=np.int32).tobytes())
        row = np.full(256 + len(self._control), -20.0, dtype=np.float32)
        mixed = (np.uint64(seed) + PRINTABLE.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        row[PRINTABLE] = (mixed >> np.uint64(40)).astype(np.float32) * np.float32(8.0 / (1 << 24))
        row[EOS] = 9.0 if seed % END_EVERY == 0 else -5.0
        return row

    def embed(self, texts: Sequence[Sequence[int]]) -> Generator[int, None, NDArray[np.float32]]:
        if not texts or not all(texts):
            raise InvalidRequest("Nothing to embed.")
        if len(texts) > (self.sequences if self._encoder else 1):
            raise InvalidRequest(f"{len(texts)} texts in one batch.")
        vectors = np.zeros((len(texts), EMBEDDING_SIZE), dtype=np.float32)
        for vector, tokens in zip(vectors, texts, strict=True):
            for token in tokens:
                self._check_token(token)
                mixed = zlib.crc32(token.to_bytes(4, "little"))
                vector[mixed % EMBEDDING_SIZE] += 1.0 + (mixed >> 16) / 65536.0
        yield sum(map(len, texts))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def copy(self, source: int, target: int, length: int) -> None:
        self._check_sequence(source)
        self._check_sequence(target)
        if source == target or self._cells[target]:
            raise InvalidRequest(f"Sequence {target} isn't empty.")
        if not 0 <= length <= len(self._cells[source]):
            raise InvalidRequest(f"Sequence {source} has {len(self._cells[source])} cells, not {length}.")
        for cell in self._cells[source][:length]:
            cell.owners += 1
            self._cells[target].append(cell)

    def drop(self, sequence: int, start: int = 0) -> bool:
        self._check_sequence(sequence)
        if start < 0:
            raise InvalidRequest(f"Position {start} is negative.")
        cells = self._cells[sequence]
        while len(cells) > start:
            cell = cells.pop()
            cell.owners -= 1
            self._used -= cell.owners == 0
        return True

    def length(self, sequence: int) -> int:
        self._check_sequence(sequence)
        return len(self._cells[sequence])

    def grammar_tokenizer(self) -> object:
        import llguidance

        return llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Vocabulary(self._control)))

    def render(self, messages: Sequence[tuple[str, str]], add_generation_prompt: bool) -> str:
        turns = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages)
        return turns + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    def close(self) -> None:
        self._closed = True

    def _check_token(self, token: int) -> None:
        if not 0 <= token < 256 + len(self._control):
            raise InvalidRequest(f"Token {token} is out of range.")

    def _check_sequence(self, sequence: int) -> None:
        if self._closed:
            raise InvalidRequest("The model is closed.")
        if not 0 <= sequence < self._options.sequences:
            raise InvalidRequest(f"Sequence {sequence} is out of range.")


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    def __init__(self, control: Sequence[str]) -> None:
        self.bos_token_id = BOS
        self.eos_token_id = EOS
        self.tokens = [bytes([value]) for value in range(256)] + [text.encode() for text in control]
        self.special_token_ids = list(range(256, 256 + len(control)))

    def __call__(self, text: bytes) -> list[int]:
        return list(text)
