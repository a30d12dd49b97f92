"""Chains through an agent of a runtime with scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, DeadlineExceeded, NoAnswer, ToolFailed
from smidgen.events import (
    AgentEvent,
    EngineEvent,
    FellBack,
    Finished,
    Notice,
    StepStarted,
    TextDelta,
    Verified,
)
from smidgen.messages import GenerateRequest, Message
from smidgen.patterns import task_of
from smidgen.patterns.chain import Chain, Check, Step, When
from smidgen.patterns.chain.together import AT_ONCE
from smidgen.patterns.files import load_pattern
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.patterned import OfRuntime
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text


def engine_of(answer: Callable[[str], str]) -> ScriptedEngine:
    """Answers by the prompt, without the roles."""
    return ScriptedEngine(lambda request: answer(prompt_text(request)), name="tiny", context=8192)


async def told(
    chain: Chain, engine: ScriptedEngine, request: str = "hello", **options: Any
) -> tuple[list[AgentEvent], dict[str, Any]]:
    """The events and all values."""
    values: dict[str, Any] = {}
    watched = Chain(steps=chain.steps, answer_as=chain.answer_as, model=chain.model, watch=values.__setitem__)
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        agent = Agent(runtime=runtime, pattern=watched, **options)
        return [event async for event in agent.astream(request)], values


async def failing(chain: Chain, engine: ScriptedEngine) -> Any:
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        with pytest.raises((NoAnswer, ToolFailed)) as caught:
            await Agent(runtime=runtime, pattern=chain).arun("hello")
        return caught.value


def upper(prompt: str) -> str:
    return prompt.removeprefix("user: ").partition("\n")[0].upper()


async def test_steps_follow_one_another_and_the_last_is_the_answer():
    engine = engine_of(upper)
    chain = Chain(
        steps=(Step(name="b", prompt="b {a}"), Step(name="a", prompt="a {request}"), Step(name="c", prompt="c {b}"))
    )
    events, values = await told(chain, engine)
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.text == "C B A HELLO" == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert values == {"a": "A HELLO", "b": "B A HELLO", "c": "C B A HELLO"}
    assert [event.action for event in events if isinstance(event, StepStarted)] == ["a", "b", "c"]
    assert end.strategy == "chain: 3 steps"


async def test_braces_of_a_user_and_of_a_model_are_text():
    engine = engine_of(lambda prompt: "{secret} {request}" if prompt.startswith("user: first") else upper(prompt))
    chain = Chain(
        steps=(
            Step(name="secret", prompt="first"),
            Step(name="last", prompt="said {request} {secret}"),
        )
    )
    events, _ = await told(chain, engine, "{secret}")
    assert isinstance(events[-1], Finished)
    assert events[-1].text == "SAID {SECRET} {SECRET} {REQUEST}"


async def test_steps_that_need_nothing_of_each_other_run_at_once():
    """Each waits for the other two: one after the other they would never end."""
    met = asyncio.Barrier(3)

    async def meet() -> str:
        await met.wait()
        return "x"

    chain = Chain(steps=tuple(Step(name=name, code=meet) for name in "abc"), answer_as="{a}{b}{c}")
    async with asyncio.timeout(20):
        events, _ = await told(chain, engine_of(upper))
    assert isinstance(events[-1], Finished)
    assert events[-1].text == "xxx"


async def test_a_failed_check_is_told_as_a_hint_and_tried_again():
    engine = engine_of(lambda prompt: "7" if "must be at least 5" in prompt else "3")
    chain = Chain(steps=(Step(name="n", prompt="number", extract="number", check=Check(least=5)),))
    events, values = await told(chain, engine)
    assert values == {"n": 7}
    assert [event.ok for event in events if isinstance(event, Verified)] == [False, True]
    assert [event.detail for event in events if isinstance(event, StepStarted)] == ["", "again: it must be at least 5"]


async def test_what_never_passes_fails_with_the_step_the_reason_and_the_text():
    chain = Chain(steps=(Step(name="n", prompt="x", check=lambda value, values: "it is too loud", retries=2),))
    engine = engine_of(upper)
    error = await failing(chain, engine)
    assert len(engine.generated) == 3
    assert error.details["step"] == "n"
    assert error.details["reason"] == "it is too loud"
    assert "Step n failed: it is too loud." in error.message


async def test_otherwise_takes_its_place_and_is_told():
    check = Check(one_of=("never",))
    for otherwise, expected in (("a value", "a value"), (Direct(prompt="spare {request}"), "SPARE HELLO")):
        chain = Chain(steps=(Step(name="a", prompt="{request}", check=check, retries=0, otherwise=otherwise),))
        events, _ = await told(chain, engine_of(upper))
        assert isinstance(events[-1], Finished)
        assert events[-1].text == expected
        assert any(isinstance(event, FellBack) and event.from_strategy == "a" for event in events)
        assert "Step a failed" in events[-1].warnings[0]


async def test_a_step_for_each_item_of_an_earlier_list():
    engine = engine_of(lambda prompt: "- red\n- {blue}" if "list" in prompt else upper(prompt))
    chain = Chain(
        steps=(
            Step(name="colours", prompt="list", extract="lines"),
            Step(name="said", each="colours", prompt="{item} of {request}"),
        )
    )
    _, values = await told(chain, engine)
    assert values["said"] == ["RED OF HELLO", "{BLUE} OF HELLO"]


async def test_more_items_than_allowed_are_refused_not_dropped():
    chain = Chain(
        steps=(
            Step(name="many", code=lambda: list("abcdef")),
            Step(name="each_", each="many", prompt="{item}", at_most=5),
        )
    )
    engine = engine_of(upper)
    error = await failing(chain, engine)
    assert "6 items, and at most 5" in error.message
    assert not engine.generated


async def test_conditions_leave_steps_out():
    chain = Chain(
        steps=(
            Step(name="kind", prompt="{request}", one_of=("HELLO", "OTHER")),
            Step(name="yes", prompt="greet", when=When(value="kind", one_of=("HELLO",))),
            Step(name="no", prompt="leave", when=When(value="kind", one_of=("HELLO",), unless=True)),
            Step(name="never", prompt="never", when=lambda kind: kind == "NOTHING"),
        ),
        answer_as="{yes}{no}{never}!",
    )
    engine = engine_of(upper)
    events, values = await told(chain, engine)
    assert values == {"kind": "HELLO", "yes": "GREET", "no": None, "never": None}
    assert isinstance(events[-1], Finished)
    assert events[-1].text == "GREET!"
    assert len(engine.generated) == 2


async def test_a_chain_without_an_answer_says_so():
    chain = Chain(steps=(Step(name="a", prompt="x", when=lambda request: False),))
    error = await failing(chain, engine_of(upper))
    assert error.details["left_out"] == ["a"]


async def test_grammars_are_sent():
    engine = engine_of(lambda prompt: '{"k": "red"}' if "json" in prompt else "red")
    schema = {"type": "object", "properties": {"k": {"type": "string"}}}
    chain = Chain(
        steps=(
            Step(name="options", code=lambda: ["red", "gr(een"]),
            Step(name="table", prompt="json", schema=schema),
            Step(name="choice", prompt="{table.k}", one_of="options"),
            Step(name="exact", prompt="{choice}", regex="[a-z]+"),
        )
    )
    _, values = await told(chain, engine)
    assert values["table"] == {"k": "red"}
    kinds = [(request.constraint.kind, request.constraint.source) for request in engine.generated if request.constraint]
    assert kinds[1:] == [("regex", r"(?:gr\(een|red)"), ("regex", "[a-z]+")]
    assert kinds[0][0] == "json_schema"
    assert "user: red\n" in prompt_text(engine.generated[1])


async def test_a_text_that_is_cut_off_is_told_and_a_grammar_then_fails():
    free = Chain(steps=(Step(name="a", prompt="{request}", max_tokens=3),))
    events, _ = await told(free, engine_of(upper))
    assert isinstance(events[-1], Finished)
    assert (events[-1].text, events[-1].finish_reason) == ("HEL", "length")
    assert "cut off after 3 tokens" in events[-1].warnings[0]
    strict = Chain(steps=(Step(name="a", prompt="{request}", max_tokens=3, regex="[A-Z]{5}", retries=0),))
    error = await failing(strict, engine_of(upper))
    assert "cut off after 3 tokens" in error.message


async def test_the_limit_of_tokens_that_was_asked_for_is_the_last_steps():
    chain = Chain(steps=(Step(name="a", prompt="{request}"), Step(name="b", prompt="{a}")))
    engine = engine_of(upper)
    await told(chain, engine, max_tokens=4)
    assert [request.max_tokens for request in engine.generated] == [256, 4]
    engine = engine_of(upper)
    await told(
        Chain(steps=(Step(name="a", pattern=Direct()), Step(name="b", pattern=Direct(), prompt="{a}"))),
        engine,
        max_tokens=4,
    )
    assert [request.max_tokens for request in engine.generated] == [512, 4]


async def test_a_key_that_is_missing_is_told_with_the_step_that_wants_it():
    def empty(prompt: str) -> str:
        return "{}"

    table = Step(name="table", prompt="json", extract="json")
    asking = Step(name="b", prompt="{table.colour}")
    for steps, answer in (((table, asking), ""), ((table,), "{table.colour}")):
        error = await failing(Chain(steps=steps, answer_as=answer), engine_of(empty))
        assert "table has no colour" in error.message
    condition = Step(name="b", prompt="x", when=When(value="table.colour"))
    assert (
        "Step b failed: table has no colour"
        in (await failing(Chain(steps=(table, condition)), engine_of(empty))).message
    )
    asked = Step(name="b", prompt="{table.colour}", otherwise=Direct())
    assert (
        "Step b failed: table has no colour" in (await failing(Chain(steps=(table, asked)), engine_of(empty))).message
    )
    spare = Step(name="b", prompt="{table.colour}", otherwise="red")
    _, values = await told(Chain(steps=(table, spare)), engine_of(empty))
    assert values["b"] == "red"


async def test_a_text_that_was_cut_and_then_was_not_is_whole():
    engine = engine_of(lambda prompt: "ab" if "Note" in prompt else "abcdef")
    chain = Chain(steps=(Step(name="a", prompt="x", max_tokens=3, check=Check(characters=(1, 2))),))
    events, _ = await told(chain, engine)
    assert isinstance(events[-1], Finished)
    assert (events[-1].text, events[-1].finish_reason, events[-1].warnings) == ("ab", "stop", ())


async def test_the_time_limit_ends_functions_too():
    async def waiting() -> str:
        await asyncio.sleep(60)
        return "x"

    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine_of(upper)})) as runtime:
        agent = Agent(
            runtime=runtime, pattern=Chain(steps=(Step(name="a", code=waiting, otherwise="x"),)), timeout_s=0.05
        )
        with pytest.raises(DeadlineExceeded):
            await agent.arun("hello")


async def test_a_failing_function_is_told_with_its_step():
    def broken(request: str) -> str:
        raise ValueError("no luck")

    error = await failing(Chain(steps=(Step(name="f", code=broken),)), engine_of(upper))
    assert "Step f: its code raised ValueError: no luck" in error.message
    chain = Chain(steps=(Step(name="f", code=broken, otherwise="spare"),))
    events, _ = await told(chain, engine_of(upper))
    assert isinstance(events[-1], Finished)
    assert events[-1].text == "spare"


async def test_another_pattern_as_a_step():
    inner = Chain(name="inner", steps=(Step(name="x", prompt="in {request}"),))
    chain = Chain(steps=(Step(name="a", pattern=inner, prompt="<{request}>"), Step(name="b", prompt="out {a}")))
    events, _ = await told(chain, engine_of(upper))
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.text == "OUT IN <HELLO>"
    assert sum(isinstance(event, TextDelta) for event in events) == 1
    assert end.usage.completion_tokens == len("IN <HELLO>") + len("OUT IN <HELLO>")


class Hanging(ScriptedEngine):
    """Generations never end by themselves. active: those that run; peak: at once."""

    def __init__(self, answer: Callable[[str], str] = upper, *, ends: bool = False) -> None:
        super().__init__(lambda request: answer(prompt_text(request)), name="tiny", context=8192)
        self.active = self.peak = 0
        self.begun = asyncio.Event()
        self._ends = ends

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        self.active += 1
        self.begun.set()
        self.peak = max(self.peak, self.active)
        try:
            await asyncio.sleep(0 if self._ends else 60)
            async with aclosing(cast(Any, super()._events(request))) as events:
                async for event in events:
                    yield event
        finally:
            self.active -= 1


@pytest.mark.parametrize(
    "chain",
    [
        Chain(steps=(Step(name="a", prompt="x"), Step(name="b", prompt="y")), answer_as="{a}{b}"),
        Chain(steps=(Step(name="a", pattern=Chain(steps=(Step(name="b", prompt="y"),))),)),
    ],
)
async def test_closing_it_early_leaves_nothing_behind(chain: Chain):
    """At once, and not only when the loop has closed what was thrown away."""
    engine = Hanging()
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        before = asyncio.all_tasks()
        async with AsyncExitStack() as stack:
            events = chain.answer(task_of("hello"), OfRuntime(runtime, stack, None, None, False))
            assert isinstance(await anext(events), StepStarted)
            await engine.begun.wait()
            await events.aclose()
            assert engine.active == 0
            assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("way", [{"prompt": "{item}"}, {"pattern": Direct(), "prompt": "{item}"}])
async def test_no_more_requests_at_once_than_a_queue_has_places_for(way: dict[str, Any]):
    engine = Hanging(ends=True)
    many = Step(name="many", code=lambda: [f"n{number}" for number in range(200)])
    _, values = await told(Chain(steps=(many, Step(name="a", each="many", at_most=256, **way))), engine)
    assert values["a"] == [f"N{number}" for number in range(200)]
    assert 1 < engine.peak <= AT_ONCE


async def test_an_agents_instructions_stand_before_each_steps_own():
    engine = engine_of(lambda prompt: "ab")
    inner = Chain(steps=(Step(name="x", prompt="in {request}"),))
    chain = Chain(
        steps=(
            Step(name="a", prompt="first", system="Be brief."),
            Step(name="b", pattern=inner, prompt="<{a}>", system="Be kind."),
            Step(name="c", prompt="{b}", check=Check(least=1), retries=0, otherwise=Direct(prompt="spare")),
        )
    )
    await told(chain, engine, system="Speak French.")
    heads = [prompt_text(request).partition("\nuser: ")[0] for request in engine.generated]
    assert heads == [
        "system: Speak French.\n\nBe brief.",
        "system: Speak French.\n\nBe kind.",
        "system: Speak French.",
        "system: Speak French.",
    ]


async def test_a_pattern_as_a_step_sees_its_prompt_and_nothing_of_the_conversation():
    engine = engine_of(lambda prompt: "ab")
    chain = Chain(steps=(Step(name="a", pattern=Direct(), prompt="Q: {request}"),))
    turns = [
        Message(role="user", content="secret"),
        Message(role="assistant", content="told"),
        Message(role="user", content="hello"),
    ]
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        await Agent(runtime=runtime, pattern=chain, system="Be kind.").arun(turns)
    assert [prompt_text(request) for request in engine.generated] == ["system: Be kind.\nuser: Q: hello\nassistant: "]


async def test_an_answer_put_together_tells_that_the_limit_of_tokens_was_not_used():
    chain = Chain(steps=(Step(name="a", prompt="{request}"),), answer_as="<{a}>")
    events, _ = await told(chain, engine_of(upper), max_tokens=3)
    notices = [event for event in events if isinstance(event, Notice)]
    assert [notice.code for notice in notices] == ["option_unused"]
    assert isinstance(events[-1], Finished)
    assert events[-1].text == "<HELLO>"
    assert events[-1].warnings == (notices[0].message,)
    events, _ = await told(chain, engine_of(upper), max_tokens=7)
    assert not [event for event in events if isinstance(event, Notice)]
    alone = Chain(steps=chain.steps, answer_as="{a}")
    events, _ = await told(alone, engine_of(upper), max_tokens=3)
    assert not [event for event in events if isinstance(event, Notice)]
    assert isinstance(events[-1], Finished)
    assert (events[-1].text, events[-1].finish_reason) == ("HEL", "length")


async def test_one_item_that_was_cut_makes_the_answer_a_cut_one():
    chain = Chain(
        steps=(
            Step(name="many", code=lambda: ["abcdef", "ab"]),
            Step(name="a", each="many", prompt="{item}", max_tokens=3),
        )
    )
    events, values = await told(chain, engine_of(upper))
    assert values["a"] == ["ABC", "AB"]
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "length"


async def test_a_cut_pattern_is_a_cut_step():
    chain = Chain(steps=(Step(name="a", pattern=Direct(max_tokens=3)),))
    events, _ = await told(chain, engine_of(upper))
    assert isinstance(events[-1], Finished)
    assert (events[-1].text, events[-1].finish_reason) == ("HEL", "length")
    assert events[-1].warnings == ("The text of step a was cut off at its limit of tokens.",)


async def test_when_one_fails_the_others_are_cancelled():
    cancelled: list[bool] = []

    async def waiting() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "x"

    async def broken() -> str:
        await asyncio.sleep(0)
        raise RuntimeError("stop")

    chain = Chain(steps=(Step(name="a", code=waiting), Step(name="b", code=broken)), answer_as="{a}{b}")
    async with asyncio.timeout(20):
        await failing(chain, engine_of(upper))
    assert cancelled == [True]


FILE = """
kind = "chain"
answer = "{kind}: {said}"

[[steps]]
name = "kind"
prompt = "{request}"
one_of = ["HELLO", "OTHER"]

[[steps]]
name = "said"
prompt = "say {kind}"
check = { words = [2, 4], contains = ["{kind}"] }
when = { value = "kind", one_of = ["HELLO"] }
otherwise = { kind = "direct", prompt = "x {request}" }
"""


async def test_a_chain_is_data(tmp_path: Path):
    path = tmp_path / "greet.toml"
    path.write_text(FILE)
    chain = load_pattern(path)
    assert isinstance(chain, Chain)
    events, values = await told(chain, engine_of(upper))
    assert values == {"kind": "HELLO", "said": "SAY HELLO"}
    assert isinstance(events[-1], Finished)
    assert events[-1].text == "HELLO: SAY HELLO"
    assert isinstance(chain.steps[1].otherwise, Direct)


@pytest.mark.parametrize(
    ("text", "told_"),
    [
        (FILE.replace("say {kind}", "say {knid}"), "steps[1] said: there is no step called 'knid'"),
        (FILE.replace("words", "wrods"), "wrods"),
        (FILE.replace("retries", "x") + "retrys = 2\n", "Did you mean retries?"),
        (FILE.replace("[2, 4]", "[4, 2]"), "steps[1]: words = [4, 2] is no range"),
        (FILE.replace('"{kind}: {said}"', '"{kind}"'), "nothing uses its value"),
        (FILE.replace('prompt = "say {kind}"', 'code = "1 +"'), "not valid Python"),
        ('kind = "density"\nwords = 3\n', "words = 3 is out of range"),
        ('kind = "chain"\nsteps = "x"\n', "must be a list of tables"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(tmp_path: Path, text: str, told_: str):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_pattern(path)
    assert str(path) in str(caught.value)
    assert told_ in str(caught.value)
