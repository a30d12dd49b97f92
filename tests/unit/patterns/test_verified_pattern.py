"""Ways, retries, refusals, constraints and files of `Verified`, through an agent with scripted models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import (
    Cancelled,
    ConfigError,
    DeadlineExceeded,
    EngineUnavailable,
    InvalidRequest,
    NoAnswer,
    SmidgenError,
)
from smidgen.events import AgentEvent, Failed, FellBack, Finished, StepStarted, TextDelta
from smidgen.events import Verified as Verdict
from smidgen.patterns import Resources, Task
from smidgen.patterns.files import load_pattern
from smidgen.patterns.plain import Direct, WithTools
from smidgen.patterns.verified import Checked, Date, Json, Number, Quote, Regex, Tests, Verified
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text


async def events_of(pattern: Any, *answers: Any, request: str = "How many?") -> tuple[list[AgentEvent], ScriptedEngine]:
    engine = ScriptedEngine(answers, name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        return [event async for event in Agent(runtime=runtime, pattern=pattern).astream(request)], engine


async def test_an_answer_that_passes_is_told_with_its_value():
    events, engine = await events_of(Verified(check=Number(integer=True)), "There are 12 of them.")
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.text == "12"
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "12"
    assert end.tool_calls[0].result == 12
    assert end.strategy == "verified: direct; passed number; 1 of 1 try"
    assert [event for event in events if isinstance(event, Verdict)] == [Verdict(check="number", ok=True)]
    assert len(engine.generated) == 1


async def test_a_wrong_answer_is_asked_for_again_with_the_reason():
    events, engine = await events_of(Verified(check=Number(max=10)), "12", "9")
    assert isinstance(events[-1], Finished) and events[-1].text == "9"
    assert "asked 2 times" in events[-1].strategy and "1 of 2 tries" in events[-1].strategy
    assert [(event.ok, event.reason) for event in events if isinstance(event, Verdict)] == [
        (False, "12 is more than 10"),
        (True, ""),
    ]
    first, second = (prompt_text(request) for request in engine.generated)
    assert "refused" not in first
    assert "How many?\n\nA first answer was refused: 12 is more than 10. Answer again." in second
    assert engine.generated[0].sampling.seed != engine.generated[1].sampling.seed
    assert events[-1].usage.completion_tokens == 3


async def test_the_next_way_follows_and_a_way_that_fails_is_not_asked_again():
    ways = [Direct(name="short"), Direct(name="long")]
    events, _ = await events_of(Verified(ways, Number()), EngineUnavailable("It is gone."), "7")
    assert isinstance(events[-1], Finished) and events[-1].text == "7"
    fell = next(event for event in events if isinstance(event, FellBack))
    assert (fell.from_strategy, fell.to_strategy, fell.reason) == ("short", "long", "It is gone.")
    assert [event.action for event in events if isinstance(event, StepStarted)] == ["short", "long"]


async def test_without_any_answer_it_fails_and_says_what_was_tried():
    ways = [Direct(name="short"), Direct(name="long")]
    events, _ = await events_of(Verified(ways, Number(), retries=1), "a", "b", "5 or 6", "")
    assert not any(isinstance(event, TextDelta) for event in events)
    assert isinstance(events[-1], Failed) and events[-1].error.code == "no_answer"
    error = events[-1].error.to_exception()
    assert isinstance(error, NoAnswer)
    assert error.details["tried"] == [
        "short: it must say one number",
        "long: it must say one number only, not 2; then it is empty",
    ]


async def test_or_it_refuses_in_words():
    events, _ = await events_of(Verified(check=Number(), retries=0, refuse=True), "dunno")
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.text == "I found no answer that passes the checks. Tried: direct: it must say one number."
    assert end.strategy == "verified: refused after 1 try"


async def test_what_needs_no_model_is_not_decided_twice():
    ways = [WithTools(name="tools", tools=("calculator",)), Direct()]
    events, engine = await events_of(
        Verified(ways, Regex(pattern="[a-z]+"), retries=5), "five", request="What is 2 + 3?"
    )
    assert isinstance(events[-1], Finished) and events[-1].text == "five"
    assert len([event for event in events if isinstance(event, StepStarted) and event.action == "tools"]) == 1
    assert len(engine.generated) == 1


async def test_what_a_calculator_answers_is_a_number():
    ways = [WithTools(tools=("calculator",))]
    events, engine = await events_of(Verified(ways, Number()), request="What is 2 + 2?")
    assert isinstance(events[-1], Finished) and events[-1].text == "4"
    assert not engine.generated


class Said:
    """A verifier of a user's own, which says what an answer means and not how it is shown."""

    name = "said"
    constraint = None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        return Checked(ok=text == task.request, value=[text])


async def test_a_verifier_of_ones_own_need_not_say_how_an_answer_is_shown():
    events, _ = await events_of(Verified(check=Said()), "Many?", "How many?")
    assert isinstance(events[-1], Finished)
    assert (events[-1].text, events[-1].tool_calls[0].result) == ("How many?", ["How many?"])
    assert [event.reason for event in events if isinstance(event, Verdict)] == ["", ""]


async def test_checks_follow_one_another():
    def small(text: str) -> object:
        return int(text) < 10 or "that is too many"

    events, _ = await events_of(Verified(check=[Number(), small]), "It is 12.", "It is 3.")
    assert isinstance(events[-1], Finished) and events[-1].text == "3"
    assert [(event.check, event.ok) for event in events if isinstance(event, Verdict)] == [
        ("number", True),
        ("small", False),
        ("number", True),
        ("small", True),
    ]


async def test_a_mistake_in_a_function_is_the_end_and_told_as_one():
    def broken(text: str) -> bool:
        return text.nothing  # pyright: ignore

    events, _ = await events_of(Verified(check=broken), "x")
    assert isinstance(events[-1], Failed) and events[-1].error.fault == "bug"


async def test_what_was_cut_is_not_taken_for_all_of_it():
    short = Direct(name="short", max_tokens=12)
    events, _ = await events_of(Verified([short, Direct()], Number(), retries=0), "There are 1250.", "1250")
    assert isinstance(events[-1], Finished) and events[-1].text == "1250"
    assert [event.reason for event in events if isinstance(event, Verdict)] == ["it was cut for its length", ""]
    events, _ = await events_of(Verified([short], Number(), retries=0), "12 or so, all in all")
    assert isinstance(events[-1], Finished) and (events[-1].text, events[-1].finish_reason) == ("12", "length")


class Late:
    """A way with a time limit of its own, or that was cancelled."""

    name = "late"

    def __init__(self, error: SmidgenError | None = None, seconds: float = 0.0) -> None:
        self.error, self.seconds = error or DeadlineExceeded("The way took too long."), seconds

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        await asyncio.sleep(self.seconds)
        yield Failed(error=self.error.info())


async def test_a_way_that_is_late_by_its_own_clock_is_followed_by_the_next():
    events, _ = await events_of(Verified([Late(), Direct()], Number()), "7")
    assert isinstance(events[-1], Finished) and events[-1].text == "7"
    assert next(event.reason for event in events if isinstance(event, FellBack)) == "The way took too long."


@pytest.mark.parametrize(
    ("way", "code"), [(Late(seconds=0.3), "deadline_exceeded"), (Late(Cancelled("Enough.")), "cancelled")]
)
async def test_no_way_follows_when_the_run_is_over(way: Late, code: str):
    engine = ScriptedEngine(["7"], name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        agent = Agent(runtime=runtime, pattern=Verified([way, Direct()], Number()), timeout_s=0.2)
        events = [event async for event in agent.astream("?")]
    assert isinstance(events[-1], Failed) and events[-1].error.code == code
    assert [event.action for event in events if isinstance(event, StepStarted)] == ["late"]


async def test_what_is_wrong_with_an_answer_that_was_cut_says_so():
    events, _ = await events_of(Verified([Direct(max_tokens=4)], Json(), retries=0), '{"a": 1}')
    assert isinstance(events[-1], Failed) and "(it was cut for its length)" in events[-1].error.message


async def test_a_check_is_given_up_at_the_time_limit_and_when_the_run_is_closed():
    given_up: list[str] = []
    begun = asyncio.Event()

    async def endless(text: str) -> bool:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append(text)
            raise
        return True

    engine = ScriptedEngine(["late", "closed"], name="tiny")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        agent = Agent(runtime=runtime, pattern=Verified(check=endless), timeout_s=0.2)
        events = [event async for event in agent.astream("?")]
        assert isinstance(events[-1], Failed) and events[-1].error.code == "deadline_exceeded"
        begun.clear()
        closed = asyncio.create_task(Agent(runtime=runtime, pattern=Verified(check=endless)).arun("?"))
        await begun.wait()
        closed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closed
    assert given_up == ["late", "closed"]


async def test_what_a_model_was_told_is_no_source_to_quote():
    events, engine = await events_of(Verified(check=Quote()), "a cat", "copied word for word", request="The dog sat.")
    assert "copied word for word" in prompt_text(engine.generated[1])
    assert [event.ok for event in events if isinstance(event, Verdict)] == [False, False]


async def test_reasons_are_one_line_each():
    def wordy(text: str) -> str:
        return "It is\nnot this one."

    events, engine = await events_of(Verified(check=wordy), "a", "b")
    assert "refused: It is not this one. Answer again." in prompt_text(engine.generated[1])
    assert isinstance(events[-1], Failed)
    assert events[-1].error.message.endswith("Tried: direct: It is not this one.")


async def test_what_json_can_not_hold_is_shown_in_words():
    cyclic: list[object] = []
    cyclic.append(cyclic)
    said: dict[str, object] = {"half": {"a": "\ud800"}, "cyclic": cyclic, "object": Late}
    for text, told in (("half", "\\ud800"), ("cyclic", "[[...]]"), ("object", "Late")):
        events, _ = await events_of(Verified(check=said.__getitem__), text)
        assert isinstance(events[-1], Finished)
        assert told in json.dumps(events[-1].tool_calls[0].result).replace("\\\\", "\\")
        msgspec.json.encode(events)


async def test_constrained_ways_get_the_grammar_and_others_stay():
    own = Direct(name="own", constraint=Regex(pattern="x").constraint)
    _, engine = await events_of(Verified([Direct(), own], Number(min=0), constrain=True, retries=0), "a", "7")
    sources = [request.constraint.source for request in engine.generated if request.constraint]
    assert sources[0].startswith("(0|[1-9]") and sources[1] == "x"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Verified(), "no check"),
        (lambda: Verified(check=Number(), retries=-1), "retries"),
        (lambda: Verified(check=bool, constrain=True), "No grammar"),
        (lambda: Verified([WithTools()], Number(), constrain=True), "no effect"),
        (lambda: Verified(check=3), "is no check"),  # pyright: ignore
        (lambda: Verified(check="number"), "'number' is no check"),  # pyright: ignore
        (lambda: Verified(check=Number), "Number is a class"),  # pyright: ignore
        (lambda: Verified(Number(), Number()), "no way to an answer"),  # pyright: ignore
        (lambda: Verified([Direct], Number()), "no way to an answer"),  # pyright: ignore
        (lambda: Verified(check=Number(), retries=1.5), "whole number"),  # pyright: ignore
    ],
)
def test_what_can_not_be_is_refused(make: Any, told: str):
    with pytest.raises(InvalidRequest, match=told):
        make()


def test_a_file_names_ways_and_checks(tmp_path: Path):
    (tmp_path / "tests.py").write_text("assert twice(2) == 4\n")
    path = tmp_path / "code.toml"
    path.write_text(
        'kind = "verified"\nretries = 2\nrefuse = true\n'
        'ways = [{kind = "direct", prompt = "Write Python: {request}"}, {kind = "direct", name = "again"}]\n'
        'check = [{kind = "python", defines = ["twice"]}, {kind = "tests", tests_file = "tests.py"}]\n'
    )
    found = load_pattern(path)
    assert isinstance(found, Verified)
    assert (found.retries, found.refuse, [way.name for way in found.ways]) == (2, True, ["direct", "again"])
    assert isinstance(found.checks[1], Tests) and found.checks[1].tests == "assert twice(2) == 4\n"
    path.write_text('kind = "verified"\ncheck = {kind = "json", schema = {type = "object"}}\nconstrain = true\n')
    found = load_pattern(path)
    assert isinstance(found, Verified) and isinstance(found.ways[0], Direct) and found.ways[0].constraint is not None
    path.write_text('kind = "verified"\ncheck = ["json", {kind = "date", earliest = 2025-05-10}]\n')
    found = load_pattern(path)
    assert isinstance(found, Verified) and found.checks == (Json(), Date(earliest="2025-05-10"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('check = "numbr"', "no check of the kind 'numbr'"),
        ('check = {kind = "number", mim = 1}', "Did you mean min?"),
        ('check = {kind = "number", min = 3, max = 1}', "at least 3"),
        ('check = "number"\nretires = 1', "'retires'"),
        ('check = "number"\nretries = "often"', "must be int"),
        ("retries = 1", "check"),
        ('check = {kind = "sql", schema = "CREATE TABLE a(b)", colour = 1}', "colour"),
        ('check = {kind = "tests", tests_file = "none.py"}', "can't be read"),
        ('check = {kind = "json", schema = "{"}', "no JSON"),
        ('check = {kind = "json", schema = "3"}', "must be a table"),
        ('check = {kind = "json", schema = {type = "object"}, schema_file = "x.json"}', "'schema_file'"),
        ('check = {kind = "tests", tests = ["assert 1"]}', "must be str"),
        ('check = {kind = "tests", tests = "assert 1", tests_file = "empty.txt"}', "are both there"),
        ('check = {kind = "sql", schema = "CREATE TABLE a(b)", rows = "false"}', "must be bool"),
        ('check = {kind = "quote", source_file = "empty.txt"}', "is empty"),
        ('check = "numer"', "Did you mean number?"),
        ('check = ["number", {kind = "date", earlest = "x"}]', "check[1]: there is no key 'earlest'"),
        ('check = "number"\nways = [{kind = "verified", check = {kind = "number", mim = 1}}]', "ways[0].check: "),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path: Path, text: str, told: str):
    (tmp_path / "empty.txt").touch()
    path = tmp_path / "wrong.toml"
    path.write_text(f'kind = "verified"\n{text}\n')
    with pytest.raises(ConfigError) as caught:
        load_pattern(path)
    assert told in str(caught.value)
