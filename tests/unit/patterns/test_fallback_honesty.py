"""What counts as an answer: refusals wherever they come from, texts that were cut, samples that only look alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from math import log
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import EngineUnavailable
from smidgen.events import AgentEvent, EngineEvent, Finished, FinishReason, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Timings, Usage
from smidgen.patterns import Pattern, Resources, Task, task_of
from smidgen.patterns.fallback import Agreement, Cascade, Fallback, Refusal, Rule, Rules, Way
from smidgen.patterns.fallback.checks import Matches
from smidgen.patterns.fallback.confidence import Draft
from smidgen.patterns.fallback.failures import is_refusal
from smidgen.patterns.fallback.health import Health
from smidgen.patterns.fallback.within import Within
from smidgen.patterns.plain import Direct
from smidgen.patterns.router import Intent, Router
from smidgen.patterns.run import Run
from smidgen.patterns.verified import Verified as Checking
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels


class Says:
    """Ends as it is told, having said the text."""

    def __init__(self, text: str, name: str = "says", finish_reason: FinishReason = "stop", error: Any = None) -> None:
        self.name, self.text, self.error = name, text, error
        self.finish_reason: FinishReason = finish_reason

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        if self.error is not None:
            raise self.error
        yield TextDelta(text=self.text)
        yield Finished(
            text=self.text,
            model="m",
            finish_reason=self.finish_reason,
            tool_calls=(),
            usage=Usage(),
            timings=Timings(),
            warnings=(),
            strategy=self.name,
        )


class Likely(ScriptedEngine):
    """A script all of whose tokens are quite likely."""

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        async for event in super()._events(request):
            if isinstance(event, TextDelta):
                yield TextDelta(text=event.text, logprobs=(TokenLogprob(text=event.text, logprob=log(0.95)),))
            else:
                yield event


async def ask(pattern: Pattern, **engines: ScriptedEngine) -> Finished:
    engines = engines or {"small": ScriptedEngine()}
    async with Runtime(Config(model=next(iter(engines)), audit="off"), models=ScriptedModels(engines)) as runtime:
        agent = Agent(runtime=runtime, pattern=pattern)
        events = [event async for event in agent.astream("hi")]
    end = events[-1]
    assert isinstance(end, Finished), end
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    return end


# --- refusals -------------------------------------------------------------------------------------------------------


def never(text: str) -> bool:
    return False


HOURS = Intent(name="hours", examples=("when do you open", "open today?", "opening hours"), pattern=Refusal())


@pytest.mark.parametrize(
    "refusing",
    [
        Router([HOURS], otherwise=Refusal(), embeds=False),
        Router([HOURS], otherwise=Fallback(ways=(Way(pattern=Refusal()),)), embeds=False),
        Checking([Says("abc")], never, retries=0, refuse=True),
    ],
)
async def test_a_refusal_within_another_pattern_is_no_answer_for_a_chain(refusing: Pattern) -> None:
    end = await ask(Fallback(ways=(Way(pattern=refusing), Way(pattern=Says("yes")))))
    assert end.text == "yes"
    assert "it gave no answer" in end.warnings[0]


@pytest.mark.parametrize(
    ("strategy", "is_one"),
    [
        ("router: hours by pattern (refusal)", True),
        ("router: hours by pattern (inner: out of scope, by refusal)", True),
        ("verified: refused after 3 tries", True),
        ("router: refusal by template", False),
        ("router: refusal by pattern (says)", False),
    ],
)
def test_refusals_are_told_from_what_is_about_them(strategy: str, is_one: bool) -> None:
    assert is_refusal(strategy) == is_one


def refusing_chain(text: str) -> Fallback:
    """Its model's text fails the check, however likely it is."""
    return Fallback(
        name=text,
        ways=(Way(pattern=Direct(model="small"), check=Matches(regex=r"\d+")), Way(pattern=Refusal(text=text))),
    )


async def test_a_cascade_is_not_sure_of_a_refusal() -> None:
    cascade = Cascade(first=refusing_chain("I can't."), then=Says("yes", name="then"), sure=0.9)
    end = await ask(cascade, small=Likely(["abc"]))
    assert end.text == "yes"
    assert "I can't." in end.warnings[0]


async def test_an_unsure_answer_is_better_than_the_specialists_refusal() -> None:
    cascade = Cascade(first=Says("maybe"), then=Refusal(text="I can't."), sure=0.9)
    end = await ask(cascade)
    assert end.text == "maybe"
    assert "isn't sure" in end.warnings[0] and "I can't." in end.warnings[0]


async def test_where_both_refuse_that_is_told() -> None:
    end = await ask(Cascade(first=Refusal(text="No."), then=Refusal(text="I can't.")))
    assert (end.text, end.strategy) == ("I can't.", "cascade: refusal")
    assert is_refusal(end.strategy)


# --- texts that were cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("finish_reason", "text"), [("stop", "It costs 20 euros."), ("length", "20 euro")])
async def test_a_refined_text_that_was_cut_is_not_kept(finish_reason: FinishReason, text: str) -> None:
    refiner = Says("It costs 20 euros.", finish_reason=finish_reason)
    cascade = Cascade(first=Says("x", error=EngineUnavailable("gone")), then=Says("20 euro"), refiner=refiner)
    end = await ask(cascade)
    assert (end.text, end.finish_reason) == (text, "stop")


async def test_a_specialist_that_was_cut_at_the_limit_is_known_to_be_slow() -> None:
    class Cut(Says):
        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            await asyncio.sleep(0.4)
            async for event in super().answer(task, resources):
                yield event

    cascade = Cascade(first=Says("maybe"), then=Cut("and so", finish_reason="deadline"))
    assert (await ask(cascade)).text == "maybe"
    assert cascade.healths["then"].usual_s


async def test_what_was_shown_by_the_limit_tells_its_way_and_what_failed_before() -> None:
    class Slow:
        name, model = "slow", "large"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            yield TextDelta(text="Well")
            await asyncio.sleep(3600)

    ways = (
        Way(pattern=Says("x", name="first", error=EngineUnavailable("It is gone"))),
        Way(pattern=Slow(), stream=True, deadline_s=0.05),
    )
    end = await ask(Fallback(ways=ways), small=ScriptedEngine(), large=ScriptedEngine())
    assert (end.text, end.finish_reason) == ("Well", "deadline")
    assert (end.model, end.strategy) == ("large", "fallback: slow (large)")
    assert "first: It is gone" in end.warnings[0] and "time limit" in end.warnings[1]


# --- what is remembered ---------------------------------------------------------------------------------------------


def test_a_run_from_before_the_rest_does_not_end_the_trial_of_another() -> None:
    now = 0.0
    health = Health(1, 30)
    health.clock = lambda: now
    before = health.begin()
    health.failed("system")
    now = 31.0
    assert not health.resting_s()
    trial = health.begin()
    health.end(before)
    assert health.resting_s(), "one request tries it, not two"
    health.end(trial)
    assert not health.resting_s()


async def test_models_that_load_at_the_same_time_count_once() -> None:
    class Loading:
        name = "slow"

        async def load(self) -> Any:
            await asyncio.sleep(0.1)
            return None, ()

    class Held:
        def supply(self, model: str) -> Any:
            return Loading()

    within = Within(Held(), None)  # pyright: ignore[reportArgumentType]
    await asyncio.gather(*(within.supply("").load() for _ in range(20)))
    assert 0 < within.load_s < 20 * 0.1


# --- samples that agree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("It is 5.", "it is 5", True),
        ("Well - it's **5**!", "well, it's 5", True),
        ("-5", "5", False),
        ("\u22125", "-5", True),
        ("3.5", "35", False),
        ("a < b", "a > b", False),
        ("की", "कि", False),
        ("cafe\u0301", "café", True),
        ("\U0001f44d", "\U0001f44e", False),
        ("!", "", False),
        ("你好。", "你好", True),
    ],
)
async def test_samples_agree_if_they_say_the_same_in_any_writing(one: str, other: str, same: bool) -> None:
    async def again(seed: int) -> str:
        return other

    task = task_of("hi")
    run: Run = Run(task, None)  # pyright: ignore[reportArgumentType]
    found = await Agreement().sure(Draft(task=task, run=run, text=one, again=again))
    assert found.confidence == float(same)


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "asked", "answers"),
    [
        ("hello", "Hello?!", True),
        ("你好", "你好？", True),
        ("cómo estás", "¿Cómo estás?", True),
        (r"\.5 plus 1", ".5 plus 1", True),
        ("hello", "hello you", False),
    ],
)
async def test_rules_overlook_the_marks_of_sentences_in_any_writing(when: str, asked: str, answers: bool) -> None:
    chain = Fallback(ways=(Way(pattern=Rules(rules=(Rule(when=when, say="Yes."),))), Way(pattern=Says("other"))))
    async with Runtime(Config(model="m", audit="off"), models=ScriptedModels({"m": ScriptedEngine()})) as runtime:
        end = await Agent(runtime=runtime, pattern=chain).arun(asked)
    assert end.text == ("Yes." if answers else "other")
