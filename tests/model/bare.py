"""What bare_greedy.py and bare_noise.py need of llama.cpp: its own functions, nothing of smidgen."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as native
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]
CELLS = 2048


class Model(NamedTuple):
    handle: Any
    vocab: Any

    def context(self, **options: Any) -> Any:
        """Two threads, no GPU and batches of up to 512, unless told otherwise."""
        params = native.llama_context_default_params()
        usual = {"n_ctx": CELLS, "n_batch": 512, "n_threads": 2, "n_threads_batch": 2, "op_offload": False}
        for name, value in {**usual, **options}.items():
            setattr(params, name, value)
        return native.llama_init_from_model(self.handle, params)

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        tokens = (native.llama_token * (len(data) + 8))()
        size = native.llama_tokenize(self.vocab, data, len(data), tokens, len(tokens), True, True)
        return tokens[:size]

    def piece(self, token: int) -> str:
        buffer = ctypes.create_string_buffer(256)
        length = native.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[: max(length, 0)].decode(errors="replace")

    def ends(self) -> list[int]:
        """Tokens that end a text."""
        count = native.llama_vocab_n_tokens(self.vocab)
        return [token for token in range(count) if native.llama_vocab_is_eog(self.vocab, token)]

    def log_probabilities(self, context: Any, index: int = -1) -> Row:
        """Of the token after the batch's token at `index`, which asked for them."""
        address = ctypes.cast(native.llama_get_logits_ith(context, index), ctypes.c_void_p).value
        assert address is not None
        row = (ctypes.c_float * native.llama_vocab_n_tokens(self.vocab)).from_address(address)
        logits = np.ctypeslib.as_array(row).astype(np.float64)
        shifted = logits - logits.max()
        return shifted - np.log(np.exp(shifted).sum())


def load(path: str) -> Model:
    native.llama_backend_init()
    params = native.llama_model_default_params()
    params.n_gpu_layers = 0
    handle: Any = native.llama_model_load_from_file(path.encode(), params)
    return Model(handle, native.llama_model_get_vocab(handle))
