"""The router through an agent of a runtime with scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, EngineUnavailable
from smidgen.events import AgentEvent, Asked, FellBack, Finished, Notice, Routed, TextDelta, Verified
from smidgen.messages import Embeddings
from smidgen.patterns import Resources, Task
from smidgen.patterns.files import load_pattern, read_pattern
from smidgen.patterns.plain import Direct, WithTools
from smidgen.patterns.router import Classified, Intent, Router, Slot
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text

SUBJECTS = ("open", "refund", "tip", "weather")
HOURS = Intent(name="hours", examples=("when do you open", "open today?", "opening hours"), template="At nine.")
REFUND = Intent(
    name="refund",
    examples=("i want a refund", "refund my order", "a refund please"),
    slots=(Slot(name="order", regex=r"\b[A-Z]{2}-\d{4}\b", ask="Which order is it?"),),
    template="Order {order} is refunded.",
)
NONE = "I can't help with that."


class Subjects(ScriptedEngine):
    """An embedder of a few words: texts of one subject are alike."""

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        self.requests.append(texts)
        vectors: list[tuple[float, ...]] = []
        for text in texts:
            row = [float(subject in text.lower()) for subject in SUBJECTS]
            row.append(0.0 if any(row) else 1.0)
            length = sum(value * value for value in row) ** 0.5
            vectors.append(tuple(value / length for value in row))
        return Embeddings(vectors=tuple(vectors), dimensions=len(SUBJECTS) + 1)


class Broken(ScriptedEngine):
    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        raise EngineUnavailable("It is gone.")


def runtime_of(*answers: str, embedder: ScriptedEngine | None = None) -> tuple[Runtime, ScriptedEngine, ScriptedEngine]:
    engine, mini = ScriptedEngine(answers, name="tiny"), embedder or Subjects(name="mini")
    models = ScriptedModels({"tiny": engine, "mini": mini}, embedder="mini")
    return Runtime(Config(model="tiny", audit="off"), models=models), engine, mini


async def told(router: Router, request: Any, *answers: str) -> tuple[list[AgentEvent], ScriptedEngine]:
    runtime, engine, _ = runtime_of(*answers)
    async with runtime:
        events = [event async for event in Agent(runtime=runtime, pattern=router).astream(request)]
    end = events[-1]
    assert isinstance(end, Finished)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    return events, engine


def end_of(events: Sequence[AgentEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


async def test_a_template_answers_without_a_model():
    events, engine = await told(Router([HOURS, REFUND], otherwise=NONE), "do you open late?")
    assert end_of(events).text == "At nine."
    assert end_of(events).strategy == "router: hours by template"
    assert not engine.requests
    routed = next(event for event in events if isinstance(event, Routed))
    assert routed.strategy == "router: hours"
    assert "probable" in routed.reason


async def test_what_is_out_of_scope_goes_elsewhere():
    router = Router([HOURS, REFUND], otherwise=Direct(system="Be short."))
    events, engine = await told(router, "name a river", "The Nile.")
    assert end_of(events).text == "The Nile."
    assert end_of(events).strategy == "router: out of scope, by direct"
    assert prompt_text(engine.generated[0]).startswith("system: Be short.")
    events, engine = await told(Router([HOURS, REFUND], otherwise=NONE), "name a river")
    assert (end_of(events).text, engine.requests) == (NONE, [])


async def test_slots_fill_a_template_and_are_asked_for():
    router = Router([HOURS, REFUND], otherwise=NONE)
    events, _ = await told(router, "refund AB-1234")
    assert end_of(events).text == "Order AB-1234 is refunded."
    events, _ = await told(router, "i want a refund")
    assert [event for event in events if isinstance(event, Asked)] == [
        Asked(question="Which order is it?", missing=("order",))
    ]
    assert end_of(events).text == "Which order is it?"


async def test_the_answer_to_a_question_goes_on_with_what_was_begun():
    turns = [
        {"role": "user", "content": "i want a refund"},
        {"role": "assistant", "content": "Which order is it?"},
    ]
    router = Router([HOURS, REFUND], otherwise=NONE)
    events, _ = await told(router, [*turns, {"role": "user", "content": "it is XY-9876"}])
    assert end_of(events).text == "Order XY-9876 is refunded."
    events, _ = await told(router, [*turns, {"role": "user", "content": "when do you open?"}])
    assert end_of(events).text == "At nine.", "something else is asked"


def tip(bill: float) -> float | None:
    if bill > 1000:
        raise ValueError("too much")
    return None if bill == 0 else bill / 10


async def test_rules_in_python_and_their_refusals():
    intent = Intent(
        name="tip",
        examples=("tip for 20", "a tip on 35", "what tip for 60"),
        slots=(Slot(name="bill", kind="number"),),
        rule=tip,
        template="Give {value}.",
        prompt="Say a tip for {bill}.",
    )
    router = Router([HOURS, intent], otherwise=NONE)
    events, engine = await told(router, "tip for 80")
    assert (end_of(events).text, engine.requests) == ("Give 8.", [])
    for request, reason in (("tip for 5000", "too much"), ("tip for 0", "no answer")):
        events, engine = await told(router, request, "Five.")
        assert end_of(events).text == "Five."
        fell = next(event for event in events if isinstance(event, FellBack))
        assert (fell.from_strategy, fell.to_strategy) == ("rule", "prompt")
        assert reason in fell.reason
        assert prompt_text(engine.generated[0]) == f"user: Say a tip for {request.split()[-1]}.\nassistant: "


async def test_a_rule_that_is_a_program_runs_in_the_sandbox():
    intent = Intent(
        name="tip",
        examples=("tip for 20", "a tip on 35"),
        slots=(Slot(name="bill", kind="number"),),
        rule="bill * 3",
        template="Give {value}, as you said: {request}",
    )
    events, _ = await told(Router([HOURS, intent], otherwise=NONE), "tip {value} 7")
    assert end_of(events).text == "Give 21, as you said: tip {value} 7"
    failing = Router([HOURS, Intent(name="tip", examples=("tip for 20", "a tip on 35"), rule="1 / 0")], otherwise=NONE)
    events, _ = await told(failing, "a tip please")
    assert end_of(events).text == NONE
    assert "ZeroDivisionError" in end_of(events).warnings[0]


async def test_a_missing_slot_can_leave_the_way_out():
    intent = Intent(
        name="refund",
        examples=REFUND.examples,
        slots=REFUND.slots,
        missing="next",
        template="Order {order} is refunded.",
        prompt="Be kind about: {request}",
    )
    events, _ = await told(Router([HOURS, intent], otherwise=NONE), "refund it", "Gladly.")
    assert (end_of(events).text, end_of(events).strategy) == ("Gladly.", "router: refund by prompt")
    assert not any(isinstance(event, Asked) for event in events)


def one_word(text: str) -> str:
    return "" if len(text.split()) == 1 else "it has several words"


async def test_what_a_model_says_counts_only_when_it_is_checked():
    intent = Intent(
        name="weather",
        examples=("the weather", "weather today", "what weather is it"),
        prompt="One word: {request}",
        check=one_word,
        retries=1,
    )
    router = Router([HOURS, intent], otherwise=NONE)
    events, engine = await told(router, "weather now", "It is sunny", "Sunny")
    assert end_of(events).text == "Sunny"
    assert [event.ok for event in events if isinstance(event, Verified)] == [False, True]
    assert "it has several words" in prompt_text(engine.generated[1])
    events, _ = await told(router, "weather now", "It is sunny", "Sunny it is")
    assert end_of(events).text == NONE
    assert end_of(events).strategy == "router: weather left over, by template"
    assert [event.to_strategy for event in events if isinstance(event, FellBack)] == ["otherwise"]


async def test_other_patterns_and_tools_answer_for_an_intent():
    nested = Router([HOURS], otherwise="Inner.", name="inner")
    one = Intent(name="weather", examples=("the weather", "weather today"), pattern=nested)
    two = Intent(name="sums", examples=("what is 4 + 4?", "add 2 and 7"), tools=("calculator",))
    router = Router([one, two, REFUND], otherwise=NONE)
    events, _ = await told(router, "weather?")
    assert end_of(events).text == "Inner."
    assert end_of(events).strategy == "router: weather by pattern (inner: out of scope, by template)"
    events, _ = await told(router, "What is 2 + 3?")
    assert "5" in end_of(events).text
    assert [record.name for record in end_of(events).tool_calls] == ["calculator"]
    assert end_of(events).strategy.startswith("router: sums by tools")


async def test_leaving_a_stream_early_ends_what_runs_within():
    closed: list[str] = []

    class Endless:
        name = "endless"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            try:
                while True:
                    await asyncio.sleep(0)
                    yield TextDelta(text="on and ")
            finally:
                closed.append(task.request)

    within = Intent(name="weather", examples=("the weather", "weather today"), pattern=Endless())
    runtime, _, _ = runtime_of()
    async with runtime:
        agent = Agent(runtime=runtime, pattern=Router([HOURS, within], otherwise=Endless()))
        for request in ("weather?", "rivers"):
            async with aclosing(agent.astream(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        break
            assert closed[-1] == request


async def test_it_is_trained_once_also_when_many_ask_at_once():
    runtime, _, mini = runtime_of()
    router = Router([HOURS, REFUND], otherwise=NONE)
    async with runtime:
        agent = Agent(runtime=runtime, pattern=router)
        answers = await asyncio.gather(*(agent.arun("open?") for _ in range(5)))
    assert {answer.text for answer in answers} == {"At nine."}
    assert sum(len(texts) > 1 for texts in mini.requests if isinstance(texts, tuple)) == 1


async def test_words_do_without_an_embedder_and_when_it_fails():
    runtime, _, _ = runtime_of(embedder=Broken(name="mini"))
    async with runtime:
        answer = await Agent(runtime=runtime, pattern=Router([HOURS, REFUND], otherwise=NONE)).arun("when do you open")
    assert answer.text == "At nine."
    assert "It is gone." in answer.warnings[0]
    models = ScriptedModels({"tiny": ScriptedEngine(name="tiny")})
    async with Runtime(Config(model="tiny", audit="off"), models=models) as alone:
        router = Router([HOURS, REFUND], otherwise=NONE)
        events = [event async for event in Agent(runtime=alone, pattern=router).astream("opening hours?")]
        quiet = await Agent(runtime=alone, pattern=Router([HOURS], embeds=False)).arun("opening hours")
    assert end_of(events).text == "At nine."
    assert [event.code for event in events if isinstance(event, Notice)] == ["embedder_missing"]
    assert not quiet.warnings


async def test_texts_are_classified_alone():
    found: list[Classified] = []

    class Asking:
        name = "asking"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            found.extend(await router.classify(["open?", "a refund", "rivers"], resources))
            async for event in Direct().answer(task, resources):
                yield event

    router = Router([HOURS, REFUND])
    runtime, _, _ = runtime_of("ok")
    async with runtime:
        await Agent(runtime=runtime, pattern=Asking()).arun("x")
    assert [(one.intent, one.in_scope) for one in found[:2]] == [("hours", True), ("refund", True)]
    assert not found[2].in_scope


# --- what can't be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"examples": ()}, "no examples"),
        ({"examples": ("x" * 2000,)}, "2000 characters"),
        ({"template": ""}, "no way"),
        ({"template": "{ordre}"}, "names ordre"),
        ({"template": "{value}"}, "names value"),
        ({"rule": "1 +"}, "not valid Python"),
        ({"rule": tip}, "takes bill"),
        ({"check": len}, "of no effect"),
        ({"missing": "skip"}, "can't be"),
        ({"slots": (Slot(name="a", kind="number"), Slot(name="a", kind="date"))}, "two slots"),
        ({"threshold": 3.0}, "no probability"),
        ({"name": " "}, "no name"),
    ],
)
def test_an_intent_that_can_not_be_is_refused(changes: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {"name": "a", "examples": ("b",), "template": "c", **changes}
    with pytest.raises(ConfigError, match=told):
        Intent(**given)


def test_a_router_needs_intents_of_different_names():
    with pytest.raises(ConfigError, match="no intents"):
        Router([])
    with pytest.raises(ConfigError, match="called hours"):
        Router([HOURS, HOURS])


# --- files ----------------------------------------------------------------------------------------------------------

FILE = """
kind = "router"
rejects = 0.05
otherwise = "Sorry."
outside = ["who won"]

[[intents]]
name = "refund"
examples = ["a refund", "refund it"]
template = "Order {order} is refunded."

[[intents.slots]]
name = "order"
regex = "[A-Z]{2}-[0-9]{4}"
ask = "Which one?"

[[intents.slots]]
name = "many"
kind = "number"
default = 1

[[intents]]
name = "sums"
examples = ["add 2 and 3"]
pattern = {kind = "agent", tools = ["calculator"]}

[[intents]]
name = "size"
examples = ["how long is it"]
prompt = "{request}"
check = {kind = "number"}
"""


def test_a_file_says_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "desk.toml"
    path.write_text(FILE)
    found = load_pattern(path)
    assert isinstance(found, Router)
    assert (found.scope.rejects, found.otherwise, found.outside) == (0.05, "Sorry.", ("who won",))
    assert found.intents[0].slots == (
        Slot(name="order", regex="[A-Z]{2}-[0-9]{4}", ask="Which one?"),
        Slot(name="many", kind="number", default=1),
    )
    assert found.intents[1].pattern == WithTools(tools=("calculator",))
    assert [check.name for check in found.intents[2].check] == ["number"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rejcts": 0.1}, "rejcts"),
        ({"rejects": 2}, "no share"),
        ({"rejects": True}, "can't be used"),
        ({"intents": []}, "no intents"),
        ({"intents": [{"name": "a", "examples": ["b"], "templte": "c"}]}, "Did you mean template"),
        ({"intents": [{"name": "a", "examples": "b", "template": "c"}]}, "examples"),
        ({"intents": [{"name": "a", "examples": ["b"], "template": "{c}"}]}, "names c"),
        ({"intents": [{"name": "a", "examples": ["b"], "template": "c", "slots": [{"name": "d"}]}]}, "isn't told how"),
        ({"intents": [{"name": "a", "examples": ["b"], "prompt": "c", "check": {"kind": "nmber"}}]}, "nmber"),
        ({"intents": [{"name": "a", "examples": ["b"], "rule": 3}]}, "rule must be"),
        (
            {"intents": [{"name": "a", "examples": ["b"], "template": "c", "slots": [{"name": "d", "kind": "int"}]}]},
            "no slot of the kind 'int'",
        ),
        ({"otherwise": {"kind": "drect"}}, "Did you mean direct?"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(changes: dict[str, Any], told: str) -> None:
    good = {"kind": "router", "intents": [{"name": "a", "examples": ["b"], "template": "c"}]}
    with pytest.raises(ConfigError) as caught:
        read_pattern({**good, **changes}, "desk.toml")
    assert told in f"{caught.value}"
    assert "desk.toml" in f"{caught.value}"
