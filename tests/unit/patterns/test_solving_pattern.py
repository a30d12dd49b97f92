"""Votes of programs and steps, through an agent with scripted models and the real sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, DeadlineExceeded, EngineCrashed, InvalidRequest, SandboxUnavailable
from smidgen.events import AgentEvent, Failed, Finished, StepStarted, TextDelta
from smidgen.events import Verified as Verdict
from smidgen.messages import GenerateRequest, Sampling
from smidgen.patterns.fallback import Fallback, Refusal, Way
from smidgen.patterns.files import load_pattern
from smidgen.patterns.plain import Direct
from smidgen.patterns.solving import Solving
from smidgen.patterns.solving.program import ASKED, begun
from smidgen.runtime.agent import Agent
from smidgen.runtime.patterned import OfRuntime
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text

REQUEST = "Each of 3 boxes holds 4 pens. How many pens are there?"


async def solved(
    pattern: Any, answer: Callable[[GenerateRequest], Any] | list[Any], request: str = REQUEST
) -> tuple[list[AgentEvent], ScriptedEngine]:
    engine = ScriptedEngine(answer, name="tiny")
    models = ScriptedModels({"tiny": engine})
    models.profile = msgspec.structs.replace(models.profile, sampling=Sampling(temperature=0.7, repeat_penalty=1.1))
    async with Runtime(Config(model="tiny", audit="off"), models=models) as runtime:
        return [event async for event in Agent(runtime=runtime, pattern=pattern).astream(request)], engine


async def test_a_program_is_run_and_its_number_is_the_answer():
    events, engine = await solved(Solving(steps=0, samples=1), ["    boxes = 3\n    return boxes * 4\n```"])
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.text, end.strategy) == ("12", "solving: 100% of the votes, by 1 program")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "12"
    assert end.tool_calls[0].result == 12
    assert end.tool_calls[0].arguments == {"code": "def solution():\n    boxes = 3\n    return boxes * 4"}
    asked = engine.generated[0]
    assert prompt_text(asked).endswith(f"user: {ASKED}{REQUEST}\nassistant: {begun(REQUEST)}")
    assert asked.sampling.temperature == 0
    assert asked.sampling.repeat_penalty == 1, "names and numbers must come again"


async def test_results_of_steps_are_computed_for_the_model():
    said = ["There are 3 * 4 = 13 pens.", " pens, and x = 2", " 12. So \\boxed{12}."]
    events, engine = await solved(Solving(program=0, samples=1), said)
    end = events[-1]
    assert isinstance(end, Finished) and end.text == "12"
    assert end.tool_calls[0].arguments == {"text": "There are 3 * 4 = 12 pens, and x = 12. So \\boxed{12}."}
    prompts = [prompt_text(request) for request in engine.generated]
    assert prompts[1].endswith("assistant: There are 3 * 4 = 12")
    assert prompts[2].endswith(" pens, and x =")
    assert not engine.generated[1].prompt[-1].special, "what a model wrote spells no control token"


def by_way(programs: dict[int, str], steps: dict[int, str]) -> Callable[[GenerateRequest], str]:
    """Answers by what is asked for and by seed."""

    def answer(request: GenerateRequest) -> str:
        program = prompt_text(request).endswith('"""\n')
        return (programs if program else steps)[request.sampling.seed]

    return answer


async def test_more_tries_are_made_until_one_number_leads():
    steps = {0: "7 pens", 1: "12 pens", 2: "12 pens", 3: "12 pens", 4: "12 pens"}
    programs = {
        0: "    return 12",
        1: "    return 3 * 4 + 1",
        2: "    return 3 * 4",
        3: "    return 3 *",
        4: "    return -4 * 3",
    }
    events, engine = await solved(Solving(program=1, samples=20, at_once=2), by_way(programs, steps))
    end = events[-1]
    assert isinstance(end, Finished) and end.text == "12"
    rounds = [event.detail for event in events if isinstance(event, StepStarted)]
    assert rounds == ["1 steps, 1 program"] * 4
    assert len(engine.generated) == 8, "decided long before 20"
    verdicts = [event for event in events if isinstance(event, Verdict)]
    assert "it doesn't use 3, 4" in verdicts[1].reason and verdicts[1].ok
    assert any(not event.ok and "no valid Python" in event.reason for event in verdicts)
    assert verdicts[-1].check == "vote" and verdicts[-1].reason.startswith("0.70: 12 has 70% of 7 votes, 7 15%")
    assert end.tool_calls[0].arguments == {"code": "def solution():\n    return 3 * 4"}, "the best of its programs"
    drawn = {request.sampling.seed: request.sampling.temperature for request in engine.generated}
    assert drawn[0] == 0 and drawn[1] == 0.6


def test_ways_are_asked_as_often_as_their_weights_say():
    assert Solving(program=0.5).order(6) == ["steps", "steps", "program", "steps", "steps", "program"]
    assert Solving(program=1, direct=1, steps=0).order(4) == ["program", "direct"] * 2


async def test_weights_leave_ways_out_and_other_patterns_vote():
    events, engine = await solved(
        Solving(program=0, steps=0, others=(Direct(name="short"), Direct(name="long"))), ["It is 5.", "Maybe 6, or 5."]
    )
    end = events[-1]
    assert isinstance(end, Finished) and end.text == "5"
    assert end.strategy == "solving: 100% of the votes, by 1 short, 1 long"
    assert len(engine.generated) == 2


async def test_tries_that_do_not_agree_are_no_answer_where_agreement_is_asked_for():
    steps = {number: f"It is {number}." for number in range(4)}
    events, _ = await solved(Solving(program=0, samples=4, agreed=0.5), by_way({}, steps))
    assert isinstance(events[-1], Failed) and events[-1].error.code == "no_answer"
    assert "0 has 25% of 4 votes" in events[-1].error.message
    assert not any(isinstance(event, TextDelta) for event in events)


async def test_no_number_at_all_is_no_answer():
    events, _ = await solved(
        Solving(program=1, samples=4), by_way({0: "    return None", 1: "    x"}, {0: "dunno", 1: "none"})
    )
    assert isinstance(events[-1], Failed)
    assert events[-1].error.message == "None of 4 tries led to a number."
    assert "steps: it comes to no number" in events[-1].error.details["tried"]
    assert any("TypeError" in one for one in events[-1].error.details["tried"])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("    while True: pass", "longer than 0.5 seconds"),
        ("    return 1 / 0", "ZeroDivisionError"),
        ("    return float('nan')", "no finite number"),
        ("    return 10 ** 400", "OverflowError"),
        ("    return open('/etc/passwd').read()", "Error"),
    ],
)
async def test_programs_that_come_to_nothing_have_no_vote(body: str, told: str):
    events, _ = await solved(Solving(steps=0, samples=1, seconds=0.5), [body])
    assert isinstance(events[-1], Failed)
    verdict = next(event for event in events if isinstance(event, Verdict))
    assert not verdict.ok and told in verdict.reason


async def test_an_engine_that_fails_is_the_end():
    events, _ = await solved(Solving(samples=2), [EngineCrashed("It is gone."), "7"])
    assert isinstance(events[-1], Failed) and events[-1].error.code == "engine_crashed"


async def test_a_try_that_breaks_off_is_a_vote_for_nothing():
    events, engine = await solved(Solving(program=0, samples=3, at_once=3), ["7", EngineCrashed("It is gone."), "7"])
    end = events[-1]
    assert isinstance(end, Finished) and end.text == "7"
    assert end.warnings == ("1 of 3 tries broke off, the first with: It is gone.",)
    assert len(engine.generated) == 3


async def test_without_a_sandbox_steps_vote_alone(monkeypatch: pytest.MonkeyPatch):
    async def none(*_: Any) -> Any:
        raise SandboxUnavailable("There is no sandbox here.")

    monkeypatch.setattr(OfRuntime, "python", none)
    steps = dict.fromkeys(range(8), "It is 12.")
    programs = dict.fromkeys(range(8), "    return 3 * 4")
    events, _ = await solved(Solving(samples=8, at_once=2), by_way(programs, steps))
    end = events[-1]
    assert isinstance(end, Finished) and end.text == "12"
    assert end.warnings == ("Programs can't be run here, so they have no vote: There is no sandbox here.",)
    details = [event.detail for event in events if isinstance(event, StepStarted)]
    assert details == ["1 steps, 1 program", "2 steps"]
    events, _ = await solved(Solving(steps=0, samples=8), by_way(programs, steps))
    assert isinstance(events[-1], Failed) and events[-1].error.code == "sandbox_unavailable"
    events, _ = await solved(Solving(samples=4), by_way(programs, dict.fromkeys(range(8), "No idea.")))
    assert isinstance(events[-1], Failed) and events[-1].error.code == "no_answer", "steps were tried"


async def test_what_was_said_before_is_seen_too():
    engine = ScriptedEngine(["It is 12."] * 2, name="tiny", context=700)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        turns = [{"role": "user", "content": "There are 3 boxes."}, {"role": "assistant", "content": "Yes."}]
        agent = Agent(runtime=runtime, pattern=Solving(program=0, samples=1))
        await agent.arun([*turns, {"role": "user", "content": "Each holds 4 pens. How many?"}])
        assert prompt_text(engine.generated[0]).startswith("user: There are 3 boxes.\nassistant: Yes.\nuser: Each")
        long = [{"role": "user", "content": "x" * 500}, {"role": "assistant", "content": "y"}]
        answer = await agent.arun([*long, {"role": "user", "content": "Each holds 4 pens. How many?"}])
        assert answer.warnings == ("2 older messages were left out: the context of tiny is full.",)


async def test_a_refusal_of_another_pattern_is_no_vote():
    refusing = Fallback(ways=(Way(pattern=Refusal(text="Not in under 24 hours.")),))
    events, _ = await solved(Solving(samples=1, program=0, others=(refusing,)), ["It is 12."])
    end = events[-1]
    assert isinstance(end, Finished) and end.text == "12"
    verdicts = [event for event in events if isinstance(event, Verdict)]
    assert (verdicts[0].ok, verdicts[0].reason) == (False, "it refused")


async def test_a_time_limit_ends_the_vote_with_what_there_is():
    answers: list[Any] = ["7", "7", DeadlineExceeded("Too late."), DeadlineExceeded("Too late.")]
    events, _ = await solved(Solving(program=0, samples=8, at_once=2, lead=1), answers)
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.text, end.finish_reason) == ("7", "deadline")
    assert end.warnings == ("The time limit ended the vote after 2 of 8 tries.",)
    events, _ = await solved(Solving(program=0, samples=1), [DeadlineExceeded("Too late.")])
    assert isinstance(events[-1], Failed) and events[-1].error.code == "deadline_exceeded"


@pytest.mark.parametrize(
    "options",
    [
        {"program": 0, "steps": 0},
        {"program": -1},
        {"samples": 0},
        {"at_once": 0},
        {"agreed": 2},
        {"lead": 0},
        {"temperature": -1},
        {"temperature": float("nan")},
        {"seconds": float("inf")},
        {"at_once": 1000},
        {"steps": float("nan")},
    ],
)
def test_what_can_not_be_is_refused(options: dict[str, Any]):
    with pytest.raises(InvalidRequest):
        Solving(**options)


def test_a_file_has_weights_and_other_patterns(tmp_path: Path):
    path = tmp_path / "sums.toml"
    path.write_text('kind = "solving"\nprogram = 0.5\nsamples = 4\nothers = [{kind = "direct", name = "x"}]\n')
    assert load_pattern(path) == Solving(program=0.5, samples=4, others=(Direct(name="x"),))
    for text, told in (
        ("samples = 0", "samples"),
        ("smaples = 3", "Did you mean samples"),
        ('steps = "much"', "steps"),
    ):
        path.write_text(f'kind = "solving"\n{text}\n')
        with pytest.raises(ConfigError) as caught:
            load_pattern(path)
        assert told in str(caught.value)
