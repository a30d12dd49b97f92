"""The same questions in several wordings, through a cache of answers.

    python examples/cached/ask.py                     the answers are forgotten at the end
    python examples/cached/ask.py --store a.sqlite    they are kept, for the next time too

Prints how each was answered and how long that took. Needs a model, and the sentence embedder to find other wordings:
`smidgen models pull all-minilm-l6-v2`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import smidgen
from smidgen.patterns.cached import Cached
from smidgen.patterns.plain import Direct

QUESTIONS = (
    "How do I rename a file in Python?",
    "How do I rename a file in Python?",
    "Please tell me how I rename a file in Python.",
    "How do I rename a folder in Python?",
    "Who wrote Hamlet?",
    "Do you know who wrote Hamlet?",
    "Who wrote Faust?",
    "What time is it in Vienna?",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask questions through a cache of answers.")
    parser.add_argument("--model", default=None)
    parser.add_argument("--store", type=Path, default=None, help="a file to keep the answers in")
    arguments = parser.parse_args()
    answering = Direct(system="Answer in one sentence.", max_tokens=120, temperature=0.0)
    cached = Cached(pattern=answering, store=arguments.store)
    with smidgen.Runtime(model=arguments.model) as runtime:
        agent = smidgen.Agent(runtime=runtime, pattern=cached)
        for question in QUESTIONS:
            began = time.perf_counter()
            answer = agent.run(question)
            print(f"{time.perf_counter() - began:6.2f} s  {question}")
            print(f"          {answer.text.strip()}\n          {answer.strategy}")
    print(cached.store.summary())


if __name__ == "__main__":
    main()
