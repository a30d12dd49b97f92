"""Measure caches of answers: how near requests must be to share one, and what a hit takes beside a generation.

    python benchmarks/caches.py [--banking77 train.csv] [--only near|time] [--model NAME] [--pairs N] [--seed N]

near: caches.toml has pairs written for choosing a threshold: the same question in other words, and questions that only
look alike. For each threshold, how many would share an answer, by the cosine alone and with the rules of
`smidgen.patterns.cached.alike`. With --banking77 (text,category; of the data set of that name), a draw of its questions
is asked one after another of a cache that keeps all: how many are answered from it, and how many of those with the
answer to a question of another intent. Two questions of one intent need not be the same question, so that is the least
that is wrong, not all.

time: a hit beside a generation of the same answer, by turns, the first one changing; and what the smaller caches save.

Predicted before any was measured: by the cosine alone, more than half of the pairs that only look alike share an answer
at 0.92, and 5 to 10 % of banking77's hits are of another intent; with the rules none of the pairs and at most 2 %; a
hit takes less than a hundredth of a generation. The rules were tuned on the pairs of caches.toml, not on banking77.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import random
import statistics
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("SMIDGEN_AUDIT", "off")
os.environ.setdefault("SMIDGEN_TUNED", "off")

import numpy as np
from measurement import Spread

from smidgen.config import load_config
from smidgen.eval.intervals import wilson
from smidgen.messages import Message
from smidgen.patterns.cached import Cached
from smidgen.patterns.cached.alike import difference
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime

THRESHOLDS = (0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98)
PAIRS = Path(__file__).with_name("caches.toml")
QUESTION = "Explain in two sentences what a hash table is."
IN_OTHER_WORDS = "Please explain in two sentences what a hash table is."


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure caches of answers.")
    parser.add_argument("--banking77", type=Path, help="a CSV file of questions with their intents")
    parser.add_argument("--sample", type=int, default=3000)
    parser.add_argument("--only", choices=("near", "time"))
    parser.add_argument("--model", default=None)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments))


async def measure(arguments: argparse.Namespace) -> None:
    async with Runtime(load_config(), model=arguments.model) as runtime:
        if arguments.only != "time":
            await near(runtime)
            if arguments.banking77:
                await stream(runtime, arguments.banking77, arguments.sample, arguments.seed)
        if arguments.only != "near":
            await times(runtime, arguments.pairs)


async def vectors(runtime: Runtime, texts: Sequence[str]) -> np.ndarray:
    found: list[tuple[float, ...]] = []
    for start in range(0, len(texts), 100):
        embedded = await runtime.aembed(texts[start : start + 100], model=runtime.embedder_name())
        found += embedded.vectors
    return np.asarray(found, dtype=np.float32)


# --- how near -------------------------------------------------------------------------------------------------------


async def near(runtime: Runtime) -> None:
    written: dict[str, list[list[str]]] = tomllib.loads(PAIRS.read_text("utf-8"))
    rows: dict[str, list[tuple[float, bool]]] = {}
    for kind, pairs in written.items():
        first = await vectors(runtime, [one for one, _ in pairs])
        second = await vectors(runtime, [other for _, other in pairs])
        cosines = (first * second).sum(axis=1)
        rows[kind] = [
            (float(cosine), not difference(one, other)) for cosine, (one, other) in zip(cosines, pairs, strict=True)
        ]
    print(f"\nown pairs: {len(rows['same'])} that mean the same, {len(rows['other'])} that don't\n")
    print("| threshold | same, cosine alone | other, cosine alone | same, with the rules | other, with the rules |")
    print("|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        counts = [
            sum(cosine >= threshold and (may or not ruled) for cosine, may in rows[kind])
            for ruled in (False, True)
            for kind in ("same", "other")
        ]
        print(f"| {threshold:.2f} | " + " | ".join(map(str, counts)) + " |")


async def stream(runtime: Runtime, path: Path, sample: int, seed: int) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = random.Random(seed).sample(rows, min(sample, len(rows)))
    texts, intents = [row["text"] for row in rows], [row["category"] for row in rows]
    found = await vectors(runtime, texts)
    cosines = found @ found.T
    print(f"\nbanking77: {len(texts)} questions one after another, seed {seed}\n")
    print("| threshold | hits, cosine alone | of another intent | hits, with the rules | of another intent |")
    print("|---|---|---|---|---|")
    for threshold in THRESHOLDS:
        cells: list[str] = []
        for allowed in (anything, by_the_rules):
            hits, wrong = answered(texts, intents, cosines, threshold, allowed)
            low, high = wilson(wrong, hits) if hits else (0.0, 0.0)
            cells += [str(hits), f"{wrong} ({low:.1%} to {high:.1%})"]
        print(f"| {threshold:.2f} | " + " | ".join(cells) + " |")


def anything(_: str, __: str) -> bool:
    return True


def by_the_rules(one: str, other: str) -> bool:
    return not difference(one, other)


def answered(
    texts: Sequence[str],
    intents: Sequence[str],
    cosines: np.ndarray,
    threshold: float,
    allowed: Callable[[str, str], bool],
) -> tuple[int, int]:
    """Hits, and those with another intent. What is answered from the cache isn't kept again."""
    kept: list[int] = []
    hits = wrong = 0
    for number, text in enumerate(texts):
        row = cosines[number, kept]
        for place in map(int, np.argsort(-row)):
            if row[place] < threshold:
                kept.append(number)
                break
            if allowed(text, texts[kept[place]]):
                hits += 1
                wrong += intents[number] != intents[kept[place]]
                break
        else:
            kept.append(number)
    return hits, wrong


# --- what it takes --------------------------------------------------------------------------------------------------


async def times(runtime: Runtime, pairs: int) -> None:
    """In each round one generation and a hit of each kind, the generation first or last by turns."""
    pattern = Direct(max_tokens=80, temperature=0.0)
    plain = Agent(runtime=runtime, pattern=pattern)
    with tempfile.TemporaryDirectory() as folder:
        caches = {
            "in memory": Cached(pattern=pattern),
            "in a file": Cached(pattern=pattern, store=Path(folder) / "answers.sqlite"),
        }
        for cached in caches.values():
            await Agent(runtime=runtime, pattern=cached).arun(QUESTION)
        generations: list[float] = []
        hits: dict[str, list[float]] = {}
        for number in range(-1, pairs):
            if number % 2:
                generations.append(await timed(plain, QUESTION, ""))
            for place, cached in caches.items():
                agent = Agent(runtime=runtime, pattern=cached)
                # Each time in words of its own, so that the embedder's cache can't have it.
                asked = IN_OTHER_WORDS.replace(".", "." * (2 * number + (4 if place == "in memory" else 5)))
                hits.setdefault(f"the same, {place}", []).append(await timed(agent, QUESTION, "cached: exact"))
                hits.setdefault(f"in other words, {place}", []).append(await timed(agent, asked, "cached: by meaning"))
            if not number % 2:
                generations.append(await timed(plain, QUESTION, ""))
        for cached in caches.values():
            cached.store.close()
    print(f"\ntimes: {runtime.model_name}, {pairs} rounds; medians, least and most\n")
    print("| | milliseconds | of the generation's time |")
    print("|---|---|---|")
    for name, spent in hits.items():
        ratios = [hit / generation for hit, generation in zip(spent[1:], generations[1:], strict=True)]
        print(f"| {name} | {shown(Spread.of(spent[1:]))} | {shown(Spread.of(ratios), 4)} |")
    print(f"| the generation | {shown(Spread.of(generations[1:]))} | 1 |")
    await smaller(runtime)


async def timed(agent: Agent, question: str, strategy: str) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    answer = await agent.arun(question)
    spent = time.perf_counter() - began
    if strategy not in answer.strategy:
        raise SystemExit(f"{question!r} was answered by {answer.strategy!r}, not by {strategy!r}")
    return spent * 1000


async def smaller(runtime: Runtime) -> None:
    """What a cache in front of rendering and of the embedder's own cache could save."""
    texts = [f"text number {number} of those that a tool is described by" for number in range(20)]
    await vectors(runtime, texts)
    found: list[float] = []
    for _ in range(50):
        began = time.perf_counter()
        await runtime.aembed(texts, model=runtime.embedder_name())
        found.append((time.perf_counter() - began) * 1000)
    print(f"| 20 vectors that the embedder's worker kept | {shown(Spread.of(found))} | |")
    turns = [Message(role=("user", "assistant")[number % 2], content="some words " * 40) for number in range(13)]
    async with runtime.lease() as lease:
        for name, messages in (("one message", turns[:1]), ("13 messages", turns)):
            spent: list[float] = []
            for _ in range(50):
                began = time.perf_counter()
                lease.model.template.render(messages)
                spent.append((time.perf_counter() - began) * 1000)
            print(f"| rendering a conversation, {name} | {statistics.median(spent):.3f} | |")


def shown(spread: Spread, digits: int = 1) -> str:
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


if __name__ == "__main__":
    main()
