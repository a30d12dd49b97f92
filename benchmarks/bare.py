"""The bare llama.cpp loop, in a process of its own: what decode and prefill cost without smidgen around them.

Run by engine.py as `python bare.py MODEL THREADS CONTEXT BATCH`; answers one JSON line per JSON line:

    {"do": "describe"}                                  -> {"kv_bytes": int, "vocabulary": int}
    {"do": "run", "prompt": text, "new_tokens": int}    -> {"tokens": [...], "prompt_tokens": int,
                                                            "prefill_s": float, "decode_s": float}

`prefill_s` runs from the text to the first token's id, `decode_s` over the remaining `new_tokens` - 1; greedy, the
end of the text ignored, the cache emptied before each run. Settings are the library's own but for threads, context,
batch and the unified KV cache, which are the engine's. Between requests it waits on a pipe and burns nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import Any

os.environ["GGML_NO_BACKTRACE"] = "1"

import llama_cpp as lib
import numpy as np


@lib.llama_log_callback
def quiet(_level: int, _text: bytes, _data: object) -> None:
    pass


class BareLoop:
    def __init__(self, path: str, threads: int, context: int, batch: int) -> None:
        lib.llama_log_set(quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        model_params = lib.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self.model = lib.llama_model_load_from_file(path.encode(), model_params)
        params = lib.llama_context_default_params()
        params.n_ctx = context
        params.n_batch = params.n_ubatch = batch
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        self.context = lib.llama_init_from_model(self.model, params)
        self.vocabulary = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocabulary)
        self.cells, self.batch = context, batch

    def describe(self) -> dict[str, Any]:
        def figure(key: str, otherwise: int) -> int:
            buffer = ctypes.create_string_buffer(64)
            length = lib.llama_model_meta_val_str(self.model, f"{architecture}.{key}".encode(), buffer, 64)
            return int(buffer.value) if length > 0 else otherwise

        buffer = ctypes.create_string_buffer(64)
        lib.llama_model_meta_val_str(self.model, b"general.architecture", buffer, 64)
        architecture = buffer.value.decode()
        head = lib.llama_model_n_embd(self.model) // lib.llama_model_n_head(self.model)
        widths = figure("attention.key_length", head) + figure("attention.value_length", head)
        per_cell = 2 * widths * lib.llama_model_n_head_kv(self.model) * lib.llama_model_n_layer(self.model)
        return {"kv_bytes": per_cell * self.cells, "vocabulary": self.size}

    def tokenize(self, text: str) -> list[int]:
        raw = text.encode()
        tokens = (lib.llama_token * (len(raw) + 8))()
        count = lib.llama_tokenize(self.vocabulary, raw, len(raw), tokens, len(tokens), True, True)
        return list(tokens[:count])

    def step(self, tokens: Any, count: int) -> None:
        if lib.llama_decode(self.context, lib.llama_batch_get_one(tokens, count)) != 0:
            raise SystemExit("llama_decode failed")

    def greedy(self) -> int:
        address = ctypes.cast(lib.llama_get_logits_ith(self.context, -1), ctypes.c_void_p).value
        row = np.frombuffer((ctypes.c_float * self.size).from_address(address), dtype=np.float32)
        return int(row.argmax())

    def run(self, prompt: str, new_tokens: int) -> dict[str, Any]:
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)
        started = time.perf_counter()
        tokens = self.tokenize(prompt)
        for at in range(0, len(tokens), self.batch):
            chunk = tokens[at : at + self.batch]
            self.step((lib.llama_token * len(chunk))(*chunk), len(chunk))
        answer = [self.greedy()]
        prefilled = time.perf_counter()
        one = (lib.llama_token * 1)()
        for _ in range(new_tokens - 1):
            one[0] = answer[-1]
            self.step(one, 1)
            answer.append(self.greedy())
        ended = time.perf_counter()
        return {
            "tokens": answer,
            "prompt_tokens": len(tokens),
            "prefill_s": prefilled - started,
            "decode_s": ended - prefilled,
        }


def main() -> None:
    path, threads, context, batch = sys.argv[1:]
    loop = BareLoop(path, int(threads), int(context), int(batch))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = loop.describe() if request.pop("do") == "describe" else loop.run(**request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
