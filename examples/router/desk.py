"""A shop's desk that sorts requests by intent and answers most of them without a model.

    python examples/router/desk.py                         a few requests
    python examples/router/desk.py "Do you open at eight?"

Prints each answer, which way led to it, and how long it took. Needs the embedder and a model:
`smidgen models pull all-minilm-l6-v2` and `smidgen models pull`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import smidgen

REQUESTS = (
    "what time do you shut tonight?",
    "My parcel still hasn't come.",
    "It's order KL-2041, where is it?",
    "a gift card for eighty euros please",
    "one voucher of 5 euros",
    "The trousers are too tight, can I bring them back?",
    "I'm 190 cm tall and broad, which size?",
    "Who won the match yesterday?",
)


def main() -> int:
    requests = sys.argv[1:] or REQUESTS
    with smidgen.Runtime() as runtime:
        desk = smidgen.Agent(runtime=runtime, pattern=Path(__file__).with_name("shop.toml"))
        desk.run("hello")  # embeds the examples and trains
        for request in requests:
            start = time.perf_counter()
            answer = desk.run(request)
            took = time.perf_counter() - start
            print(f"> {request}\n{answer.text}\n  [{answer.strategy}, {took * 1000:.0f} ms]\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
