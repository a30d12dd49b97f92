"""Measure what checking is worth when a small model writes functions: HumanEval's, with and without it.

    python benchmarks/humaneval.py --data FILE [--skip N] [--limit N] [--ways alone,checked] [--model NAME] [--json OUT]

FILE holds a problem a line, as OpenAI's HumanEval does, gzipped or not. `alone` is the likeliest answer of the model,
asked for the function's body (greedy; the answer is begun for it with the text of the problem). `checked` is
`smidgen.patterns.micro.CodeWriter`. What is judged is one answer for each problem, by the problem's hidden tests, run
in the sandbox; nothing else sees these. Beside that it is told of `checked` how many of its greedy drafts were right
(the one in a chat is what `alone` writes), and for how many problems any draft was.

With --json, what is there already isn't measured again: an interrupted run goes on where it was. The first 20 problems
were looked at while this was built; figures in docs/micro-agents.md are of the others (--skip 20), with those of the
first beside them.

Predicted: alone 61.6 % (as published for this model), checked 72 %.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import commit

from smidgen.config import load_config
from smidgen.errors import NoAnswer, SmidgenError
from smidgen.eval.humaneval.baseline import Alone
from smidgen.eval.intervals import paired, wilson
from smidgen.patterns.micro import CodeWriter
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime

WAYS = ("alone", "checked")
LIKELIEST = {
    "its greedy answer in a chat is right": ("asked",),
    "its greedy continuation is right": ("continued",),
    "any draft is right": ("asked", "continued", "sampled", "mended"),
}
"""What is told of the drafts of `checked`, by their kinds."""
JUDGED_S = 10.0
"""For all hidden tests of one answer."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="problems, a JSON object a line")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N problems")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N problems")
    parser.add_argument("--ways", default=",".join(WAYS), help="of: " + ", ".join(WAYS))
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--samples", type=int, default=CodeWriter().samples, metavar="N", help="see CodeWriter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, metavar="S", help="begin no further problem after so long")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what was found there, and go on from it")
    options = parser.parse_args()
    options.ways = [way.strip() for way in options.ways.split(",")]
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"there is no way {', '.join(sorted(unknown))}")
    return options


def problems(path: Path, skip: int, limit: int | None) -> list[dict[str, str]]:
    opening: Any = gzip.open if path.suffix == ".gz" else open
    with opening(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file if line.strip()]
    return found[skip:][:limit]


async def judged(runtime: Runtime, program: str, problem: dict[str, str]) -> bool:
    code = f"{program}\n\n{problem['test']}\n\ncheck({problem['entry_point']})\nprint('all ' + 'passed')\n"
    executed = await runtime.toolbox.programs.run(code, JUDGED_S)
    return executed.ok and executed.output.rstrip().endswith("all passed")


async def measured(runtime: Runtime, way: str, problem: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    seen: list[tuple[str, str]] = []
    pattern: Any = Alone()
    if way == "checked":

        def watch(kind: str, drafted: str) -> None:
            seen.append((kind, drafted))

        pattern = CodeWriter(strict=False, samples=options.samples, watch=watch)
    began = time.monotonic()
    record: dict[str, Any] = {"task": problem["task_id"], "way": way}
    try:
        answer = await Agent(runtime=runtime, pattern=pattern, seed=options.seed, timeout_s=0).arun(problem["prompt"])
        program = answer.text
        record |= {"strategy": answer.strategy, "tokens": answer.usage.completion_tokens}
        record |= {"prompt_tokens": answer.usage.prompt_tokens - answer.usage.cached_tokens}
        record["warnings"] = list(answer.warnings)
    except NoAnswer as error:
        program = ""
        record |= {"strategy": "no answer", "tokens": 0, "prompt_tokens": 0, "warnings": [error.message]}
    record["seconds"] = round(time.monotonic() - began, 2)
    record["right"] = bool(program) and await judged(runtime, program, problem)
    record["program"] = program
    if way == "checked":
        programs = list(dict.fromkeys(drafted for _, drafted in seen))
        verdicts = await asyncio.gather(*(judged(runtime, drafted, problem) for drafted in programs))
        right = dict(zip(programs, verdicts, strict=True))
        record["drafts"] = [[kind, right[drafted]] for kind, drafted in seen]
    return record


def told(records: Sequence[dict[str, Any]], ways: Sequence[str]) -> None:
    for way in ways:
        mine = [one for one in records if one["way"] == way]
        if not mine:
            continue
        right = sum(one["right"] for one in mine)
        low, high = wilson(right, len(mine))
        seconds = sorted(one["seconds"] for one in mine)
        median, mean = seconds[len(seconds) // 2], sum(seconds) / len(seconds)
        tokens = sum(one["tokens"] for one in mine) / len(mine)
        print(
            f"{way:8} {right} of {len(mine)}: {100 * right / len(mine):.1f} % "
            f"(95 %: {100 * low:.1f} to {100 * high:.1f}), "
            f"median {median:.1f} s, mean {mean:.1f} s, {tokens:.0f} tokens each"
        )
        if way == "checked":
            for what, kinds in LIKELIEST.items():
                count = sum(any(verdict for kind, verdict in one.get("drafts", ()) if kind in kinds) for one in mine)
                print(f"{'':8} {what}: {count} of {len(mine)}")
    by_task: dict[str, dict[str, bool]] = {}
    for one in records:
        by_task.setdefault(one["task"], {})[one["way"]] = one["right"]
    both = [found for found in by_task.values() if len(found) == len(WAYS)]
    if both:
        gained = sum(one["checked"] and not one["alone"] for one in both)
        lost = sum(one["alone"] and not one["checked"] for one in both)
        found = paired(gained, lost, len(both))
        print(f"checked against alone, {len(both)} problems: {gained} gained, {lost} lost; {found}")


async def main(options: argparse.Namespace) -> None:
    chosen = problems(options.data, options.skip, options.limit)
    known: dict[str, Any] = (
        json.loads(options.json.read_text("utf-8")) if options.json and options.json.exists() else {}
    )
    records: list[dict[str, Any]] = known.get("records", [])
    done = {(one["task"], one["way"]) for one in records}
    head = {"model": options.model, "seed": options.seed, "samples": options.samples, "commit": commit()}
    head |= {"date": time.strftime("%Y-%m-%d", time.gmtime())}
    began = time.monotonic()
    async with Runtime(load_config(model=options.model)) as runtime:
        for problem in chosen:
            for way in options.ways:
                if (problem["task_id"], way) in done:
                    continue
                if options.seconds is not None and time.monotonic() - began > options.seconds:
                    break
                try:
                    record = await measured(runtime, way, problem, options)
                except SmidgenError as error:
                    record = {"task": problem["task_id"], "way": way, "right": False, "seconds": 0.0, "tokens": 0}
                    record |= {"strategy": f"failed: {error}", "program": ""}
                records.append(record)
                mark = "right" if record["right"] else "wrong"
                print(f"{record['task']} {way}: {mark}, {record['seconds']:.1f} s, {record['strategy']}", flush=True)
                if options.json:
                    options.json.write_text(json.dumps(head | {"records": records}, indent=1) + "\n", "utf-8")
    tasks = {problem["task_id"] for problem in chosen}
    told([one for one in records if one["task"] in tasks], options.ways)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
