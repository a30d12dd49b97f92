"""llama.cpp through llama-cpp-python's low-level API: one open model with its context, as a Backend.

Every argument is checked before the native call; the traps behind the checks are listed in docs/engine.md.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidRequest, ModelLoadFailed, OutOfMemory, UnsupportedByModel
from smidgen.llama import DecodeFailed, NoRoom
from smidgen.llama.binding import devices, function, lib, quiet, version
from smidgen.llama.vocabulary import Vocabulary
from smidgen.wire import LoadOptions, ModelInfo

MAX_SEQUENCES = 256
"""LLAMA_MAX_SEQ of the library; a context with more is refused by an assertion."""

_logits_at = function("llama_get_logits_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_embeddings_at = function("llama_get_embeddings_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_embeddings_of = function("llama_get_embeddings_seq", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_render = function(
    "llama_chat_apply_template",
    ctypes.c_int32,
    ctypes.c_char_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_bool,
    ctypes.c_char_p,
    ctypes.c_int32,
)


def open_model(options: LoadOptions, progress: Callable[[float], None]) -> CppBackend:
    """Load the file and make a context. Raises ModelLoadFailed, OutOfMemory, InvalidRequest."""
    quiet()
    lib.llama_backend_init()
    return CppBackend(options, progress)


class CppBackend:
    """See smidgen.llama.Backend. One sequence beyond `sequences` is kept for probing and embedding."""

    def __init__(self, options: LoadOptions, progress: Callable[[float], None]) -> None:
        if not 0 < options.sequences < MAX_SEQUENCES:
            raise InvalidRequest(f"sequences is {options.sequences}; it must be 1 to {MAX_SEQUENCES - 1}.")
        started = time.perf_counter()
        self.sequences = options.sequences
        if options.embeddings:
            # Mean pooling fails an assertion while a context is made in which these don't divide the batch.
            self.sequences = 2 ** ((options.sequences + 1).bit_length() - 1) - 1
        self.batch = options.batch
        self.outputs = self.sequences
        self._scratch = self.sequences
        self._options = options
        self._model = self._load(options, progress)
        self._context: object = None
        try:
            self._vocabulary = Vocabulary(self._model)
            self._context = self._make_context(options)
            progress(1.0)
            self._cells: int = lib.llama_n_ctx(self._context)  # the library rounds what was asked for up
            self._memory = lib.llama_get_memory(self._context)
            if not self._memory:
                # An encoder has a row per position and no more: the library reads beyond it, or aborts.
                self._cells = min(self._cells, lib.llama_model_n_ctx_train(self._model))
            self._batch = _Batch(options.batch, self.sequences + 1)
            self._embedding_size: int = lib.llama_model_n_embd(self._model)
            self._wants: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
            self.info = self._describe(started)
        except BaseException:
            self.close()
            raise

    # --- opening ----------------------------------------------------------------------------------------------------

    def _load(self, options: LoadOptions, progress: Callable[[float], None]) -> object:
        if not Path(options.path).is_file():
            raise ModelLoadFailed("The model file is not there any more.", hint="Pull the model again.")
        params = lib.llama_model_default_params()
        params.n_gpu_layers = options.gpu_layers if lib.llama_supports_gpu_offload() else 0
        if params.n_gpu_layers == 0:
            # An empty device list: a CPU run must not even initialise a GPU whose driver may be broken.
            self._no_devices = (ctypes.c_void_p * 1)(None)
            params.devices = ctypes.cast(self._no_devices, ctypes.c_void_p)
        params.load_mode = lib.LLAMA_LOAD_MODE_MMAP if options.use_mmap else lib.LLAMA_LOAD_MODE_NONE
        last = -1.0

        @lib.llama_progress_callback
        def report(fraction: float, _data: object) -> bool:
            nonlocal last
            if fraction - last >= 0.05 or fraction >= 1.0:
                last = fraction
                progress(float(fraction))
            return True

        params.progress_callback = report
        model = lib.llama_model_load_from_file(options.path.encode(), params)
        if not model:
            raise ModelLoadFailed(
                "The native library refused this model file.",
                hint="Its architecture may be newer than the installed llama.cpp; the worker's log has the reason.",
            )
        self._gpu_layers = int(params.n_gpu_layers)
        return model

    def _make_context(self, options: LoadOptions) -> object:
        params = lib.llama_context_default_params()
        params.n_ctx = options.context
        params.n_batch = params.n_ubatch = options.batch
        params.n_seq_max = self.sequences + 1
        # Bounds the logits buffers: 64 rows of a 152k vocabulary are 39 MB, the default of n_batch rows would be 311.
        params.n_outputs_max = self.sequences + 1
        threads = options.threads or 1
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.swa_full = options.swa_full
        params.offload_kqv = self._gpu_layers > 0
        params.op_offload = self._gpu_layers > 0
        params.no_perf = True
        if options.kv_bits == 8:
            params.type_k = params.type_v = lib.GGML_TYPE_Q8_0
        if options.embeddings:
            params.embeddings = True
            params.n_batch = params.n_ubatch = -(-max(options.batch, options.context) // MAX_SEQUENCES) * MAX_SEQUENCES
            params.n_outputs_max = 0
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise OutOfMemory(
                f"No context of {options.context} tokens could be made for this model.",
                hint="Try a smaller context or 8-bit KV cache.",
            )
        return context

    def _describe(self, started: float) -> ModelInfo:
        model, vocabulary = self._model, self._vocabulary
        text = ctypes.create_string_buffer(256)
        lib.llama_model_desc(model, text, 256)
        template = lib.llama_model_chat_template(model, None)
        encoder_only = not self._memory
        return ModelInfo(
            library=version(),
            description=text.value.decode(errors="replace"),
            vocab_size=vocabulary.size,
            context=self._cells,
            trained_context=lib.llama_model_n_ctx_train(model),
            embedding_size=self._embedding_size,
            layers=lib.llama_model_n_layer(model),
            parameters=lib.llama_model_n_params(model),
            size_bytes=lib.llama_model_size(model),
            state_bytes=lib.llama_state_get_size(self._context) if encoder_only else 0,
            can_rewind=not encoder_only and self._probe_rewind(),
            is_encoder_only=encoder_only,
            has_encoder=bool(lib.llama_model_has_encoder(model)),
            add_bos=vocabulary.add_bos,
            bos=vocabulary.bos,
            eos=vocabulary.eos,
            end_tokens=vocabulary.end_tokens(),
            control_tokens=vocabulary.control_texts(),
            devices=devices(),
            gpu_layers=self._gpu_layers,
            load_seconds=time.perf_counter() - started,
            native_template=template.decode(errors="replace") if template else "",
            closing=vocabulary.closing,
        )

    def _probe_rewind(self) -> bool:
        """Whether the last position can be taken back, tried on the model itself; sliding windows can't afterwards."""
        token = self._vocabulary.bos if self._vocabulary.bos >= 0 else 0
        row = np.array([token, token, token], dtype=np.int32)
        self.decode(row, np.arange(3, dtype=np.int32), [(self._scratch,)] * 3, np.zeros(3, dtype=np.int8))
        rewound = bool(lib.llama_memory_seq_rm(self._memory, self._scratch, 2, -1))
        lib.llama_memory_seq_rm(self._memory, self._scratch, -1, -1)
        window = lib.llama_model_n_swa(self._model)
        return rewound and (window <= 0 or self._options.swa_full or window >= self._options.context)

    # --- text -------------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, special: bool) -> list[int]:
        return self._vocabulary.tokenize(text, special)

    def piece(self, token: int) -> bytes:
        return self._vocabulary.piece(token)

    def grammar_tokenizer(self) -> object:
        from llguidance._lib import LLTokenizer  # type: ignore[attr-defined]

        vocabulary = self._vocabulary
        entry = ctypes.cast(lib._lib.llama_tokenize, ctypes.c_void_p).value
        ends = [vocabulary.eos, *(t for t in self.info.end_tokens if t != vocabulary.eos)]
        return LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]
            tokens=vocabulary.table(self._options.vocab_cache, self._options.sha256),
            vocab_ptr=vocabulary.handle,
            tokenize_fptr=entry,
            eos_token=ends,
            slices=None,
        )

    def render(self, messages: Sequence[tuple[str, str]], add_generation_prompt: bool) -> str:
        template = lib.llama_model_chat_template(self._model, None)
        if not template:
            raise UnsupportedByModel("This model file has no chat template.")
        chat = (lib.llama_chat_message * max(len(messages), 1))()
        for slot, (role, content) in zip(chat, messages, strict=False):
            slot.role, slot.content = role.encode(), content.encode()
        size = 1024 + 2 * sum(len(r.encode()) + len(c.encode()) + 64 for r, c in messages)
        buffer = ctypes.create_string_buffer(size)
        length = _render(template, chat, len(messages), add_generation_prompt, buffer, size)
        if length < 0:
            raise UnsupportedByModel("llama.cpp's own renderer doesn't know this chat template.")
        return buffer.raw[: min(length, size)].decode()

    # --- decoding ---------------------------------------------------------------------------------------------------

    def decode(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        sequences: Sequence[Sequence[int]],
        wants_logits: NDArray[np.int8],
    ) -> None:
        count = len(tokens)
        if not 0 < count <= self._options.batch:
            raise InvalidRequest(f"A batch of {count} tokens; 1 to {self._options.batch} are allowed.")
        if len(positions) != count or len(sequences) != count or len(wants_logits) != count:
            raise InvalidRequest("tokens, positions, sequences and wants_logits must have the same length.")
        if int(tokens.min()) < 0 or int(tokens.max()) >= self._vocabulary.size:
            raise InvalidRequest(f"A token is outside this vocabulary of {self._vocabulary.size}.")
        if int(positions.min()) < 0 or int(positions.max()) >= self._cells:
            raise InvalidRequest(f"A position is outside this context of {self._cells}.")
        if int(np.count_nonzero(wants_logits)) > self.outputs + 1:
            raise InvalidRequest(f"More than {self.outputs} tokens of one batch want logits.")
        self._batch.fill(tokens, positions, sequences, wants_logits)
        self._wants = np.zeros(0, dtype=np.int8)
        status = lib.llama_decode(self._context, self._batch.struct)
        if status == 1:
            raise NoRoom
        if status != 0:
            raise DecodeFailed(status)
        self._wants = wants_logits

    def logits(self, index: int) -> NDArray[np.float32]:
        if not 0 <= index < len(self._wants) or not self._wants[index]:
            raise InvalidRequest(f"No logits were asked for at batch index {index}.")
        return _row(_logits_at(self._context, index), self._vocabulary.size)

    def embed(self, texts: Sequence[Sequence[int]]) -> Generator[int, None, NDArray[np.float32]]:
        """Decoder models: mean over the last hidden states of all tokens, then unit length. Encoders: the model's own
        pooling."""
        count = sum(len(tokens) for tokens in texts)
        if not texts or not all(texts) or count > self._cells:
            raise InvalidRequest(f"{len(texts)} texts of {count} tokens; 1 to {self._cells} can be embedded.")
        if len(texts) > (1 if self._memory else self.sequences):
            raise InvalidRequest(f"{len(texts)} texts are more than this model embeds in one batch.")
        for tokens in texts:
            for token in tokens:
                self._vocabulary.check(token)
        if self._memory:
            vectors = (yield from self._embed_decoder(texts[0]))[np.newaxis]
        else:
            vectors = self._embed_encoder(texts)
            yield count
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not norms.all():
            raise UnsupportedByModel("This model gave no usable embedding for the text.")
        return (vectors / norms).astype(np.float32)

    def _embed_encoder(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Each text is a sequence of its own, and its tokens see no others."""
        row = np.concatenate([np.array(tokens, dtype=np.int32) for tokens in texts])
        positions = np.concatenate([np.arange(len(tokens), dtype=np.int32) for tokens in texts])
        owners = [(number,) for number, tokens in enumerate(texts) for _ in tokens]
        batch = _Batch(len(row), self.sequences + 1)
        batch.fill(row, positions, owners, np.ones(len(row), dtype=np.int8))
        status = lib.llama_encode(self._context, batch.struct)
        if status != 0:
            raise DecodeFailed(status)
        if _embeddings_of(self._context, 0):
            pooled = [_row(_embeddings_of(self._context, i), self._embedding_size) for i in range(len(texts))]
            return np.stack(pooled)
        rows = np.stack([_row(_embeddings_at(self._context, i), self._embedding_size) for i in range(len(row))])
        ends = np.cumsum([len(tokens) for tokens in texts])
        return np.stack([part.mean(axis=0) for part in np.split(rows, ends[:-1])])

    def _embed_decoder(self, tokens: Sequence[int]) -> Generator[int, None, NDArray[np.float32]]:
        total = np.zeros(self._embedding_size, dtype=np.float64)
        width = min(self.outputs, self._options.batch)
        try:
            for start in range(0, len(tokens), width):
                row = np.array(tokens[start : start + width], dtype=np.int32)
                positions = np.arange(start, start + len(row), dtype=np.int32)
                total += self._hidden_states(row, positions).sum(axis=0, dtype=np.float64)
                yield len(row)
        finally:
            lib.llama_memory_seq_rm(self._memory, self._scratch, -1, -1)
        return (total / len(tokens)).astype(np.float32)

    def _hidden_states(self, row: NDArray[np.int32], positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Of one batch on the scratch sequence, shape (len(row), embedding_size)."""
        lib.llama_set_embeddings(self._context, True)
        try:
            self.decode(row, positions, [(self._scratch,)] * len(row), np.ones(len(row), dtype=np.int8))
            return np.stack([_row(_embeddings_at(self._context, i), self._embedding_size) for i in range(len(row))])
        finally:
            lib.llama_set_embeddings(self._context, False)
            self._wants = np.zeros(0, dtype=np.int8)

    # --- sequences --------------------------------------------------------------------------------------------------

    def _check_sequence(self, sequence: int) -> None:
        if not 0 <= sequence < self.sequences:
            raise InvalidRequest(f"Sequence {sequence} is outside 0 to {self.sequences - 1}.")

    def copy(self, source: int, target: int, length: int) -> None:
        self._check_sequence(source)
        self._check_sequence(target)
        if length < 0 or source == target:
            raise InvalidRequest(f"Can't copy {length} cells from sequence {source} to {target}.")
        if length:
            lib.llama_memory_seq_cp(self._memory, source, target, 0, length if self.info.can_rewind else -1)

    def drop(self, sequence: int, start: int = 0) -> bool:
        self._check_sequence(sequence)
        if start < 0:
            raise InvalidRequest(f"Can't drop from position {start}.")
        return bool(lib.llama_memory_seq_rm(self._memory, sequence, start if start else -1, -1))

    def length(self, sequence: int) -> int:
        self._check_sequence(sequence)
        return lib.llama_memory_seq_pos_max(self._memory, sequence) + 1

    def close(self) -> None:
        if self._context:
            lib.llama_free(self._context)
            self._context = None
        if self._model:
            lib.llama_model_free(self._model)
            self._model = None


class _Batch:
    """A llama_batch over numpy arrays, filled without Python loops where every token has one sequence."""

    def __init__(self, capacity: int, max_sequences: int) -> None:
        self.tokens = np.zeros(capacity, dtype=np.int32)
        self.positions = np.zeros(capacity, dtype=np.int32)
        self.counts = np.ones(capacity, dtype=np.int32)
        self.wants = np.zeros(capacity, dtype=np.int8)
        self.ids = np.zeros(capacity, dtype=np.int32)
        self.pointers = np.zeros(capacity, dtype=np.uintp)
        self.max_sequences = max_sequences
        struct = lib.llama_batch()
        for field, array in (
            ("token", self.tokens),
            ("pos", self.positions),
            ("n_seq_id", self.counts),
            ("logits", self.wants),
            ("seq_id", self.pointers),
        ):
            kind = dict(lib.llama_batch._fields_)[field]
            setattr(struct, field, ctypes.cast(array.ctypes.data, kind))
        struct.embd = None
        self.struct = struct

    def fill(
        self,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        sequences: Sequence[Sequence[int]],
        wants: NDArray[np.int8],
    ) -> None:
        count = len(tokens)
        flat = [sequence for owners in sequences for sequence in owners]
        if not flat or min(flat) < 0 or max(flat) >= self.max_sequences:
            raise InvalidRequest(f"A sequence id is outside 0 to {self.max_sequences - 1}.")
        if len(flat) > len(self.ids):
            self.ids = np.zeros(2 * len(flat), dtype=np.int32)
        self.ids[: len(flat)] = flat
        counts = np.fromiter((len(owners) for owners in sequences), dtype=np.int32, count=count)
        if int(counts.min()) < 1:
            raise InvalidRequest("A token of the batch belongs to no sequence.")
        self.counts[:count] = counts
        starts = np.cumsum(counts, dtype=np.int64) - counts
        self.pointers[:count] = (starts * self.ids.itemsize + self.ids.ctypes.data).astype(np.uintp)
        self.tokens[:count], self.positions[:count], self.wants[:count] = tokens, positions, wants
        self.struct.n_tokens = count


def _row(address: int | None, size: int) -> NDArray[np.float32]:
    if not address:
        raise DecodeFailed(-1)
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(address))
