"""Measure what a conversation of 200 turns still knows in a short context: `Memory` beside a plain sliding window.

    python benchmarks/memory.py [--model NAME] [--part dev|test] [--summaries] [--json OUT]

The conversations are scripts, memory.toml: facts are told at turns 4 to 140, some are corrected at turn 100, and in the
end each is asked for in other words. Replies are scripted too; the model answers only the probes, greedily. Both sides
have the same model and the same window of 2048 tokens. A probe is right if its answer holds the fact and not the one
that it replaced. Of what was never told, an answer is right if it says that it isn't known.

Predicted before the first run with the part "test": sliding window 0 to 2 of 30 told facts right, as all were told more
than 60 turns before; Memory with the 0.5B model 22 of 30, 4 of 6 corrected ones among them, with the 135M model 15 of
30; of what was never told, at most 3 of 6 on either side. Under 0.05 s a turn for reading, finding and fitting.
docs/memory.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import statistics
import time
import tomllib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

from engine import commit, machine

import smidgen
from smidgen.config import load_config
from smidgen.eval.intervals import wilson
from smidgen.events import AgentEvent, Finished, Notice, TextDelta
from smidgen.messages import Message, Timings, Usage
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.memory import Memory
from smidgen.patterns.plain import Direct

SCRIPT = Path(__file__).with_name("memory.toml")
TURNS = 200
WINDOW = 2048
ANSWER = 60

UNKNOWN = re.compile(
    r"\b(?:(?:do|does|did|have|has|is|are|was)(?:n['’]t| not)|can(?:not|['’]t)|unable|unknown|"
    r"no (?:information|record)|without (?:more|further)|not (?:sure|known|"
    r"mentioned|specified|provided|stated|given|told|available))\b",
    re.IGNORECASE,
)


class Probe(NamedTuple):
    """One answer. corrected: the fact replaced another. told: it was told at all. seconds: of the whole request."""

    conversation: str
    ask: str
    answer: str
    right: bool
    told: bool
    corrected: bool
    seconds: float
    prompt_tokens: int
    recalled: str


class Scripted:
    """A pattern that says what it is told to: for the turns whose answers are known."""

    name = "scripted"

    def __init__(self) -> None:
        self.reply = ""

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        yield TextDelta(text=self.reply)
        yield Finished(
            text=self.reply,
            model="",
            finish_reason="stop",
            tool_calls=(),
            usage=Usage(),
            timings=Timings(),
            warnings=(),
            strategy=self.name,
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--side", choices=("window", "memory"), help="only this one")
    parser.add_argument("--summaries", action="store_true", help="also let the model sum up older turns")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all answers there")
    return parser.parse_args()


def conversation(script: dict[str, Any], filler: dict[str, list[str]]) -> list[Message]:
    """400 messages: the facts at their turns, filler elsewhere."""
    told = {said["turn"]: said["text"] for said in script["say"]}
    lists = (filler["ask"], filler["reply"], filler["task"])
    asks, replies, tasks = (itertools.cycle(one[len(script["name"]) % len(one) :] + one) for one in lists)
    messages: list[Message] = []
    for turn in range(1, TURNS + 1):
        task = next(tasks)
        ask, reply = next(asks).format(task=task), next(replies).format(task=task)
        if turn in told:
            ask, reply = told[turn], "Thank you, I will keep that in mind."
        messages += [Message(role="user", content=ask), Message(role="assistant", content=reply)]
    return messages


def is_right(answer: str, probe: dict[str, Any]) -> bool:
    if "holds" not in probe:
        return UNKNOWN.search(answer) is not None
    return any(_in(answer, one) for one in probe["holds"]) and not any(_in(answer, one) for one in probe.get("not", ()))


def _in(answer: str, phrase: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(phrase)}(?:s|th|st)?(?!\w)", answer, re.IGNORECASE) is not None


async def probed(
    runtime: smidgen.Runtime, pattern: Pattern, script: dict[str, Any], messages: list[Message]
) -> list[Probe]:
    agent = smidgen.Agent(runtime=runtime, pattern=pattern, timeout_s=0)
    found: list[Probe] = []
    for probe in script["probes"]:
        begun, recalled = time.monotonic(), ""
        async for event in agent.astream([*messages, Message(role="user", content=probe["ask"])]):
            if isinstance(event, Notice) and event.code == "facts_recalled":
                recalled = event.message
            if isinstance(event, Finished):
                end = event
        found.append(
            Probe(
                conversation=script["name"],
                ask=probe["ask"],
                answer=" ".join(end.text.split()),
                right=is_right(end.text, probe),
                told="holds" in probe,
                corrected="not" in probe,
                seconds=time.monotonic() - begun,
                prompt_tokens=end.usage.prompt_tokens,
                recalled=recalled,
            )
        )
        print(f"{'right' if found[-1].right else 'WRONG'}  {probe['ask']}\n       {found[-1].answer[:150]}", flush=True)
        if recalled and not found[-1].right:
            print(f"       {recalled}")
    return found


async def added(runtime: smidgen.Runtime, messages: list[Message]) -> list[float]:
    """Seconds of each turn of a conversation that a Memory lasts itself: the inner answers are scripted."""
    inner = Scripted()
    agent = smidgen.Agent(runtime=runtime, pattern=Memory(pattern=inner, window=WINDOW, summaries=False), timeout_s=0)
    seconds: list[float] = []
    for turn in range(0, len(messages), 2):
        inner.reply = messages[turn + 1].content
        begun = time.monotonic()
        await agent.arun(messages[: turn + 1])
        seconds.append(time.monotonic() - begun)
    return seconds


def row(name: str, found: list[Probe]) -> str:
    told = [probe for probe in found if probe.told]
    right = sum(probe.right for probe in told)
    low, high = wilson(right, len(told))
    corrected = [probe for probe in told if probe.corrected]
    never = [probe for probe in found if not probe.told]
    return (
        f"{name:8} told {right} of {len(told)} (95% {low:.0%} to {high:.0%}), corrected "
        f"{sum(probe.right for probe in corrected)} of {len(corrected)}, never told "
        f"{sum(probe.right for probe in never)} of {len(never)}, "
        f"{statistics.median(probe.seconds for probe in found):.1f} s a probe, "
        f"{statistics.median(probe.prompt_tokens for probe in found):.0f} prompt tokens"
    )


async def main() -> int:
    asked = arguments()
    scripts = tomllib.loads(SCRIPT.read_text(encoding="utf-8"))
    print(f"{asked.model}, window {WINDOW}, {machine()}, {commit()}")
    sides: dict[str, list[Probe]] = {}
    async with smidgen.Runtime(load_config(context=WINDOW), model=asked.model) as runtime:
        direct = Direct(max_tokens=ANSWER, temperature=0.0)
        for side in ("window", "memory") if asked.side is None else (asked.side,):
            found = sides[side] = []
            for script in scripts["conversation"]:
                if script["part"] != asked.part:
                    continue
                print(f"\n{side}, {script['name']}")
                messages = conversation(script, scripts["filler"])
                if side == "window":
                    found += await probed(runtime, direct, script, messages)
                    continue
                memory = Memory(pattern=direct, window=WINDOW, summaries=asked.summaries)
                if asked.summaries:
                    first = [*messages, Message(role="user", content="Thanks.")]
                    await smidgen.Agent(runtime=runtime, pattern=memory, timeout_s=0).arun(first)
                    await memory.idle()
                found += await probed(runtime, memory, script, messages)
        last = next(script for script in scripts["conversation"] if script["part"] == asked.part)
        seconds = sorted(await added(runtime, conversation(last, scripts["filler"])))
    print()
    for side, found in sides.items():
        print(row(side, found))
    median, most = statistics.median(seconds), seconds[int(0.95 * len(seconds))]
    print(f"a turn of {TURNS}: {median * 1000:.1f} ms added at the median, {most * 1000:.1f} ms at the 95th percentile")
    if asked.json:
        told = {side: [probe._asdict() for probe in found] for side, found in sides.items()}
        asked.json.write_text(json.dumps({"model": asked.model, "probes": told, "added_s": seconds}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
