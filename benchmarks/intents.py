"""Which intent, and is it any: the router's head against plain nearest means and a model that is asked.

    python benchmarks/intents.py --clinc train_val.json --banking train.csv [--shots 10] [--seeds 3] [--ask N]

CLINC150: so many examples of each of 150 intents are drawn from `train` by the seed, all of `val` and `oos_val` are
asked. BANKING77 has one file here: of a fixed half the examples are drawn, and all of the other half is asked. Every
choice in smidgen's code was made on CLINC150's `train` and `oos_train` and on the first half of BANKING77, except that
settings of the kernel, which made little difference, were tried on samples of all of BANKING77 before it was split.

No example of what is out of scope is used, except in the row that says so: it gets 50 of `oos_train`. An answer to a
request in scope counts as right if it is accepted and of the right intent. `rejects` is the setting of the same name.
Figures are means over the seeds, with Wilson's 95% interval for so many requests as are asked once.

--ask: so many requests are also given to the default model, with all of the intents' names, once to write one of them
under a grammar and once to score each.

Predicted before `val`, `oos_val` and the second half were first asked, at 10 examples: nearest means 90.5 on CLINC150
and 79.5 on BANKING77; the router 93.3 and 86.3 where nothing is rejected; at rejects = 0.02, 92.0 in scope and 75 of
100 out of scope; with 50 examples of what is out of scope, 92.0 and 88. So neither 95 in scope nor 88 on BANKING77.
What the router adds to embedding one request: under 2 ms. The model asked: 40% right, at over a second each.
Afterwards the bound was made simpler for routers of a few intents, on the parts for choices, and the default 0.03.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from engine import commit, machine

import smidgen
from smidgen.eval.intervals import wilson
from smidgen.patterns.chain.steps import alternatives
from smidgen.patterns.router import Intent, Router
from smidgen.patterns.router.head import Head

EMBEDDER = "all-minilm-l6-v2"
REJECTS = (0.0, 0.01, 0.02, 0.03, 0.05)
OUTSIDE = 50
HALVES = 77
"""Seed of the halves of BANKING77."""
TIMED = 200


class Items(NamedTuple):
    texts: list[str]
    labels: list[int]
    vectors: np.ndarray

    def some(self, places: Sequence[int]) -> Items:
        return Items([self.texts[i] for i in places], [self.labels[i] for i in places], self.vectors[list(places)])


class Problem(NamedTuple):
    """train: what examples are drawn from. out: out of scope, to be asked. out_train: examples of it."""

    name: str
    intents: list[str]
    train: Items
    asked: Items
    out: Items | None = None
    out_train: Items | None = None


Decide = Callable[[Items], tuple[np.ndarray, np.ndarray]]
"""For each text, the intent and how typical it is of what is in scope."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the intent router on CLINC150 and BANKING77.")
    parser.add_argument("--clinc", type=Path)
    parser.add_argument("--banking", type=Path)
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ask", type=int, default=0, help="requests that the default model is asked as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not (options.clinc or options.banking):
        parser.error("name a file: --clinc or --banking")
    rows: list[dict[str, Any]] = []
    extra: dict[str, Any] = {}
    with smidgen.Runtime() as runtime:
        problems = [clinc(options.clinc, runtime)] if options.clinc else []
        problems += [banking(options.banking, runtime)] if options.banking else []
        for problem in problems:
            rows += measured(problem, options.shots, options.seeds)
            extra[problem.name] = timed(problem, options.shots, runtime)
            if options.ask:
                extra[problem.name] |= asked(problem, options.shots, options.ask, runtime)
    show(rows, extra)
    if options.json:
        told = {"commit": commit(), "machine": machine(), "shots": options.shots, "seeds": options.seeds}
        options.json.write_text(json.dumps({**told, "rows": rows, "more": extra}, indent=1) + "\n", encoding="utf-8")
    return 0


# --- data -----------------------------------------------------------------------------------------------------------


def embedded(texts: Sequence[str], runtime: smidgen.Runtime) -> np.ndarray:
    found: list[tuple[float, ...]] = []
    for start in range(0, len(texts), 256):
        found += runtime.embed(texts[start : start + 256], model=EMBEDDER).vectors
    return np.asarray(found, np.float32)


def clinc(path: Path, runtime: smidgen.Runtime) -> Problem:
    parts: dict[str, list[list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    intents = sorted({label for _, label in parts["train"]})
    number = {name: index for index, name in enumerate([*intents, "oos"])}

    def items(part: str) -> Items:
        texts = [text for text, _ in parts[part]]
        return Items(texts, [number[label] for _, label in parts[part]], embedded(texts, runtime))

    return Problem("CLINC150", intents, items("train"), items("val"), items("oos_val"), items("oos_train"))


def banking(path: Path, runtime: smidgen.Runtime) -> Problem:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    intents = sorted({label for _, label in rows})
    texts = [text for text, _ in rows]
    whole = Items(texts, [intents.index(label) for _, label in rows], embedded(texts, runtime))
    order = np.random.default_rng(HALVES).permutation(len(rows)).tolist()
    half = len(rows) // 2
    return Problem("BANKING77", intents, whole.some(sorted(order[:half])), whole.some(sorted(order[half:])))


def examples_of(problem: Problem, shots: int, seed: int) -> Items:
    drawn = np.random.default_rng(seed)
    labels = np.asarray(problem.train.labels)
    places: list[int] = []
    for intent in range(len(problem.intents)):
        places += drawn.permutation(np.flatnonzero(labels == intent))[:shots].tolist()
    return problem.train.some(sorted(places))


# --- ways to decide -------------------------------------------------------------------------------------------------


def by_means(train: Items, intents: int) -> Decide:
    """The nearest mean by cosine; typical by the cosines of examples that are left out of their means."""
    labels = np.asarray(train.labels)
    sums = np.stack([train.vectors[labels == intent].sum(axis=0) for intent in range(intents)])

    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    cosines = train.vectors @ unit(sums).T
    own = unit(sums[labels] - train.vectors)
    cosines[np.arange(len(labels)), labels] = (own * train.vectors).sum(axis=1)
    usual = np.sort(cosines.max(axis=1))

    def decide(items: Items) -> tuple[np.ndarray, np.ndarray]:
        near = items.vectors @ unit(sums).T
        return near.argmax(axis=1), np.interp(near.max(axis=1), usual, np.linspace(0, 1, len(usual)), left=0.0)

    return decide


def by_head(train: Items, intents: int, outside: Items | None = None, *, words: bool = False) -> Decide:
    texts, labels, vectors = train.texts, train.labels, train.vectors
    if outside is not None:
        texts, labels = texts + outside.texts, labels + [intents] * len(outside.texts)
        vectors = np.vstack([vectors, outside.vectors])
    head = Head(texts, None if words else vectors, labels, intents)

    def decide(items: Items) -> tuple[np.ndarray, np.ndarray]:
        found = head.scores(items.texts, None if words else items.vectors)
        best = found.probabilities.argmax(axis=1)
        return best, np.where(best == intents, -1.0, found.typical)

    return decide


def measured(problem: Problem, shots: int, seeds: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for seed in range(seeds):
        train = examples_of(problem, shots, seed)
        count = len(problem.intents)
        ways: dict[str, Decide] = {
            "nearest means": by_means(train, count),
            "router, by words alone": by_head(train, count, words=True),
            "router": by_head(train, count),
        }
        if problem.out_train is not None:
            places = np.random.default_rng(seed).permutation(len(problem.out_train.texts))[:OUTSIDE].tolist()
            ways[f"router, {OUTSIDE} outside"] = by_head(train, count, problem.out_train.some(places))
        for name, decide in ways.items():
            intents, typical = decide(problem.asked)
            right = intents == np.asarray(problem.asked.labels)
            strange = np.zeros(0) if problem.out is None else decide(problem.out)[1]
            for rejects in REJECTS:
                kept = right & (typical >= rejects)
                caught = float((strange < rejects).mean()) if len(strange) else float("nan")
                found.setdefault((name, rejects), []).append((float(kept.mean()), caught))
    rows: list[dict[str, Any]] = []
    for (name, rejects), many in found.items():
        inside, caught = ([one[place] for one in many] for place in (0, 1))
        row: dict[str, Any] = {"data": problem.name, "way": name, "rejects": rejects}
        row |= share("in_scope", inside, len(problem.asked.texts))
        if problem.out is not None:
            row |= share("out_of_scope", caught, len(problem.out.texts))
        rows.append(row)
    return rows


def share(name: str, of_seeds: list[float], count: int) -> dict[str, Any]:
    mean = statistics.fmean(of_seeds)
    return {name: mean, f"{name}_interval": wilson(round(mean * count), count), f"{name}_seeds": of_seeds}


# --- time, and asking a model ---------------------------------------------------------------------------------------


def timed(problem: Problem, shots: int, runtime: smidgen.Runtime) -> dict[str, Any]:
    """Milliseconds: of training; of the head for one request; of an agent that answers one by a template, against
    embedding another one alone, by turns."""
    train = examples_of(problem, shots, 0)
    start = time.perf_counter()
    head = Head(train.texts, train.vectors, train.labels, len(problem.intents))
    training = time.perf_counter() - start
    alone: list[float] = []
    for text, vector in list(zip(problem.asked.texts, problem.asked.vectors, strict=True))[:TIMED]:
        start = time.perf_counter()
        head.scores([text], vector[None])
        alone.append(time.perf_counter() - start)
    labels = np.asarray(train.labels)
    intents = [
        Intent(name=name, examples=tuple(np.asarray(train.texts, object)[labels == index]), template="Done.")
        for index, name in enumerate(problem.intents)
    ]
    agent = smidgen.Agent(runtime=runtime, pattern=Router(intents, otherwise="None."))
    agent.run("hello")
    whole: list[float] = []
    embedding: list[float] = []
    fresh = [f"{text} {number}" for number, text in enumerate(problem.asked.texts[: 2 * TIMED])]
    for first, second in zip(fresh[::2], fresh[1::2], strict=True):
        start = time.perf_counter()
        agent.run(first)
        whole.append(time.perf_counter() - start)
        start = time.perf_counter()
        runtime.embed(second, model=EMBEDDER)
        embedding.append(time.perf_counter() - start)
    median = {"head": alone, "agent": whole, "embedding": embedding}
    told = {f"{name}_ms": round(statistics.median(many) * 1000, 2) for name, many in median.items()}
    return {"training_s": round(training, 2), **told}


def asked(problem: Problem, shots: int, count: int, runtime: smidgen.Runtime) -> dict[str, Any]:
    """The default model on the first so many of a drawn sample, and the router on the same."""
    places = np.random.default_rng(0).permutation(len(problem.asked.texts))[:count].tolist()
    sample = problem.asked.some(places)
    router = by_head(examples_of(problem, shots, 0), len(problem.intents))(sample)[0]
    names = [name.replace("_", " ") for name in problem.intents]
    constraint = smidgen.Constraint(kind="regex", source=alternatives(tuple(names)))
    listed = "Intents:\n" + "\n".join(names)
    right = {"generated": 0, "scored": 0}
    seconds: dict[str, list[float]] = {"generated": [], "scored": []}
    for number, (text, label) in enumerate(zip(["hello", *sample.texts], [-1, *sample.labels], strict=True)):
        turns = [
            {
                "role": "system",
                "content": f"{listed}\n\nAnswer with the intent of the user's request, and nothing else.",
            },
            {"role": "user", "content": text},
        ]
        for way in ("generated", "scored"):
            start = time.perf_counter()
            if way == "generated":
                written = runtime.generate(turns, constraint=constraint, temperature=0.0, max_tokens=24).text
                best = names.index(written) if written in names else -1
            else:
                scores = runtime.score(turns, names).logprobs
                best = max(range(len(names)), key=scores.__getitem__)
            if number:  # the first one reads the list of intents
                seconds[way].append(time.perf_counter() - start)
                right[way] += best == label
    told: dict[str, Any] = {"asked": count, "router_right": int((router == np.asarray(sample.labels)).sum())}
    for way, many in seconds.items():
        told |= {f"{way}_right": right[way], f"{way}_s": round(statistics.median(many), 3)}
    return told


def show(rows: list[dict[str, Any]], extra: dict[str, Any]) -> None:
    print(f"{'data':10} {'way':24} {'rejects':>7}  {'in scope':24} {'out of scope':24}")
    for row in rows:
        cells = [
            f"{row[name]:6.1%} ({row[f'{name}_interval'][0]:.1%} to {row[f'{name}_interval'][1]:.1%})"
            for name in ("in_scope", "out_of_scope")
            if name in row
        ]
        print(f"{row['data']:10} {row['way']:24} {row['rejects']:7.2f}  {' '.join(f'{cell:24}' for cell in cells)}")
    for name, told in extra.items():
        print(f"\n{name}: " + ", ".join(f"{key} {value}" for key, value in told.items()))


if __name__ == "__main__":
    raise SystemExit(main())
