"""llama.cpp's own loop and greedy sampler, nothing of smidgen: `python bare_greedy.py MODEL COUNT < prompts.json`.

Prints, per prompt, the generated token ids as JSON. Run as a separate process by the tests.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import llama_cpp.llama_cpp as native


def main() -> None:
    path, count = sys.argv[1], int(sys.argv[2])
    native.llama_backend_init()
    model = native.llama_model_load_from_file(path.encode(), native.llama_model_default_params())
    vocab = native.llama_model_get_vocab(model)
    print(json.dumps([continued(model, vocab, text, count) for text in json.load(sys.stdin)]))


def continued(model: Any, vocab: Any, text: str, count: int) -> list[int]:
    params = native.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_threads, params.n_threads_batch = 2048, 512, 2, 2
    context = native.llama_init_from_model(model, params)
    sampler = native.llama_sampler_init_greedy()
    data = text.encode()
    tokens = (native.llama_token * (len(data) + 8))()
    size = native.llama_tokenize(vocab, data, len(data), tokens, len(tokens), True, True)
    made: list[int] = []
    chunk, length = tokens, size
    while len(made) < count:
        native.llama_decode(context, native.llama_batch_get_one(chunk, length))
        token = native.llama_sampler_sample(sampler, context, -1)
        if native.llama_vocab_is_eog(vocab, token):
            break
        made.append(token)
        chunk, length = (native.llama_token * 1)(token), 1
    native.llama_sampler_free(sampler)
    native.llama_free(context)
    return made


if __name__ == "__main__":
    main()
