"""Three models alone, in cascades, and a chain of ways under injected faults: `python benchmarks/cascade.py [PART]`.

Short questions whose answers code can check, made from a seed: sums, units, dates, extraction, classification and
comparison, as many of each. Part "calibrate" asks each model the questions of one seed and takes from them, for each
model, how sure it must be; "test" asks the models and the cascades those of another; "faults" lets ways
fail. Without a part, all three. Prints tables; --json writes what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import exp
from pathlib import Path
from typing import Any, Literal, cast

import smidgen
from smidgen.agent.deadline import Deadline
from smidgen.agent.numbers import written
from smidgen.config import Config, load_config
from smidgen.engine.local import LocalEngine
from smidgen.errors import EngineUnavailable
from smidgen.eval.intervals import paired, wilson
from smidgen.events import AgentEvent, Failed, FellBack, Finished, TextDelta
from smidgen.messages import Timings, Usage
from smidgen.patterns import Pattern, Resources, Task, task_of
from smidgen.patterns.fallback import Cascade, Fallback, Logprob, Refusal, Rules, Way, sure_for
from smidgen.patterns.fallback.checks import Asked
from smidgen.patterns.fallback.failures import is_refusal
from smidgen.patterns.fallback.within import Ear, Within
from smidgen.patterns.plain import Direct
from smidgen.patterns.run import Run
from smidgen.runtime.patterned import answered
from smidgen.testing import ScriptedEngine, ScriptedModels

MODELS = ("smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
EACH = 10
CALIBRATION_SEED, TEST_SEED = 101, 202
PRECISION = 0.9
"""Share of right answers among those that a model is trusted with."""
FAULTS = 0.3
"""Share of a faulty way's requests that meet one."""
LIMIT_S = 0.5
"""Of each way in the part with faults, of which one is never to end."""
OF: tuple[Literal["mean", "least"], ...] = ("mean", "least")
CODE = ("calculator", "dates")
"""Tools of the rules."""
SYSTEM = "Answer with the value alone, without any other words."

# --- the questions --------------------------------------------------------------------------------------------------

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS = (("kilometres", "metres", 1000), ("hours", "minutes", 60), ("kilograms", "grams", 1000),
         ("weeks", "days", 7), ("metres", "centimetres", 100), ("minutes", "seconds", 60))  # fmt: skip
NAMES = ("Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Henry")
CITIES = ("Lisbon", "Oslo", "Prague", "Vienna", "Dublin", "Athens", "Riga", "Turin")
THINGS = ("lamp", "chair", "kettle", "printer", "bicycle", "tent", "camera", "radio")
MESSAGES = {
    "complaint": ("The {thing} broke after {n} days and nobody answers me.",
                  "I waited {n} weeks for my {thing}, and it came damaged."),
    "order": ("Please send me {n} of the {thing} you have in stock.", "I want to buy {n} pieces of your {thing}."),
    "question": ("Do you have the {thing} in other colours?", "How long does the battery of the {thing} last?"),
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    kind: str
    question: str
    expected: str
    others: tuple[str, ...] = ()

    def is_right(self, text: str) -> bool:
        """The last number is the expected one; or the expected word stands there and none of the others."""
        if re.fullmatch(r"\d+", self.expected):
            numbers = list(written(text))
            return bool(numbers) and numbers[-1] == int(self.expected)
        words = text.casefold()
        return self.expected.casefold() in words and not any(other.casefold() in words for other in self.others)


def sums(draw: random.Random) -> Item:
    a, b = draw.randint(12, 99), draw.randint(12, 99)
    sign, value = draw.choice([("+", a + b), ("-", max(a, b) - min(a, b)), ("*", a * b)])
    a, b = (max(a, b), min(a, b)) if sign == "-" else (a, b)
    return Item("sums", f"What is {a} {sign} {b}?", str(value))


def units(draw: random.Random) -> Item:
    large, small, factor = draw.choice(UNITS)
    n = draw.randint(2, 40)
    return Item("units", f"How many {small} are {n} {large}?", str(n * factor))


def dates(draw: random.Random) -> Item:
    day = date(2025, 1, 1) + timedelta(days=draw.randint(0, 364))
    n = draw.randint(2, 20)
    if draw.random() < 0.5:
        name, found = DAYS[day.weekday()], DAYS[(day.weekday() + n) % 7]
        others = tuple(other for other in DAYS if other != found)
        return Item("dates", f"Today is {name}. Which day of the week is it in {n} days?", found, others)
    then = day + timedelta(days=n)
    return Item("dates", f"How many days are there from {day:%Y-%m-%d} to {then:%Y-%m-%d}?", str(n))


def extraction(draw: random.Random) -> Item:
    name, other = draw.sample(NAMES, 2)
    city, thing, price = draw.choice(CITIES), draw.choice(THINGS), draw.randint(15, 400)
    text = f"On Friday {name} from {city} sold a {thing} to {other} for {price} euros."
    asked, expected, others = draw.choice(
        [
            ("Who bought it?", other, (name,)),
            ("Who sold it?", name, (other,)),
            ("What did it cost in euros?", str(price), ()),
            ("From which city is the seller?", city, ()),
        ]
    )
    return Item("extraction", f"{text} {asked}", expected, others)


def classification(draw: random.Random) -> Item:
    kind = draw.choice(sorted(MESSAGES))
    text = draw.choice(MESSAGES[kind]).format(thing=draw.choice(THINGS), n=draw.randint(2, 9))
    others = tuple(other for other in MESSAGES if other != kind)
    asked = f"Is this message a complaint, an order or a question? Message: {text}"
    return Item("classification", asked, kind, others)


def comparison(draw: random.Random) -> Item:
    values = draw.sample(range(100, 1000), 4)
    which, value = draw.choice([("largest", max(values)), ("smallest", min(values))])
    return Item("comparison", f"Which is the {which} of these numbers: {', '.join(map(str, values))}?", str(value))


def items(seed: int, each: int) -> list[Item]:
    draw = random.Random(seed)
    makers: list[Callable[[random.Random], Item]] = [sums, units, dates, extraction, classification, comparison]
    return [make(draw) for _ in range(each) for make in makers]


# --- asking ---------------------------------------------------------------------------------------------------------


@dataclass
class Got:
    """One item's answer. by: which part of a cascade or chain gave it."""

    text: str
    right: bool
    seconds: float
    by: str = ""
    answered: bool = True
    sure: dict[str, float] = field(default_factory=dict)


class Measured:
    """A model's answer with every confidence that can be told of it."""

    name = "measured"

    def __init__(self, model: str) -> None:
        self.direct = alone(model)
        self.sure: dict[str, float] = {}

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        ear = Ear()
        async with aclosing(self.direct.answer(task, Within(resources, Deadline(None), ear=ear))) as events:
            async for event in events:
                if isinstance(event, Finished) and ear.heard and ear.heard[-1]:
                    heard = ear.heard[-1]
                    self.sure = {"mean": exp(sum(heard) / len(heard)), "least": exp(min(heard))}
                    run = Run(task, resources)
                    self.sure["yes/no"] = await Asked(model=self.direct.model).likely(event.text, run)
                yield event


class Faulty:
    """A pattern that by chance isn't there, says nothing, or never ends; drawn from a seed."""

    def __init__(
        self, pattern: Direct, seed: int, share: float = FAULTS, mishaps: Sequence[str] = ("gone", "empty", "stuck")
    ) -> None:
        self.pattern, self.name, self.model, self._draw = pattern, pattern.name, pattern.model, random.Random(seed)
        self._share, self._mishaps = share, mishaps

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        mishap = self._draw.choice(self._mishaps) if self._draw.random() < self._share else ""
        if mishap == "gone":
            yield Failed(error=EngineUnavailable("The worker is gone (injected).").info())
            return
        if mishap == "stuck":
            await asyncio.sleep(3600)
        async with aclosing(self.pattern.answer(task, resources)) as events:
            async for event in events:
                if mishap == "empty" and isinstance(event, Finished):
                    yield Finished(
                        text="", model=event.model, finish_reason="stop", tool_calls=(), usage=Usage(),
                        timings=Timings(), warnings=(), strategy=event.strategy,
                    )  # fmt: skip
                elif mishap != "empty" or not isinstance(event, TextDelta):
                    yield event


def alone(model: str) -> Direct:
    return Direct(model=model, name=model, system=SYSTEM, temperature=0, max_tokens=24)


async def ask(runtime: smidgen.Runtime, pattern: Pattern, item: Item, timeout_s: float | None = None) -> Got:
    begun, end, hops = time.perf_counter(), None, list[str]()
    async with aclosing(answered(runtime, pattern, task_of(item.question), timeout_s=timeout_s)) as events:
        async for event in events:
            if isinstance(event, FellBack):
                hops.append(event.to_strategy)
            if isinstance(event, (Finished, Failed)):
                end = event
    seconds = time.perf_counter() - begun
    if not isinstance(end, Finished) or is_refusal(end.strategy) or not end.text.strip():
        text = end.text if isinstance(end, Finished) else ""
        return Got(text=text, right=False, seconds=seconds, by="refusal", answered=False)
    sure = dict(pattern.sure) if isinstance(pattern, Measured) else {}
    right = item.is_right(end.text)
    return Got(text=end.text, right=right, seconds=seconds, by=end.strategy, sure=sure)


async def forget(runtime: smidgen.Runtime) -> None:
    """No side is to find in a cache what another has just asked the same model."""
    for held in runtime.held():
        async with runtime.lease(held.name) as lease:
            await cast(LocalEngine, lease.model.engine).clear_cache()


async def by_turns(
    runtime: smidgen.Runtime, sides: dict[str, Pattern], asked: Sequence[Item], seconds: float
) -> dict[str, list[Got]]:
    """Every item by every side in turn, so that what else the machine does hits them alike. Ends early when the seconds
    are over; the kinds of items follow each other, so what was asked by then is a fair part."""
    for pattern in sides.values():
        await ask(runtime, pattern, Item("", "What is your name?", "x"))  # loads the models
    found: dict[str, list[Got]] = {name: [] for name in sides}
    begun = time.perf_counter()
    for item in asked:
        for name, pattern in sides.items():
            await forget(runtime)
            found[name].append(await ask(runtime, pattern, item))
        if time.perf_counter() - begun > seconds:
            break
    return found


# --- the parts ------------------------------------------------------------------------------------------------------


def row(name: str, found: Sequence[Got]) -> str:
    right, n = sum(one.right for one in found), len(found)
    low, high = wilson(right, n)
    seconds = sum(one.seconds for one in found) / n
    return f"| {name} | {right} of {n} | {100 * low:.0f} to {100 * high:.0f}% | {seconds:.2f} |"


def by_kind(asked: Sequence[Item], found: Sequence[Got]) -> str:
    kinds = dict.fromkeys(item.kind for item in asked[: len(found)])
    counts = {kind: sum(a.right for i, a in zip(asked, found, strict=False) if i.kind == kind) for kind in kinds}
    return ", ".join(f"{kind} {count}" for kind, count in counts.items())


async def calibrate(runtime: smidgen.Runtime, count: int, seconds: float) -> dict[str, Any]:
    asked = items(CALIBRATION_SEED, count)
    told: dict[str, Any] = {}
    for model in MODELS[:-1]:
        found = (await by_turns(runtime, {model: Measured(model)}, asked, seconds / 2))[model]
        right = [one.right for one in found]
        print(row(model, found), by_kind(asked, found), flush=True)
        for test in ("mean", "least", "yes/no"):
            sure = sure_for([one.sure.get(test, 0.0) for one in found], right, PRECISION)
            kept = [one for one in found if one.sure.get(test, 0.0) >= sure]
            told.setdefault(model, {})[test] = {
                "sure": sure, "accepted": len(kept), "right": sum(one.right for one in kept), "of": len(found)
            }  # fmt: skip
            print(
                f"  {model} by {test}: from {sure:.3f} on, {told[model][test]['right']} of {len(kept)} right",
                flush=True,
            )
    return told


def best(told: dict[str, Any]) -> tuple[Literal["mean", "least"], float]:
    """The test of the tokens' likelihood that accepts most at the precision asked for."""
    test = max(OF, key=lambda test: told[test]["accepted"])
    return test, told[test]["sure"]


def cascades(told: dict[str, Any]) -> dict[str, Pattern]:
    def over(model: str, then: Pattern) -> Cascade:
        test, sure = best(told[model])
        return Cascade(name="cascade", first=alone(model), then=then, by=Logprob(of=test), sure=sure)

    small, middle, large = MODELS
    two = over(middle, alone(large))
    three = over(small, two)
    rules = Rules(tools=CODE)
    return {
        "0.5B, then 1.5B": two,
        "135M, 0.5B, then 1.5B": three,
        "rules, then 1.5B": Fallback(ways=(Way(pattern=rules), Way(pattern=alone(large)))),
    }


async def test(runtime: smidgen.Runtime, count: int, seconds: float, told: dict[str, Any]) -> dict[str, Any]:
    asked = items(TEST_SEED, count)
    ways = cascades(told)
    found = await by_turns(runtime, {**{model: alone(model) for model in MODELS}, **ways}, asked, seconds)
    for name, ones in found.items():
        print(row(name, ones), by_kind(asked, ones), flush=True)
        answerers = [re.split(r"[:,] ", one.by) for one in ones]
        counts = {model: sum(model in parts for parts in answerers) for model in (*MODELS, "rules")}
        print("  answered by", {model: n for model, n in counts.items() if n})
    large = found[MODELS[-1]]
    for name in ways:
        pairs = list(zip(found[name], large, strict=True))
        gained, lost = sum(a.right and not b.right for a, b in pairs), sum(b.right and not a.right for a, b in pairs)
        against = paired(gained, lost, len(pairs))
        ratio = sum(a.seconds for a, _ in pairs) / sum(b.seconds for _, b in pairs)
        apart = f"{against.low:+.2f} to {against.high:+.2f}, p {against.p:.2f}"
        print(f"  {name} against 1.5B alone: +{gained} -{lost}, {apart}, {ratio:.2f} of the time")
    return {name: [vars(one) for one in ones] for name, ones in found.items()}


async def faults(count: int) -> dict[str, Any]:
    """Whether there is an answer at all: so the models are scripted, and only the faults count."""
    asked = items(TEST_SEED, count)
    engines = {name: ScriptedEngine(lambda _: "Well.", name=name) for name in ("first", "second")}

    def chain(*models: str, seed: int, code: bool = False) -> Fallback:
        ways = [
            Way(pattern=Faulty(Direct(model=model), seed + number), deadline_s=LIMIT_S)
            for number, model in enumerate(models)
        ]
        ways += [Way(pattern=Rules(tools=CODE))] if code else []
        return Fallback(ways=(*ways, Way(pattern=Refusal())), rest_after=0)

    sides = {
        "one model": chain("first", seed=7),
        "two models": chain("first", "second", seed=7),
        "two models, then rules": chain("first", "second", seed=7, code=True),
    }
    told: dict[str, Any] = {}
    async with smidgen.Runtime(Config(model="first", audit="off"), models=ScriptedModels(engines)) as runtime:
        for name, pattern in sides.items():
            found = await asyncio.gather(*(ask(runtime, pattern, item) for item in asked))
            n = told[name] = sum(one.answered for one in found)
            low, high = wilson(n, len(found))
            print(f"| {name} | {n} of {len(found)} | {100 * low:.0f} to {100 * high:.0f}% |", flush=True)
        for rest_after in (0, 3):
            stuck = Faulty(Direct(model="first"), 7, share=1.0, mishaps=("stuck",))
            ways = (Way(pattern=stuck, deadline_s=LIMIT_S), Way(pattern=Direct(model="second")))
            pattern = Fallback(ways=ways, rest_after=rest_after)
            found = [await ask(runtime, pattern, item) for item in asked[:30]]
            told[f"hangs, rest_after {rest_after}"] = seconds = sum(one.seconds for one in found)
            print(
                f"a first model that always hangs, rest_after = {rest_after}: {seconds / LIMIT_S:.0f} limits",
                flush=True,
            )
    return told


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("calibrate", "test", "faults"))
    parser.add_argument("--each", type=int, default=EACH, help="questions of each of the six kinds")
    parser.add_argument("--seconds", type=float, default=800, help="of asking at most, for each part")
    parser.add_argument("--thresholds", type=Path, default=Path("cascade-thresholds.json"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    wanted = (arguments.part,) if arguments.part else ("calibrate", "test", "faults")
    made: dict[str, Any] = {}
    async with smidgen.Runtime(load_config()) as runtime:
        if "calibrate" in wanted:
            made["calibrate"] = await calibrate(runtime, arguments.each, arguments.seconds)
            arguments.thresholds.write_text(json.dumps(made["calibrate"], indent=1), encoding="utf-8")
        if "test" in wanted:
            told = json.loads(arguments.thresholds.read_text("utf-8"))
            made["test"] = await test(runtime, arguments.each, arguments.seconds, told)
        if "faults" in wanted:
            made["faults"] = await faults(10 * arguments.each)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(made, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
