"""Word problems: GSM8K by the ways of `smidgen.patterns.solving`, one try or a vote of several.

    python benchmarks/gsm8k.py --data FILE [--skip 100] [--limit N] [--ways direct,words,program,steps] [--json OUT]

FILE has a line of JSON for each item, with `question` and `answer`, whose number stands behind "####". An answer is
right if it is that number. Each try is made once and kept in OUT, so a run that was broken off goes on; all votes are
of the same tries, in the order and by the rules of `Solving`. Tokens are those of the tries that a vote needed.

The prompts were chosen on the first 100 items; figures are of items behind them. docs/word-problems.md has them.

Predicted before items from 100 on were asked with these prompts, from 24 to 32 draws for each of the first 100: steps
with computed results 27 of 100 greedily and 35 by a vote of 8, a program 21 and 30, 16 votes of both 40, 32 votes 41.
Not the 55 that were wished for.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import smidgen
from smidgen.config import Config
from smidgen.eval.intervals import wilson
from smidgen.events import AgentEvent
from smidgen.messages import Message
from smidgen.patterns import Resources, Task
from smidgen.patterns.run import Run, guarded
from smidgen.patterns.solving import Solving, program
from smidgen.patterns.solving.steps import ASKED, answer_in
from smidgen.patterns.solving.tries import tried
from smidgen.patterns.solving.vote import Vote, decided, same, standings
from smidgen.patterns.solving.writing import Drawn, Writer
from smidgen.runtime.runtime import Runtime

MAX_TOKENS = 500
"""Of plain steps."""
ONCE = ("direct", "words")
"""Ways that are asked greedily, once. words: step by step without computed results."""


class Tries:
    """A pattern whose answer is all tries of an item, as JSON."""

    name = "tries"

    def __init__(self, wanted: Sequence[tuple[str, int]], temperature: float, seconds: float) -> None:
        self._wanted, self._temperature, self._seconds = wanted, temperature, seconds

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        end = Run(task, resources)
        made = await asyncio.gather(*(self._try(task, resources, way, turn) for way, turn in self._wanted))
        yield end.finished(json.dumps(made), self.name)

    async def _try(self, task: Task, resources: Resources, way: str, turn: int) -> dict[str, Any]:
        run = Run(task, resources)
        drawn = Drawn(seed=turn, temperature=self._temperature if turn else 0.0)
        vote = await (_in_words(run, drawn) if way == "words" else tried(run, way, drawn, self._seconds))  # pyright: ignore
        kept = {"way": way, "turn": turn, "value": vote.value, "weight": vote.weight, "sure": vote.sure}
        return {**kept, "problem": vote.problem, "tokens": run.usage.completion_tokens}


async def _in_words(run: Run, drawn: Drawn) -> Vote:
    asked = Message(role="user", content=ASKED.replace("{request}", run.task.request))
    piece = await Writer(run, drawn).write((asked,), "", (), MAX_TOKENS)
    return Vote(way="words", value=answer_in(piece.text, whole=piece.whole), text=piece.text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE")
    parser.add_argument("--skip", type=int, default=100, metavar="N", help="items at the beginning that are left out")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="items asked")
    parser.add_argument("--ways", default="direct,words,program,steps")
    parser.add_argument("--tries", type=int, default=8, metavar="N", help="of each way that is voted on")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="items asked at the same time")
    parser.add_argument("--seconds", type=float, default=0, metavar="S", help="ask no further item after so long")
    parser.add_argument("--json", type=Path, metavar="OUT", help="tries, kept and gone on with")
    return parser.parse_args()


def right_number(answer: str) -> float:
    return float(answer.rpartition("####")[2].replace(",", ""))


def votes_of(tries: Sequence[dict[str, Any]], rules: Solving, samples: int) -> list[tuple[Vote, int]]:
    """Each with its tokens, in the order in which `Solving` asks for them."""
    order, votes = rules.order(samples), list[tuple[Vote, int]]()
    for place, way in enumerate(order):
        turn = order[:place].count(way)
        one = next((one for one in tries if (one["way"], one["turn"]) == (way, turn)), None)
        if one is not None:
            weight = one["weight"] * rules.weights[way]
            votes.append((Vote(way=way, value=one["value"], weight=weight, sure=one["sure"]), one["tokens"]))
    return votes


def voted(tries: Sequence[dict[str, Any]], rules: Solving) -> tuple[float | None, int]:
    """The number that wins, and the tokens of the tries until it was decided."""
    every = votes_of(tries, rules, rules.samples)
    drawn = 0
    while drawn < len(every):
        drawn = min(len(every), drawn + rules.at_once)
        so_far = [vote for vote, _ in every[:drawn]]
        if decided(so_far, remaining=(len(every) - drawn) * max(rules.weights.values()), lead=rules.lead):
            break
    found = standings([vote for vote, _ in every[:drawn]])
    return (found[0].value if found else None), sum(tokens for _, tokens in every[:drawn])


def alone(tries: Sequence[dict[str, Any]], way: str) -> tuple[float | None, int]:
    """A way's first try."""
    return next((one["value"], one["tokens"]) for one in tries if one["way"] == way)


def rows(items: dict[str, Any], most: int) -> None:
    for name, rules in (
        ("asked directly, greedy", Solving(program=0, steps=0, direct=1, samples=1)),
        ("step by step, greedy", None),
        ("one program, greedy", Solving(steps=0, samples=1)),
        ("steps with computed results, greedy", Solving(program=0, samples=1)),
        (f"up to {most} programs, voted on", Solving(steps=0, samples=most)),
        (f"up to {most} in such steps, voted on", Solving(program=0, samples=most)),
        (f"up to {most} of both, voted on", Solving(samples=most)),
        (f"up to {most * 2} of both, voted on", Solving(samples=most * 2)),
    ):
        order: list[str] = [*rules.order(rules.samples)] if rules else ["words"]
        needed = {(way, order[:place].count(way)) for place, way in enumerate(order)}
        found: list[tuple[dict[str, Any], float | None, int]] = []
        for item in items.values():
            tries: list[dict[str, Any]] = item["tries"]
            if needed <= {(one["way"], one["turn"]) for one in tries}:
                value, tokens = voted(tries, rules) if rules else alone(tries, "words")
                found.append((item, value, tokens))
        if found:
            right = sum(value is not None and same(value, item["right"]) for item, value, _ in found)
            low, high = wilson(right, len(found))
            used = statistics.fmean(tokens for _, _, tokens in found)
            share = f"{right / len(found):.1%} ({low:.0%} to {high:.0%})"
            print(f"{name:40} {right:4} of {len(found):4}  {share:24} {used:6.0f} tokens")


async def main() -> None:
    args = arguments()
    asked = hashlib.sha256((ASKED + program.ASKED).encode()).hexdigest()[:12]
    about = {"model": args.model, "seed": args.seed, "skip": args.skip, "asked": asked}
    kept: dict[str, Any] = {"about": about, "seconds": 0.0, "items": {}}
    if args.json and args.json.exists():
        kept = json.loads(args.json.read_text("utf-8"))
        if kept["about"] != about:
            sys.exit(f"{args.json} holds answers of {kept['about']}")
    with args.data.open(encoding="utf-8") as file:
        data = dict(enumerate(json.loads(line) for line in file))
    wanted = [(way, turn) for way in args.ways.split(",") for turn in range(1 if way in ONCE else args.tries)]
    gate, begun, before = asyncio.Semaphore(args.at_once), time.monotonic(), kept["seconds"]
    usual = Solving()

    async def ask(place: int, runtime: Runtime) -> None:
        item = kept["items"].get(str(place), {"right": right_number(data[place]["answer"]), "tries": []})
        there = {(one["way"], one["turn"]) for one in item["tries"]}
        missing = [one for one in wanted if one not in there]
        async with gate:
            if not missing or (args.seconds and time.monotonic() - begun > args.seconds):
                return
            pattern = Tries(missing, usual.temperature, usual.seconds)
            answer = await smidgen.Agent(runtime=runtime, pattern=pattern, seed=args.seed).arun(data[place]["question"])
            kept["items"][str(place)] = {**item, "tries": [*item["tries"], *json.loads(answer.text)]}
            kept["seconds"] = before + time.monotonic() - begun
            if args.json:
                args.json.write_text(json.dumps(kept), "utf-8")

    async with Runtime(Config(model=args.model, tuned="off", audit="off", timeout_s=0)) as runtime:
        await asyncio.gather(
            *(ask(place, runtime) for place in range(args.skip, min(args.skip + args.limit, len(data))))
        )
    rows(kept["items"], args.tries)
    tokens = sum(one["tokens"] for item in kept["items"].values() for one in item["tries"])
    print(f"{kept['seconds']:.0f} s, {tokens / max(kept['seconds'], 1e-9):.0f} tokens/s of all tries together")


if __name__ == "__main__":
    asyncio.run(main())
