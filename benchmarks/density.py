"""Short versions of texts: chain of density against "summarise in N words", and against sentences chosen by code alone.

    python benchmarks/density.py --model qwen2.5-coder-0.5b [--words 60] [--tuned-on | --fresh]

Texts: six with names and numbers (density.toml), and prose of the running Python's own reference (`pydoc_data.topics`),
so figures change a little with Python's version. `--tuned-on` takes the three texts that the prompts were tried with
instead. `--fresh` takes twelve other topics, drawn from those with 90 to 500 words of prose after the first results
were known: for what was changed because of them.

Key terms to be kept are decided without the method that is measured: the eight words of each text with the highest
TF-IDF against the other texts. Numbers and names that don't stand in the text are counted by a check of this file's
own: digits, and words with a capital within a sentence.
"""

from __future__ import annotations

import argparse
import math
import pydoc_data.topics
import random
import re
import statistics
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import smidgen
from smidgen.events import Finished, Verified
from smidgen.patterns.chain.condense import plain_instruction
from smidgen.patterns.chain.density import SENTENCES, Density
from smidgen.patterns.chain.fidelity import extract
from smidgen.patterns.chain.sentences import sentences
from smidgen.patterns.chain.templates import fence
from smidgen.patterns.chain.terms import candidates
from smidgen.patterns.plain import Direct

OWN = Path(__file__).with_name("density.toml")
TUNED_ON = ("raise", "class", "global")
TOPICS = (
    "async", "augassign", "booleans", "context-managers", "del", "dict", "exceptions", "exprlists", "for", "in",
    "integers", "objects", "power", "subscriptions",
)  # fmt: skip
FRESH = (
    "atom-identifiers", "atom-literals", "attribute-references", "bitwise", "bltin-code-objects", "dynamic-features",
    "id-classes", "identifiers", "slicings", "string-methods", "typesmethods", "while",
)  # fmt: skip
WANTED = 8
"""Key terms of a text."""
METHODS = ("plain", "plain, cut", "code alone", "density")


class Made(NamedTuple):
    text: str
    seconds: float
    how: str = ""


class Measured(NamedTuple):
    words: int
    ratio: float
    kept: float
    numbers: int
    names: int
    over: bool
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    of_texts = parser.add_mutually_exclusive_group()
    of_texts.add_argument("--tuned-on", action="store_true")
    of_texts.add_argument("--fresh", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what was written")
    arguments = parser.parse_args()
    everything = texts(FRESH if arguments.fresh else ())
    chosen = FRESH if arguments.fresh else TUNED_ON if arguments.tuned_on else ()
    measured = [name for name in everything if (name in chosen if chosen else name not in TUNED_ON)]
    wanted = key_terms(everything)
    found: dict[str, list[Measured]] = {method: [] for method in METHODS}
    ways: Counter[str] = Counter()
    with smidgen.Runtime(model=arguments.model) as runtime:
        smidgen.Agent(runtime=runtime, pattern=Direct(max_tokens=1)).run("Hello")  # loads the model
        for name in measured:
            text = everything[name]
            made = versions(runtime, text, arguments.words, arguments.rounds)
            ways[made["density"].how] += 1
            for method, one in made.items():
                found[method].append(judged(one, text, wanted[name], arguments.words))
                if arguments.show:
                    print(f"--- {name}, {method}: {one.how}\n{one.text}")
            kept = ", ".join(f"{method} {found[method][-1].kept:.0%}" for method in METHODS)
            print(f"{name}: {kept}", flush=True)
    report(found, ways, len(measured))


def texts(others: Sequence[str] = ()) -> dict[str, str]:
    """All that are compared, with other topics of the reference."""
    own = {one["name"]: prose(one["text"]) for one in tomllib.loads(OWN.read_text(encoding="utf-8"))["texts"]}
    return own | {name: prose(pydoc_data.topics.topics[name]) for name in (*TOPICS, *TUNED_ON, *others)}


def prose(text: str) -> str:
    """Paragraphs that begin like a sentence, without headings, grammars and code."""
    paragraphs = (" ".join(one.split()) for one in re.split(r"\n\s*\n", text) if re.match(r"[A-Z\"*(`]|\n", one))
    return "\n\n".join(one for one in paragraphs if not re.search(r"\*{4}|={4}|::=", one) and one.endswith((".", ":")))


def versions(runtime: smidgen.Runtime, text: str, words: int, rounds: int) -> dict[str, Made]:
    asked = f"{fence(text)}\n\n{plain_instruction(words)}"
    begun = time.monotonic()
    plain = smidgen.Agent(runtime=runtime, pattern=Direct(max_tokens=4 * words, temperature=0.0)).run(asked)
    seconds = time.monotonic() - begun
    begun = time.monotonic()
    by_code = extract(text, candidates(text, WANTED), words=words)
    code_seconds = time.monotonic() - begun
    begun = time.monotonic()
    dense, way = densest(runtime, text, Density(words=words, rounds=rounds))
    return {
        "plain": Made(plain.text, seconds),
        "plain, cut": Made(cut(plain.text, words), seconds),
        "code alone": Made(by_code, code_seconds),
        "density": Made(dense.text, time.monotonic() - begun, way),
    }


def densest(runtime: smidgen.Runtime, text: str, density: Density) -> tuple[Finished, str]:
    """The answer, and what it came of: what the rounds began with and whether one was taken."""
    events = list(smidgen.Agent(runtime=runtime, pattern=density).stream(text))
    by_code = any(isinstance(event, Verified) and event.ok and event.check == SENTENCES for event in events)
    end = events[-1]
    if not isinstance(end, Finished):
        raise SystemExit(f"density failed: {end}")
    way = end.strategy.split(": ")[1].split(", ")[0]
    if way.startswith("round"):
        return end, f"a round after {SENTENCES if by_code else 'the simple answer'}"
    return end, way


def cut(text: str, words: int) -> str:
    """Whole sentences from the beginning on, as many as fit; words where not even the first does."""
    taken: list[str] = []
    for sentence in sentences(text):
        if len(" ".join([*taken, sentence]).split()) > words:
            break
        taken.append(sentence)
    return " ".join(taken) or " ".join(text.split()[:words])


def key_terms(all_texts: dict[str, str]) -> dict[str, tuple[str, ...]]:
    counts = {name: Counter(words_of(text)) for name, text in all_texts.items()}
    among = Counter(word for counted in counts.values() for word in counted)
    total = len(counts)

    def best(counted: Counter[str]) -> tuple[str, ...]:
        weights = {word: count * math.log(total / among[word]) for word, count in counted.items() if len(word) > 2}
        return tuple(sorted(weights, key=lambda word: (-weights[word], word))[:WANTED])

    return {name: best(counted) for name, counted in counts.items()}


def words_of(text: str) -> list[str]:
    """In lower case, without a plural's ending."""
    return [word.removesuffix("s") for word in re.findall(r"[^\W\d_]+", text.lower())]


def judged(made: Made, text: str, wanted: Sequence[str], words: int) -> Measured:
    said = words_of(made.text)
    count = len(made.text.split())
    numbers = set(re.findall(r"\d[\d,.]*\d|\d", made.text)) - set(re.findall(r"\d[\d,.]*\d|\d", text))
    capitals = re.findall(r"(?<![.!?:\n])(?<![.!?:]\s)\b(?<!^)[A-Z][a-z]+", made.text)
    names = {word for word in capitals if word.lower().removesuffix("s") not in words_of(text)}
    return Measured(
        words=count,
        ratio=len(text.split()) / max(1, count),
        kept=len(set(wanted) & set(said)) / len(wanted),
        numbers=len(numbers),
        names=len(names),
        over=count > words,
        seconds=made.seconds,
    )


def report(found: dict[str, list[Measured]], ways: Counter[str], count: int) -> None:
    print(f"\n{count} texts\n\n| | words | compression | key terms kept | texts over | invented numbers | names | s |")
    print("|---|---|---|---|---|---|---|---|")
    for method, rows in found.items():
        print(
            f"| {method} | {mean(rows, lambda row: row.words):.0f} | {mean(rows, lambda row: row.ratio):.1f} | "
            f"{mean(rows, lambda row: row.kept):.0%} | {sum(row.over for row in rows)} | "
            f"{sum(row.numbers for row in rows)} | {sum(row.names for row in rows)} | "
            f"{mean(rows, lambda row: row.seconds):.1f} |"
        )
    print()
    for other in METHODS[:-1]:
        pairs = zip(found["density"], found[other], strict=True)
        differences = [ours.kept - theirs.kept for ours, theirs in pairs]
        low, high = interval(differences)
        better = sum(value > 0 for value in differences)
        worse = sum(value < 0 for value in differences)
        print(
            f"density - {other}: {statistics.mean(differences):+.0%} of the key terms "
            f"[{low:+.0%}, {high:+.0%}], {better} better, {worse} worse"
        )
    print("what the answers came of:", ", ".join(f"{way} {times}" for way, times in ways.most_common()))


def mean(rows: Sequence[Measured], value: Callable[[Measured], float]) -> float:
    return statistics.mean(value(row) for row in rows)


def interval(values: Sequence[float], draws: int = 4000) -> tuple[float, float]:
    """95%, by drawing texts again."""
    drawn = random.Random(0)
    means = sorted(statistics.mean(drawn.choices(values, k=len(values))) for _ in range(draws))
    return means[int(draws * 0.025)], means[int(draws * 0.975)]


if __name__ == "__main__":
    main()
