"""Checks, rules, failures and files of chains and cascades."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smidgen.agent.deadline import Deadline
from smidgen.config import Config
from smidgen.errors import ERRORS_BY_CODE, ConfigError, NoAnswer, SmidgenError
from smidgen.events import Finished
from smidgen.patterns import task_of
from smidgen.patterns.fallback import Agreement, Cascade, Checked, Fallback, Logprob, Nearness, Refusal, Rule, Rules
from smidgen.patterns.fallback.checks import Asked, Check, Conforms, Every, Matches, Program, Words, as_check
from smidgen.patterns.fallback.failures import Tried, is_refusal, kind_of
from smidgen.patterns.fallback.within import Within, tried_before
from smidgen.patterns.files import load_pattern, read_pattern
from smidgen.patterns.plain import Direct
from smidgen.patterns.run import Run
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.tools.programs import Executed


class Bench:
    """Resources with one scripted model and a sandbox that answers as it is told."""

    def __init__(self, engine: ScriptedEngine | None = None, done: Executed | None = None) -> None:
        self.models = ScriptedModels({"tiny": engine or ScriptedEngine()})
        self.deadline, self.done, self.code = Deadline(None), done, ""

    def supply(self, model: str) -> Any:
        bench = self

        class One:
            name = "tiny"

            async def load(self) -> Any:
                async with bench.models.lease("tiny") as lease:
                    return lease.model, ()

        return One()

    @asynccontextmanager
    async def scope(self) -> AsyncGenerator[Any]:
        yield self

    def embedder(self) -> None:
        return None

    async def python(self, code: str, seconds: float) -> Executed:
        self.code = code
        assert self.done is not None
        return self.done

    def agent(self, work: Any, task: Any) -> Any:
        raise NotImplementedError


async def problem(check: Check, text: str, bench: Bench | None = None) -> str:
    return await check.problem(text, Run(task_of("How old?"), bench or Bench()))


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (Matches(regex=r"\d+ years"), " 7 years\n", "7 years old"),
        (Conforms(schema={"type": "object", "required": ["age"]}), '{"age": 7}', '{"ag": 7}'),
        (Conforms(schema={}), "[]", "seven"),
        (Words(least=2, most=3), "one two", "one two three four"),
        (Words(), "one", " "),
        (Every(checks=(Words(most=2), Matches(regex="a.*"))), "a b", "b a"),
        (as_check(lambda request, text: text == "yes"), "yes", "no"),
        (as_check(lambda request, text: None if request == "How old?" and text else "nothing"), "x", ""),
    ],
)
async def test_checks_tell_what_is_wrong(check: Check, good: str, bad: str):
    assert await problem(check, good) == ""
    assert await problem(check, bad)
    assert check.name


async def test_a_function_may_be_awaited_and_say_why():
    async def is_short(request: str, text: str) -> str:
        return "" if len(text) < 5 else "too long"

    assert await problem(as_check(is_short), "yes") == ""
    assert await problem(as_check(is_short), "longer") == "too long"
    assert as_check(is_short).name == "is_short"


@pytest.mark.parametrize(
    ("done", "found"),
    [
        (Executed(value="True", tier="none"), ""),
        (Executed(value="", tier="none"), ""),
        (Executed(value="False", tier="none"), "says False"),
        (Executed(value="'too old'", tier="none"), "too old"),
        (Executed(error="Traceback\nValueError: no", tier="none"), "ValueError: no"),
        (Executed(stopped="time", tier="none"), "time"),
    ],
)
async def test_a_program_says_whether_it_is_right(done: Executed, found: str):
    bench = Bench(done=done)
    told = await problem(Program(code="int(answer) < 100"), "it's 7", bench)
    assert found in told and bool(told) == bool(found)
    assert bench.code == "request = 'How old?'\nanswer = \"it's 7\"\nint(answer) < 100"


@pytest.mark.parametrize(("yes", "accepted"), [(-0.1, True), (-4.0, False)])
async def test_a_model_may_be_asked(yes: float, accepted: bool):
    engine = ScriptedEngine(scores={"Yes": yes, "No": -2.0})
    assert (await problem(Asked(), "Say {request}", Bench(engine)) == "") == accepted
    assert "Answer: Say {request}" in str(engine.requests[0]), "what is put in isn't read as a hole again"


def test_every_error_has_its_kind():
    kinds = {code: kind_of(cls("x").info()) for code, cls in ERRORS_BY_CODE.items()}
    assert kinds["context_overflow"] == "context"
    assert kinds["deadline_exceeded"] == "time"
    assert kinds["unknown_model"] == kinds["model_not_pulled"] == kinds["unknown_tool"] == "missing"
    assert kinds["engine_unavailable"] == kinds["out_of_memory"] == kinds["sandbox_unavailable"] == "system"
    assert kinds["model_load_failed"] == "model"
    assert kinds["internal"] == kinds["protocol"] == "bug"
    assert kinds["invalid_request"] == kinds["cancelled"] == kinds["approval_denied"] == "request"
    assert kind_of(NoAnswer("x", unmatched=True).info()) == "unmatched"
    assert kind_of(SmidgenError("x").info()) == "bug"


@pytest.mark.parametrize(
    ("strategy", "is_one"),
    [("refusal", True), ("fallback: refusal", True), ("outer: inner, fallback: refusal", True), ("no refusal", False)],
)
def test_refusals_are_known_by_their_strategy(strategy: str, is_one: bool):
    assert is_refusal(strategy) == is_one


def test_a_refusal_speaks_as_it_is_told():
    tried = (Tried(name="a", kind="time", reason="too slow.", seconds=2), Tried(name="b", kind="passed", reason="-"))
    assert Refusal(text="{tried}|{advice}").said(tried) == (
        "What was tried:\n- a: too slow (2.0 s)|What you can do: Allow more time, or ask for a shorter answer."
    )
    assert Refusal(text="Nein.").said(tried) == "Nein."
    assert "Nothing else could be tried" in Refusal().said(())


async def test_a_refusal_alone_needs_no_chain_and_no_model():
    async with Runtime(Config(model="nowhere", audit="off"), models=ScriptedModels({})) as runtime:
        answer = await Agent(runtime=runtime, pattern=Refusal()).arun("hi")
    assert answer.strategy == "refusal"
    assert tried_before(Within(Bench(), Deadline(None), (Tried(name="a", kind="time", reason="x"),)))[0].name == "a"


async def test_rules_may_be_functions():
    rule = Rule(when=r"double (\d+)", say=lambda found: str(2 * int(found[1])) if found[1] != "0" else "")
    rules = Rules(rules=(rule, Rule(when=r"double.*", say="Double what?")))
    said: dict[str, str] = {}
    for request in ("Double 21?", "double 0", "double it"):
        events = [event async for event in rules.answer(task_of(request), Bench())]
        assert isinstance(events[-1], Finished)
        said[request] = events[-1].text
    assert said == {"Double 21?": "42", "double 0": "Double what?", "double it": "Double what?"}


CHAIN = """
kind = "fallback"
deadline_s = 20
rest_after = 5

[[ways]]
name = "main"
pattern = "main.toml"
deadline_s = 8
check = { regex = '\\d+', words = [1, 3], python = "int(answer) > 0" }

[[ways]]
pattern = { kind = "direct", model = "tiny", prompt = "Only a number: {request}" }
when = ["check", "time"]
retries = 1

[[ways]]
kind = "rules"
tools = ["calculator"]
rules = [{ when = "hello", say = "Hello." }]

[[ways]]
pattern = { kind = "refusal" }
"""


def test_a_chain_is_read_from_a_file(tmp_path: Path):
    (tmp_path / "main.toml").write_text('kind = "direct"\nmodel = "large"\n')
    (tmp_path / "chain.toml").write_text(CHAIN)
    chain = load_pattern(tmp_path / "chain.toml")
    assert isinstance(chain, Fallback)
    assert (chain.deadline_s, chain.rest_after, chain.reserve_s) == (20, 5, 1.0)
    assert chain.titles == ("main", "direct (tiny)", "rules", "refusal")
    main, second, rules, last = chain.ways
    assert main.pattern == Direct(model="large") and main.deadline_s == 8
    assert isinstance(main.check, Every)
    assert [type(check) for check in main.check.checks] == [Matches, Words, Program]
    assert (second.when, second.retries) == (("check", "time"), 1)
    assert rules.pattern == Rules(tools=("calculator",), rules=(Rule(when="hello", say="Hello."),))
    assert last.pattern == Refusal() and last.quick and rules.quick and not main.quick


def test_a_cascade_is_read_from_a_table():
    direct = {"kind": "direct"}
    cascade = read_pattern(
        {
            "kind": "cascade",
            "first": {**direct, "model": "small"},
            "then": {"kind": "cascade", "first": direct, "then": direct, "by": "logprob"},
            "by": {"kind": "agreement", "samples": 3, "by": "number"},
            "sure": 0.7,
            "refiner": direct,
            "check": {"question": "Is {answer} right?", "sure": 0.6},
        }
    )
    assert isinstance(cascade, Cascade)
    assert cascade.by == Agreement(samples=3, by="number")
    assert isinstance(cascade.then, Cascade) and cascade.then.by == Logprob()
    assert cascade.check == Asked(question="Is {answer} right?", sure=0.6)
    nearness = {"kind": "nearness", "easy": ["a"], "hard": ["b"]}
    by_nearness = read_pattern({"kind": "cascade", "first": direct, "then": direct, "by": nearness})
    assert isinstance(by_nearness, Cascade) and by_nearness.by == Nearness(easy=("a",), hard=("b",))
    by_check = read_pattern(
        {"kind": "cascade", "first": direct, "then": direct, "by": {"kind": "check", "check": {"regex": "x"}}}
    )
    assert isinstance(by_check, Cascade) and by_check.by == Checked(check=Matches(regex="x"))


DIRECT: dict[str, Any] = {"kind": "direct"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "fallback"}, "ways must be a list"),
        ({"kind": "fallback", "ways": [{"deadline_s": 3}]}, "ways[0]: pattern is missing"),
        ({"kind": "fallback", "ways": [{"pattern": DIRECT, "dedline_s": 3}]}, "Did you mean deadline_s?"),
        ({"kind": "fallback", "ways": [{"pattern": DIRECT, "check": {"regexp": "x"}}]}, "no key 'regexp' in a check"),
        ({"kind": "fallback", "ways": [{"pattern": DIRECT, "check": {"regex": "("}}]}, "can't be read"),
        ({"kind": "fallback", "ways": [{"pattern": DIRECT, "check": {"words": [1]}}]}, "can't be used"),
        ({"kind": "fallback", "ways": [{"pattern": DIRECT, "check": {}}]}, "check must be a table"),
        (
            {"kind": "fallback", "ways": [{"pattern": DIRECT, "check": {"words": [1, 2]}, "stream": True}]},
            "can't stream",
        ),
        ({"kind": "fallback", "ways": [{"pattern": DIRECT, "when": ["chekc"]}]}, "chekc"),
        ({"kind": "fallback", "ways": [DIRECT], "deadline_s": -1}, "below 0"),
        ({"kind": "cascade", "first": DIRECT}, "then is missing"),
        ({"kind": "cascade", "first": DIRECT, "then": DIRECT, "by": "feeling"}, "no test called 'feeling'"),
        ({"kind": "cascade", "first": DIRECT, "then": DIRECT, "by": {"kind": "check"}}, "check is missing"),
        ({"kind": "rules"}, "either rules or tools"),
        ({"kind": "rules", "rules": [{"when": "(", "say": "x"}]}, "can't be read"),
        ({"kind": "refusal", "tekst": "x"}, "Did you mean text?"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(values: dict[str, Any], told: str):
    with pytest.raises(ConfigError) as caught:
        read_pattern(values)
    assert told in f"{caught.value.message} {caught.value.hint}"


async def test_checks_of_verified_answers_are_checks_of_ways_too():
    found = read_pattern(
        {
            "kind": "fallback",
            "ways": [
                {"pattern": {"kind": "direct"}, "check": {"kind": "number", "max": 10}},
                {"pattern": {"kind": "refusal"}},
            ],
        }
    )
    assert isinstance(found, Fallback)
    check = found.ways[0].check
    assert check is not None
    assert await problem(as_check(check), "7") == ""
    assert "10" in await problem(as_check(check), "11")
    with pytest.raises(ConfigError, match="nunber"):
        read_pattern({"kind": "fallback", "ways": [{"pattern": {"kind": "direct"}, "check": {"kind": "nunber"}}]})
