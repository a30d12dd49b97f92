"""llama.cpp's own loop and greedy sampler, nothing of smidgen: `python bare_greedy.py MODEL COUNT < prompts.json`.

Prints, per prompt, the generated tokens as JSON: [text, log-probability, 20 likeliest as [text, log-probability]].
Run as a separate process by the tests.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
from numpy.typing import NDArray

ALTERNATIVES = 20


def main() -> None:
    path, count = sys.argv[1], int(sys.argv[2])
    native.llama_backend_init()
    model = native.llama_model_load_from_file(path.encode(), native.llama_model_default_params())
    vocab = native.llama_model_get_vocab(model)
    print(json.dumps([continued(model, vocab, text, count) for text in json.load(sys.stdin)]))


def continued(model: Any, vocab: Any, text: str, count: int) -> list[Any]:
    params = native.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_threads, params.n_threads_batch = 2048, 512, 2, 2
    context = native.llama_init_from_model(model, params)
    sampler = native.llama_sampler_init_greedy()
    data = text.encode()
    tokens = (native.llama_token * (len(data) + 8))()
    size = native.llama_tokenize(vocab, data, len(data), tokens, len(tokens), True, True)
    made: list[Any] = []
    chunk, length = tokens, size
    while len(made) < count:
        native.llama_decode(context, native.llama_batch_get_one(chunk, length))
        token = native.llama_sampler_sample(sampler, context, -1)
        if native.llama_vocab_is_eog(vocab, token):
            break
        values = log_probabilities(context, vocab)
        likeliest = np.argsort(-values)[:ALTERNATIVES].tolist()
        top = [[piece(vocab, other), float(values[other])] for other in likeliest]
        made.append([piece(vocab, token), float(values[token]), top])
        chunk, length = (native.llama_token * 1)(token), 1
    native.llama_sampler_free(sampler)
    native.llama_free(context)
    return made


def log_probabilities(context: Any, vocab: Any) -> NDArray[np.float64]:
    address = ctypes.cast(native.llama_get_logits_ith(context, -1), ctypes.c_void_p).value
    assert address is not None
    row = (ctypes.c_float * native.llama_vocab_n_tokens(vocab)).from_address(address)
    logits = np.frombuffer(row, dtype=np.float32).astype(np.float64)
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def piece(vocab: Any, token: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    length = native.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, False)
    return buffer.raw[: max(length, 0)].decode(errors="replace")


if __name__ == "__main__":
    main()
