"""llama.cpp's own loop and greedy sampler, nothing of smidgen: `python bare_greedy.py MODEL COUNT < prompts.json`.

Prints, per prompt, the generated tokens as JSON: [text, log-probability, 20 likeliest as [text, log-probability]].
Run as a separate process by the tests.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
from bare import Model, load

ALTERNATIVES = 20


def main() -> None:
    path, count = sys.argv[1], int(sys.argv[2])
    model = load(path)
    print(json.dumps([continued(model, text, count) for text in json.load(sys.stdin)]))


def continued(model: Model, text: str, count: int) -> list[Any]:
    context = model.context()
    sampler = native.llama_sampler_init_greedy()
    made: list[Any] = []
    chunk = model.tokenize(text)
    while len(made) < count:
        batch = (native.llama_token * len(chunk))(*chunk)
        native.llama_decode(context, native.llama_batch_get_one(batch, len(chunk)))
        token = native.llama_sampler_sample(sampler, context, -1)
        if native.llama_vocab_is_eog(model.vocab, token):
            break
        values = model.log_probabilities(context)
        likeliest = np.argsort(-values)[:ALTERNATIVES].tolist()
        top = [[model.piece(other), float(values[other])] for other in likeliest]
        made.append([model.piece(token), float(values[token]), top])
        chunk = [token]
    native.llama_sampler_free(sampler)
    native.llama_free(context)
    return made


if __name__ == "__main__":
    main()
