"""Chains of ways over scripted models: what is tried, what is skipped, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import (
    Cancelled,
    ContextOverflow,
    EngineBusy,
    EngineUnavailable,
    InvalidRequest,
    NoAnswer,
    SmidgenError,
)
from smidgen.events import AgentEvent, Failed, FellBack, Finished, Notice, StepStarted, TextDelta, Verified
from smidgen.messages import Timings, Usage
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.fallback import Fallback, Refusal, Rule, Rules, Way
from smidgen.patterns.fallback.checks import Matches
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels


def runtime_of(**engines: ScriptedEngine) -> Runtime:
    return Runtime(Config(model=next(iter(engines)), audit="off"), models=ScriptedModels(engines))


def scripted(*answers: str | SmidgenError, **options: Any) -> ScriptedEngine:
    return ScriptedEngine(answers, **options)


class Slow:
    """Says a piece, then sleeps until it is cancelled. closed: how often that was."""

    def __init__(self, name: str = "slow", said: str = "Well") -> None:
        self.name, self._said = name, said
        self.begun = self.closed = 0

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        self.begun += 1
        try:
            yield TextDelta(text=self._said)
            await asyncio.sleep(3600)
        finally:
            self.closed += 1


class Ends:
    """Ends as it is told, having said the text."""

    def __init__(self, *ends: str | SmidgenError | Exception, name: str = "ends", **changes: Any) -> None:
        self.name, self.ends, self.changes = name, list(ends), changes
        self.begun = 0

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        self.begun += 1
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, SmidgenError):
            yield Failed(error=end.info())
        elif isinstance(end, Exception):
            raise end
        else:
            yield TextDelta(text=end)
            values = {"finish_reason": "stop", "strategy": self.name, **self.changes}
            yield Finished(
                text=end,
                model="m",
                tool_calls=(),
                usage=Usage(completion_tokens=5),
                timings=Timings(),
                warnings=(),
                **values,
            )


async def ask(pattern: Pattern, request: str = "hi", timeout_s: float | None = None) -> list[AgentEvent]:
    async with runtime_of(tiny=scripted()) as runtime:
        agent = Agent(runtime=runtime, pattern=pattern, timeout_s=timeout_s)
        return [event async for event in agent.astream(request)]


def shown(events: list[AgentEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def ended(events: list[AgentEvent]) -> Finished:
    end = events[-1]
    assert isinstance(end, Finished), end
    assert shown(events) == end.text
    assert sum(isinstance(event, (Finished, Failed)) for event in events) == 1
    return end


def hops(events: list[AgentEvent]) -> list[tuple[str, str, str]]:
    return [(e.from_strategy, e.to_strategy, e.reason) for e in events if isinstance(e, FellBack)]


def code_of(events: list[AgentEvent]) -> str:
    assert isinstance(events[-1], Failed), events[-1]
    return events[-1].error.code


async def test_the_first_way_answers_and_nothing_is_said_of_the_others():
    later = Ends("no")
    events = await ask(Fallback(ways=(Way(pattern=Ends("yes")), Way(pattern=later))))
    end = ended(events)
    assert (end.text, end.strategy, end.warnings) == ("yes", "fallback: ends 1", ())
    assert later.begun == 0
    assert not hops(events) and not [event for event in events if isinstance(event, Notice)]


async def test_models_prompts_rules_and_refusal_in_one_chain():
    big, small = scripted(EngineUnavailable("It is gone.")), scripted("maybe it is so", "42")
    chain = Fallback(
        ways=(
            Way(pattern=Direct(model="big"), check=Matches(regex=r"\d+")),
            Way(pattern=Direct(model="small"), check=Matches(regex=r"\d+")),
            Way(pattern=Direct(model="small", prompt="Only a number: {request}"), check=Matches(regex=r"\d+")),
            Way(pattern=Refusal()),
        )
    )
    async with runtime_of(big=big, small=small) as runtime:
        events = [event async for event in Agent(runtime=runtime, pattern=chain).astream("How many?")]
    end = ended(events)
    assert (end.text, end.strategy) == ("42", "fallback: direct (small) 2")
    assert [hop[:2] for hop in hops(events)] == [
        ("direct (big)", "direct (small) 1"),
        ("direct (small) 1", "direct (small) 2"),
    ]
    assert "It is gone" in hops(events)[0][2] and "doesn't match" in hops(events)[1][2]
    assert [event.ok for event in events if isinstance(event, Verified)] == [False, True]
    (told,) = end.warnings
    assert "direct (big): It is gone" in told and "direct (small) 1: its answer was not accepted" in told
    assert [event.message for event in events if isinstance(event, Notice)] == [told]
    assert end.usage.completion_tokens == len("maybe it is so") + len("42")


async def test_the_refusal_says_what_was_tried_and_what_to_do():
    failing = EngineUnavailable("The worker is gone.", hint="Restart it.")
    chain = Fallback(
        ways=(
            Way(pattern=Ends(failing, name="model")),
            Way(pattern=Ends("abc", name="short"), check=lambda request, text: "it isn't a number"),
            Way(pattern=Refusal()),
        )
    )
    end = ended(await ask(chain))
    assert "- model: The worker is gone" in end.text
    assert "- short: its answer was not accepted: it isn't a number" in end.text
    assert "Restart it." in end.text
    assert end.strategy == "fallback: refusal"
    assert len(end.warnings) == 1


async def test_a_refusal_within_a_chain_is_no_answer_for_the_chain_around_it():
    inner = Fallback(name="inner", ways=(Way(pattern=Ends(EngineUnavailable("gone"))), Way(pattern=Refusal())))
    end = ended(await ask(Fallback(ways=(Way(pattern=inner), Way(pattern=Ends("yes", name="other"))))))
    assert (end.text, end.strategy) == ("yes", "fallback: other")


async def test_without_a_refusal_the_error_says_what_was_tried():
    chain = Fallback(ways=(Way(pattern=Ends(EngineUnavailable("gone", retryable=True))), Way(pattern=Ends(""))))
    events = await ask(chain)
    assert code_of(events) == "no_answer"
    assert isinstance(events[-1], Failed)
    error = events[-1].error
    assert error.retryable
    assert [text.split(":")[0] for text in error.details["tried"]] == ["ends 1", "ends 2"]
    assert isinstance(error.to_exception(), NoAnswer)
    assert hops(events)[-1][1] == "nothing"


@pytest.mark.parametrize("error", [InvalidRequest("No such thing."), Cancelled("Stopped.")])
async def test_the_requests_own_fault_goes_no_further(error: SmidgenError):
    later = Ends("yes")
    events = await ask(Fallback(ways=(Way(pattern=Ends(error)), Way(pattern=later), Way(pattern=Refusal()))))
    assert code_of(events) == error.code
    assert later.begun == 0


async def test_a_text_that_does_not_fit_goes_to_a_larger_context():
    async with runtime_of(small=scripted(context=300), large=scripted("yes")) as runtime:
        chain = Fallback(
            ways=(
                Way(pattern=Direct(model="small", max_tokens=20)),
                Way(pattern=Direct(model="small", max_tokens=10), context=300, name="no larger"),
                Way(pattern=Direct(model="large", max_tokens=20), context=4096),
            )
        )
        events = [event async for event in Agent(runtime=runtime, pattern=chain).astream("x" * 500)]
    assert ended(events).text == "yes"
    assert "no larger" in hops(events)[1][2]
    assert not any(isinstance(event, StepStarted) and event.detail == "no larger" for event in events)


async def test_a_text_that_fits_nowhere_is_told_as_such():
    async with runtime_of(small=scripted(context=300), large=scripted(context=400)) as runtime:
        ways = (Way(pattern=Direct(model="large", max_tokens=20)), Way(pattern=Direct(model="small", max_tokens=20)))
        with pytest.raises(ContextOverflow) as caught:
            await Agent(runtime=runtime, pattern=Fallback(ways=ways)).arun("x" * 900)
    assert caught.value.details["context_tokens"] == 400


async def test_a_model_that_is_missing_and_a_mistake_go_to_the_next_way():
    chain = Fallback(
        ways=(Way(pattern=Direct(model="nowhere")), Way(pattern=Ends(ValueError("oops"))), Way(pattern=Ends("yes")))
    )
    end = ended(await ask(chain))
    assert end.text == "yes"
    assert "nowhere" in end.warnings[0] and "oops" in end.warnings[0]


async def test_a_way_is_only_for_what_it_is_for():
    checked = Ends("abc", name="checked")
    chain = Fallback(
        ways=(
            Way(pattern=checked, check=lambda request, text: False),
            Way(pattern=Ends("no", name="other model"), when=("system", "missing")),
            Way(pattern=Ends("yes", name="other prompt"), when=("check",)),
        )
    )
    events = await ask(chain)
    assert ended(events).text == "yes"
    assert [hop[0] for hop in hops(events)] == ["checked", "other model"]
    assert "other model" not in ended(events).warnings[0].split("others")[1]


async def test_at_its_limit_a_way_is_closed_and_the_next_goes_on():
    slow = Slow()
    events = await ask(Fallback(ways=(Way(pattern=slow, deadline_s=0.05), Way(pattern=Ends("yes")))))
    assert ended(events).text == "yes"
    assert slow.closed == 1
    assert "time limit" in ended(events).warnings[0]


async def test_when_time_was_all_that_was_short_the_error_is_the_deadlines():
    ways = (Way(pattern=Slow("a"), deadline_s=0.05), Way(pattern=Slow("b"), deadline_s=0.05))
    events = await ask(Fallback(ways=ways))
    assert code_of(events) == "deadline_exceeded"


async def test_the_last_resort_has_time_reserved():
    slow, last = Slow(), Ends("yes", name="last")
    events = await ask(Fallback(ways=(Way(pattern=slow), Way(pattern=last)), reserve_s=0.5), timeout_s=1.0)
    assert ended(events).text == "yes"
    assert slow.closed == last.begun == 1


async def test_refusal_and_rules_answer_even_when_no_time_is_left():
    chain = Fallback(ways=(Way(pattern=Slow("a")), Way(pattern=Slow("b")), Way(pattern=Refusal())), deadline_s=0.001)
    events = await ask(chain)
    assert ended(events).strategy == "fallback: refusal"
    assert "no time is left" in ended(events).text


async def test_a_way_that_cannot_finish_in_time_is_skipped_and_told():
    usual, quick = Ends("slow but good", name="usual"), Ends("yes", name="quick")
    chain = Fallback(ways=(Way(pattern=usual), Way(pattern=quick)), deadline_s=10)
    chain.healths[0].took(30.0)
    events = await ask(chain)
    assert ended(events).text == "yes"
    assert usual.begun == 0
    assert "usually takes 30.0 s" in ended(events).warnings[0]
    for _ in range(20):
        await ask(chain)
    assert usual.begun > 0, "what is skipped is forgotten in time"


async def test_a_way_that_was_cut_once_is_given_the_same_time_again():
    slow = Slow()
    chain = Fallback(ways=(Way(pattern=slow, deadline_s=0.05), Way(pattern=Ends("yes"))))
    for _ in range(2):
        ended(await ask(chain))
    assert slow.begun == 2


async def test_a_cut_that_comes_late_is_not_held_against_the_way():
    class Busy(Slow):
        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            time.sleep(0.5)  # noqa: ASYNC251 - so that the limit and the time after it pass unseen
            async with aclosing(super().answer(task, resources)) as events:
                async for event in events:
                    yield event

    busy = Busy()
    chain = Fallback(ways=(Way(pattern=busy, deadline_s=0.05), Way(pattern=Ends("yes"))))
    for _ in range(2):
        ended(await ask(chain))
    assert busy.begun == 2
    assert (chain.healths[0].usual_s or 0.0) <= 0.05


async def test_the_last_way_is_tried_however_long_it_usually_takes():
    chain = Fallback(ways=(Way(pattern=Ends(EngineUnavailable("gone"))), Way(pattern=Ends("yes"))), deadline_s=5)
    chain.healths[1].took(30.0)
    assert ended(await ask(chain)).text == "yes"


async def test_a_way_that_failed_often_rests_and_is_tried_again():
    now = 0.0
    broken = Ends(EngineUnavailable("gone"), name="broken")
    chain = Fallback(ways=(Way(pattern=broken), Way(pattern=Ends("yes"))), rest_after=2, rest_s=30)
    chain.healths[0].clock = lambda: now
    for _ in range(2):
        ended(await ask(chain))
    assert broken.begun == 2
    assert "rests 30 s" in ended(await ask(chain)).warnings[0]
    assert broken.begun == 2
    now = 31.0
    ended(await ask(chain))
    assert broken.begun == 3
    assert "rests" in ended(await ask(chain)).warnings[0], "once more was enough to rest again"
    now, broken.ends = 62.0, ["back"]
    assert [ended(await ask(chain)).text for _ in range(2)] == ["back", "back"]


async def test_answers_that_fail_a_check_and_full_queues_make_no_way_rest():
    busy = Ends(EngineBusy("full"), name="busy")
    checked = Ends("abc", name="checked")
    chain = Fallback(
        ways=(Way(pattern=busy), Way(pattern=checked, check=Matches(regex=r"\d+")), Way(pattern=Ends("yes"))),
        rest_after=2,
    )
    for _ in range(4):
        ended(await ask(chain))
    assert (busy.begun, checked.begun) == (4, 4)


async def test_what_may_pass_is_tried_again_if_that_is_wished():
    busy = Ends(EngineBusy("full"), "yes", name="busy")
    events = await ask(Fallback(ways=(Way(pattern=busy, retries=1), Way(pattern=Ends("no")))))
    assert ended(events).text == "yes"
    assert ended(events).warnings == ()
    broken = Ends(EngineUnavailable("gone", retryable=False), "yes")
    assert ended(await ask(Fallback(ways=(Way(pattern=broken, retries=3), Way(pattern=Ends("other")))))).text == "other"


@pytest.mark.parametrize("text", ["", "  \n", "no, " * 200])
async def test_nothing_and_endless_repetition_are_no_answers(text: str):
    assert ended(await ask(Fallback(ways=(Way(pattern=Ends(text)), Way(pattern=Ends("yes")))))).text == "yes"


async def test_an_answer_cut_by_time_counts_only_when_nothing_follows():
    cut = Ends("Once upon", finish_reason="deadline")
    assert ended(await ask(Fallback(ways=(Way(pattern=cut), Way(pattern=Ends("yes")))))).text == "yes"
    end = ended(await ask(Fallback(ways=(Way(pattern=cut),))))
    assert (end.text, end.finish_reason) == ("Once upon", "deadline")
    assert end.warnings == ("The answer was cut at the time limit.",)


async def test_a_streaming_way_shows_its_text_as_it_comes():
    async with runtime_of(tiny=scripted("one two three four five")) as runtime:
        chain = Fallback(ways=(Way(pattern=Direct(), stream=True), Way(pattern=Refusal())))
        events = [event async for event in Agent(runtime=runtime, pattern=chain).astream("count")]
    assert sum(isinstance(event, TextDelta) for event in events) > 1
    assert ended(events).text == "one two three four five"


async def test_what_was_shown_is_the_answer_when_time_ends_it():
    later = Ends("yes")
    chain = Fallback(ways=(Way(pattern=Slow(), stream=True, deadline_s=0.05), Way(pattern=later)))
    events = await ask(chain)
    end = ended(events)
    assert (end.text, end.finish_reason, later.begun) == ("Well", "deadline", 0)
    assert "time limit" in end.warnings[0]


async def test_a_stream_that_breaks_after_text_was_shown_fails():
    class Breaks(Ends):
        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            yield TextDelta(text="Well")
            yield Failed(error=EngineUnavailable("gone").info())

    later = Ends("yes")
    events = await ask(Fallback(ways=(Way(pattern=Breaks(""), stream=True), Way(pattern=later))))
    assert code_of(events) == "engine_unavailable"
    assert later.begun == 0


@pytest.mark.parametrize("error", [EngineUnavailable("no sandbox"), KeyError("no sandbox")])
async def test_a_check_that_fails_itself_accepts_nothing(error: Exception):
    def wrong(request: str, text: str) -> str:
        raise error

    events = await ask(Fallback(ways=(Way(pattern=Ends("abc"), check=wrong), Way(pattern=Ends("yes")))))
    assert ended(events).text == "yes"
    assert "could not be checked" in ended(events).warnings[0] and "no sandbox" in ended(events).warnings[0]


async def test_closing_the_stream_cancels_the_way_that_runs():
    slow = Slow()
    async with runtime_of(tiny=scripted()) as runtime:
        events = Agent(runtime=runtime, pattern=Fallback(ways=(Way(pattern=slow, stream=True),))).astream("hi")
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await events.aclose()
        assert slow.closed == 1


def test_ways_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="can't stream"):
        Way(pattern=Refusal(), stream=True, check=Matches(regex="x"))
    with pytest.raises(ValueError, match="at least one"):
        Fallback(ways=())
    with pytest.raises(ValueError, match="when names 'chekc'"):
        Way(pattern=Refusal(), when=("chekc",))  # pyright: ignore[reportArgumentType]


async def test_rules_that_do_not_speak_of_it_are_passed_over_without_a_warning():
    rules = Rules(
        rules=(Rule(when=r"(?:hi|hello)", say="Hello."), Rule(when=r"repeat (?P<what>.+)", say="{what}, {what}"))
    )
    chain = Fallback(ways=(Way(pattern=rules), Way(pattern=Ends("yes"))))
    assert ended(await ask(chain, "Hello!")).text == "Hello."
    assert ended(await ask(chain, "repeat {0}")).text == "{0}, {0}"
    events = await ask(chain, "who?")
    assert (ended(events).text, ended(events).warnings) == ("yes", ())
    assert hops(events)[0][:2] == ("rules", "ends")


async def test_rules_calculate_when_no_model_works():
    chain = Fallback(
        ways=(
            Way(pattern=Ends(EngineUnavailable("gone"))),
            Way(pattern=Rules(tools=("calculator",))),
            Way(pattern=Refusal()),
        )
    )
    end = ended(await ask(chain, "What is 17 * 3?"))
    assert "51" in end.text
    assert [record.name for record in end.tool_calls] == ["calculator"]
    assert ended(await ask(chain, "Who wrote Faust?")).strategy == "fallback: refusal"


def test_a_rule_that_names_no_group_is_refused():
    with pytest.raises(ValueError, match="no such group"):
        Rule(when="hello (.*)", say="{name}")
    with pytest.raises(ValueError, match="can't be read"):
        Rule(when="(", say="x")
