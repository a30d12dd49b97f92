"""Cascades over scripted models: who answers, how sure is told, and what becomes of a refined text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from math import log
from typing import Any

import pytest

from smidgen.agent import Supply
from smidgen.agent.deadline import Deadline
from smidgen.config import Config
from smidgen.errors import EngineUnavailable, OutOfMemory
from smidgen.events import (
    AgentEvent,
    EngineEvent,
    Failed,
    FellBack,
    Finished,
    StepStarted,
    TextDelta,
    TokenLogprob,
    Verified,
)
from smidgen.messages import GenerateRequest
from smidgen.patterns import AgentWork, Pattern, Resources, Task, task_of
from smidgen.patterns.fallback import Agreement, Cascade, Checked, Fallback, Logprob, Nearness, Way, YesNo, sure_for
from smidgen.patterns.fallback.calibration import NEVER
from smidgen.patterns.fallback.checks import Matches, not_worse
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.tools.programs import Executed


class Likely(ScriptedEngine):
    """A script whose tokens are so likely, if it is asked how likely they are."""

    def __init__(self, answers: Any, likely: float, **options: Any) -> None:
        super().__init__(answers, chunk=1, **options)
        self.likely = likely

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        async for event in super()._events(request):
            if isinstance(event, TextDelta) and request.logprobs:
                yield TextDelta(text=event.text, logprobs=(TokenLogprob(text=event.text, logprob=log(self.likely)),))
            else:
                yield event


async def ask(
    pattern: Pattern, request: str = "hi", timeout_s: float | None = None, **engines: Any
) -> list[AgentEvent]:
    embedder = "embedder" if "embedder" in engines else ""
    models = ScriptedModels(engines, embedder=embedder)
    async with Runtime(Config(model="small", audit="off", embedder=embedder), models=models) as runtime:
        return [e async for e in Agent(runtime=runtime, pattern=pattern, timeout_s=timeout_s).astream(request)]


def ended(events: list[AgentEvent]) -> Finished:
    end = events[-1]
    assert isinstance(end, Finished), end
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    return end


def two(**options: Any) -> Cascade:
    return Cascade(first=Direct(model="small", name="first"), then=Direct(model="large", name="then"), **options)


@pytest.mark.parametrize(("likely", "text"), [(0.9, "small says"), (0.5, "large says")])
async def test_the_likelihood_of_the_tokens_decides(likely: float, text: str):
    large = ScriptedEngine(["large says"])
    events = await ask(two(sure=0.8), small=Likely(["small says"], likely), large=large)
    end = ended(events)
    assert (end.text, end.warnings) == (text, ())
    assert bool(large.generated) == (likely < 0.8)
    (judged,) = [event for event in events if isinstance(event, Verified)]
    assert judged.ok == (likely > 0.8) and f"{likely:.2f} sure" in judged.reason
    assert end.strategy == ("cascade: first (small)" if likely > 0.8 else "cascade: then (large)")
    assert end.model == ("small" if likely > 0.8 else "large")
    assert end.usage.completion_tokens == (10 if likely > 0.8 else 20)


async def test_the_least_likely_token_may_decide_instead():
    class Mixed(Likely):
        async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
            async for event in super()._events(request):
                self.likely = 0.1 if self.likely == 1.0 else 1.0
                yield event

    mean = await ask(two(sure=0.3), small=Mixed(["abcdefgh"], 1.0), large=ScriptedEngine(["large"]))
    least = await ask(
        two(sure=0.3, by=Logprob(of="least")), small=Mixed(["abcdefgh"], 1.0), large=ScriptedEngine(["large"])
    )
    assert (ended(mean).text, ended(least).text) == ("abcdefgh", "large")


@pytest.mark.parametrize(("second", "by", "text"), [
    ("The answer: 42.", "number", "It is 42"), ("it is  42!", "text", "It is 42"), ("41", "number", "large"),
    ("", "text", "large"),
])  # fmt: skip
async def test_samples_that_agree_decide(second: str, by: Any, text: str):
    small = ScriptedEngine(["It is 42", second])
    events = await ask(two(by=Agreement(by=by)), small=small, large=ScriptedEngine(["large"]))
    assert ended(events).text == text
    assert [request.sampling.seed for request in small.generated] == [0, 1]


def test_a_greedy_answerer_cannot_be_judged_by_agreement():
    with pytest.raises(ValueError, match="agrees with itself"):
        Cascade(first=Direct(temperature=0), then=Direct(), by=Agreement())


@pytest.mark.parametrize(("yes", "text"), [(-0.1, "small"), (-5.0, "large")])
async def test_yes_or_no_decides(yes: float, text: str):
    small = ScriptedEngine(["small"], scores={"Yes": yes, "No": -2.0})
    assert ended(await ask(two(by=YesNo()), small=small, large=ScriptedEngine(["large"]))).text == text


async def test_a_check_decides():
    by = Checked(check=Matches(regex=r"\d+"))
    for said, text in (("7", "7"), ("seven", "large")):
        assert ended(await ask(two(by=by), small=ScriptedEngine([said]), large=ScriptedEngine(["large"]))).text == text


async def test_nearness_decides_before_anything_is_written():
    by = Nearness(easy=("add two numbers",), hard=("write a long poem",))
    small, large = ScriptedEngine(["small"] * 2), ScriptedEngine(["large"] * 2)
    engines = {"small": small, "large": large, "embedder": ScriptedEngine()}
    assert ended(await ask(two(by=by), "add two numbers", **engines)).text == "small"
    assert not large.generated
    engines = {"small": ScriptedEngine(["small"]), "large": ScriptedEngine(["large"]), "embedder": ScriptedEngine()}
    assert ended(await ask(two(by=by), "write a long poem", **engines)).text == "large"
    assert not engines["small"].generated


async def test_without_an_embedder_nearness_is_not_sure():
    by = Nearness(easy=("hi",), hard=("write a long poem",))
    events = await ask(two(by=by), small=ScriptedEngine(["small"]), large=ScriptedEngine(["large"]))
    assert ended(events).text == "large"


async def test_a_first_that_fails_is_told_and_the_specialist_answers():
    small = ScriptedEngine([EngineUnavailable("It is gone.")])
    end = ended(await ask(two(), small=small, large=ScriptedEngine(["large"])))
    assert end.text == "large"
    assert "It is gone" in end.warnings[0]


async def test_a_specialist_that_fails_leaves_the_unsure_answer_with_a_warning():
    no_room = OutOfMemory("No room for large.", hint="Raise the budget.")
    events = await ask(two(), small=Likely(["small"], 0.5), large=ScriptedEngine([no_room]))
    end = ended(events)
    assert end.text == "small"
    assert "isn't sure (0.50 sure" in end.warnings[0] and "No room for large" in end.warnings[0]
    assert [(e.from_strategy, e.to_strategy) for e in events if isinstance(e, FellBack)] == [
        ("first (small)", "then (large)"),
        ("then (large)", "first (small)"),
    ]
    events = await ask(two(keep_unsure=False), small=Likely(["small"], 0.5), large=ScriptedEngine([no_room]))
    assert isinstance(events[-1], Failed) and events[-1].error.code == "no_answer"
    assert not [event for event in events if isinstance(event, TextDelta)]


async def test_what_is_hard_goes_to_the_first_after_all_when_the_specialist_fails():
    by = Nearness(easy=("add two numbers",), hard=("write a long poem",))
    engines = {"small": ScriptedEngine(["small"]), "large": ScriptedEngine([EngineUnavailable("gone")])}
    events = await ask(two(by=by), "write a long poem", embedder=ScriptedEngine(), **engines)
    assert ended(events).text == "small"
    assert "isn't sure" in ended(events).warnings[0] and "gone" in ended(events).warnings[0]


async def test_a_test_that_fails_itself_is_not_sure():
    def wrong(request: str, text: str) -> bool:
        raise ZeroDivisionError("oops")

    events = await ask(two(check=wrong), small=Likely(["small"], 0.9), large=ScriptedEngine(["large"]))
    assert ended(events).text == "large"
    assert any(isinstance(event, Verified) and "ZeroDivisionError" in event.reason for event in events)


async def test_a_text_that_fits_neither_is_told_as_such():
    engines = {"small": ScriptedEngine(context=300), "large": ScriptedEngine(context=400)}
    cascade = Cascade(first=Direct(model="small", max_tokens=9), then=Direct(model="large", max_tokens=9))
    events = await ask(cascade, "x" * 900, **engines)
    assert isinstance(events[-1], Failed) and events[-1].error.code == "context_overflow"
    assert events[-1].error.details["context_tokens"] == 400


async def test_a_cascade_that_fails_is_a_way_of_a_chain_that_goes_on():
    chain = Fallback(ways=(Way(pattern=two(keep_unsure=False)), Way(pattern=Direct(model="other"))))
    gone = EngineUnavailable("gone")
    engines = {"small": ScriptedEngine([gone]), "large": ScriptedEngine([gone]), "other": ScriptedEngine(["yes"])}
    assert ended(await ask(chain, **engines)).text == "yes"


async def test_there_is_no_time_for_the_specialist():
    cascade = two()
    cascade.healths["then"].took(60.0)
    large = ScriptedEngine(["large"])
    end = ended(await ask(cascade, timeout_s=10, small=Likely(["small"], 0.5), large=large))
    assert end.text == "small" and not large.generated
    assert "usually takes 60.0 s" in end.warnings[0]


async def test_the_first_is_cut_at_its_limit():
    class Slow:
        name = "slow"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            yield TextDelta(text="Well")
            await asyncio.sleep(3600)

    end = ended(await ask(Cascade(first=Slow(), then=Direct(), first_s=0.05), small=ScriptedEngine(["yes"])))
    assert end.text == "yes"
    assert "time limit" in end.warnings[0]


@pytest.mark.parametrize(("refined", "kept"), [
    ("It costs 20 euros.", True), ("It costs 21 euros.", False), ("It costs some.", False), ("", False),
    ("It costs 20 euros. " + "Really, it does. " * 10, False),
])  # fmt: skip
async def test_a_refined_text_is_kept_if_it_is_not_worse(refined: str, kept: bool):
    cascade = two(refiner=Direct(model="polish", name="polish"))
    polish = ScriptedEngine([refined])
    events = await ask(cascade, small=Likely(["cost 20 euro"], 0.9), large=ScriptedEngine(), polish=polish)
    assert ended(events).text == (refined if kept else "cost 20 euro")
    assert [e.ok for e in events if isinstance(e, Verified)] == [True, kept]
    assert ended(events).warnings == ()
    assert "cost 20 euro" in polish.generated[0].prompt[0].text


async def test_a_refined_text_must_pass_the_check_too():
    cascade = two(refiner=Direct(model="polish"), check=Matches(regex="[a-z ]+"))
    events = await ask(
        cascade, small=Likely(["all small"], 0.9), large=ScriptedEngine(), polish=ScriptedEngine(["All Large"])
    )
    assert ended(events).text == "all small"


async def test_a_refiner_that_fails_changes_nothing():
    cascade = two(refiner=Direct(model="polish"))
    polish = ScriptedEngine([EngineUnavailable("gone")])
    events = await ask(cascade, small=Likely(["fine"], 0.9), large=ScriptedEngine(), polish=polish)
    assert ended(events).text == "fine"


async def test_three_models_are_a_cascade_in_a_cascade():
    middle = Cascade(
        first=Direct(model="middle", name="middle"), then=Direct(model="large", name="large"), name="inner"
    )
    outer = Cascade(first=Direct(model="small", name="small"), then=middle)
    engines = {"small": Likely(["a"], 0.5), "middle": Likely(["b"], 0.9), "large": ScriptedEngine(["c"])}
    end = ended(await ask(outer, **engines))
    assert (end.text, end.strategy) == ("b", "cascade: inner, inner: middle")
    engines = {"small": Likely(["a"], 0.5), "middle": Likely(["b"], 0.5), "large": ScriptedEngine(["c"])}
    assert ended(await ask(outer, **engines)).text == "c"


class Room:
    """Resources in which one model at a time has room. Those of a scope go when it ends."""

    def __init__(self, engines: dict[str, ScriptedEngine]) -> None:
        self.models, self.held = ScriptedModels(engines), set[str]()
        self.deadline = Deadline(None)

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[Resources]:
        before = set(self.held)
        try:
            yield self
        finally:
            self.held = before

    def supply(self, model: str) -> Supply:
        room = self

        class Only:
            name = model

            async def load(self) -> Any:
                if room.held - {model}:
                    raise OutOfMemory("There is only room for one.")
                room.held.add(model)
                async with room.models.lease(model) as lease:
                    return lease.model, ()

        return Only()

    def embedder(self) -> Supply | None:
        return None

    async def python(self, code: str, seconds: float) -> Executed:
        raise NotImplementedError

    def agent(self, work: AgentWork, task: Task) -> AsyncGenerator[AgentEvent, None]:
        raise NotImplementedError


async def test_each_part_gives_its_model_back_before_the_next_needs_room():
    room = Room({"small": Likely(["a"], 0.5), "large": ScriptedEngine(["b"])})
    events = [event async for event in two().answer(task_of("hi"), room)]
    assert ended(events).text == "b"
    room = Room({"small": ScriptedEngine([EngineUnavailable("gone")]), "large": ScriptedEngine(["b"])})
    chain = Fallback(ways=(Way(pattern=Direct(model="small")), Way(pattern=Direct(model="large"))))
    events = [event async for event in chain.answer(task_of("hi"), room)]
    assert ended(events).text == "b"
    assert not room.held


async def test_steps_are_told_in_order():
    events = await ask(two(), small=Likely(["a"], 0.5), large=ScriptedEngine(["b"]))
    assert [(e.action, e.detail) for e in events if isinstance(e, StepStarted)] == [
        ("try", "first (small)"),
        ("escalate", "then (large)"),
    ]


def test_a_threshold_keeps_the_precision_and_takes_as_many_as_it_can():
    assert sure_for([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 0.75) == 0.6
    assert sure_for([0.9, 0.8, 0.7, 0.6], [True, True, False, False], 0.9) == 0.8
    assert sure_for([0.9, 0.8], [False, False], 0.5) == NEVER
    assert sure_for([0.8, 0.8], [True, False], 0.9) == NEVER, "equals are accepted together"
    assert sure_for([], [], 0.9) == NEVER


def test_not_worse_is_about_numbers_and_length():
    assert not_worse("20 euros in 1999", "In 1999 it was 20 euros") == ""
    assert "leaves out 20" in not_worse("20 euros", "some euros")
    assert "says 30" in not_worse("20 euros", "20 or 30 euros")
