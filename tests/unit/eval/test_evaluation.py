"""Suites from their items to figures: scripted models, the real patterns, the real sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, EngineUnavailable, InvalidRequest, SmidgenError
from smidgen.eval.evaluation import Evaluated, Step, Wanted, evaluate
from smidgen.eval.record import Record
from smidgen.eval.suites import Given, suite
from smidgen.events import Notice
from smidgen.messages import GenerateRequest
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text

Answers = Iterable[str | SmidgenError] | Callable[[GenerateRequest], str | SmidgenError]

PROBLEMS = [
    {"question": "Ada has 3 bags of 12 nuts. How many nuts?", "answer": "#### 36"},
    {"question": "Bo has 5 pens and buys 4. How many pens?", "answer": "#### 9"},
]
DOUBLE = '''def double(it):
    """Twice the number.

    >>> double(4)
    8
    """
'''
SECOND = '''def second(it):
    """The second letter.

    >>> second("xy")
    'y'
    """
'''
TESTS = "def check(candidate):\n    assert candidate({given!r}) == {right!r}\n"
FUNCTIONS = [
    {"task_id": "T/0", "prompt": DOUBLE, "entry_point": "double", "test": TESTS.format(given=5, right=10)},
    {"task_id": "T/1", "prompt": SECOND, "entry_point": "second", "test": TESTS.format(given="abc", right="b")},
]
SAID = {
    "weather": (
        "will it rain",
        "rain tomorrow",
        "is rain likely",
        "how much rain falls",
        "rain or snow",
        "no rain yet",
    ),
    "alarm": ("wake me at six", "wake me early", "please wake me", "wake me up", "wake me tomorrow", "do wake me soon"),
}
CLINC = {
    "train": [[text, intent] for intent, texts in SAID.items() for text in texts],
    "val": [["rain again", "weather"], ["wake me at noon", "alarm"]],
    "oos_val": [["zebras juggle quietly", "oos"]],
}


class Bench:
    """Evaluates with what was scripted. told: each step's id and whether it was known."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.engine = ScriptedEngine()
        self.models = ScriptedModels({})
        self.known: list[tuple[str, bool]] = []

    def data(self, *lines: Any) -> Path:
        path = self._folder / "items.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return path

    async def run(self, name: str, data: Path | None, answers: Answers = (), **wanted: Any) -> Evaluated:
        chosen = suite(name, Given(data=data))
        wanted.setdefault("categories", chosen.categories)
        self.engine = ScriptedEngine(answers, name="tiny", context=8192)
        embedder = {"mini": ScriptedEngine(name="mini")} if wanted.pop("embeds", True) else {}
        self.models = ScriptedModels({"tiny": self.engine, **embedder}, embedder="mini" if embedder else "")
        self.known = []

        def told(step: Step | Notice) -> None:
            if isinstance(step, Step):
                self.known.append((step.record.id, step.known))

        config = Config(model="tiny", home=str(self._folder), audit="off")
        async with Runtime(config, models=self.models) as runtime:
            return await evaluate(runtime, chosen, Wanted(**wanted), told)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def records(evaluated: Evaluated) -> list[Record]:
    return [record for found in evaluated.records[0].values() for record in found]


def correct(evaluated: Evaluated) -> list[bool]:
    return [record.correct for record in records(evaluated)]


# --- word problems ----------------------------------------------------------------------------------------------------


def in_words(request: GenerateRequest) -> str:
    return "3 bags of 12 are many. The answer is 36."


async def test_word_problems_are_solved_by_votes(bench: Bench) -> None:
    evaluated = await bench.run("gsm8k", bench.data(*PROBLEMS), in_words)
    assert correct(evaluated) == [True, False]
    first, second = records(evaluated)
    assert first.text == second.text == "36"
    assert second.reason == "36 is not 9"
    assert "solving: 100% of the votes" in first.notes["trace"][0]
    assert first.completion_tokens > 0
    assert evaluated.runs[0].label == "tiny, smidgen"
    assert evaluated.runs[0].rows[0].accuracy == 0.5
    assert len(bench.engine.generated) > 2


async def test_the_model_alone_is_asked_once_and_greedily(bench: Bench) -> None:
    answers = [r"So 3 * 12 = \boxed{36}, of 48.", r"It makes \boxed{54}."]
    evaluated = await bench.run("gsm8k", bench.data(*PROBLEMS), answers, baseline=True)
    assert correct(evaluated) == [True, False]
    assert records(evaluated)[0].notes["text"] == answers[0]
    assert evaluated.runs[0].label == "tiny, baseline"
    first, second = bench.engine.generated
    assert prompt_text(first).startswith(f"user: {PROBLEMS[0]['question']}\n")
    assert r"\boxed{}" in prompt_text(second)
    assert {request.sampling.temperature for request in (first, second)} == {0.0}


async def test_where_there_is_no_answer_the_item_is_wrong_and_the_next_is_asked(bench: Bench) -> None:
    evaluated = await bench.run("gsm8k", bench.data(*PROBLEMS), lambda _: "I don't know.")
    assert [(record.reason, record.error, record.text) for record in records(evaluated)] == [("no number", "", "")] * 2
    assert "led to a number" in records(evaluated)[0].notes["trace"][0]


async def test_a_stopped_run_goes_on_where_it_was(bench: Bench) -> None:
    data = bench.data(*PROBLEMS)
    with pytest.raises(EngineUnavailable):
        await bench.run("gsm8k", data, [r"\boxed{36}", EngineUnavailable("gone")], baseline=True)
    assert bench.known == [("gsm8k_0", False)]
    evaluated = await bench.run("gsm8k", data, [r"\boxed{9}"], baseline=True)
    assert bench.known == [("gsm8k_0", True), ("gsm8k_1", False)]
    assert correct(evaluated) == [True, True]
    await bench.run("gsm8k", data, [r"\boxed{9}", r"\boxed{9}"], baseline=True, fresh=True)
    assert bench.known == [("gsm8k_0", False), ("gsm8k_1", False)]


@pytest.mark.parametrize("change", [{"seed": 1}, {"baseline": False}])
async def test_another_way_of_asking_begins_anew(bench: Bench, change: dict[str, Any]) -> None:
    data = bench.data(PROBLEMS[0])
    await bench.run("gsm8k", data, in_words, baseline=True)
    await bench.run("gsm8k", data, in_words, **{"baseline": True, **change})
    assert bench.known == [("gsm8k_0", False)]
    await bench.run("gsm8k", data, in_words, baseline=True)
    assert bench.known == [("gsm8k_0", True)]


async def test_nothing_can_be_switched_off_where_there_are_no_steps(bench: Bench) -> None:
    for ablate in (("all",), ("gate",)):
        with pytest.raises(InvalidRequest, match="no step"):
            await bench.run("gsm8k", bench.data(*PROBLEMS), in_words, ablate=ablate)


# --- functions --------------------------------------------------------------------------------------------------------

RIGHT = {"double": "    return it * 2\n", "second": "    return it[1]\n"}
WRONG = {"double": "    return it * 2\n", "second": "    return it[0]\n"}


def writing(bodies: dict[str, str]) -> Callable[[GenerateRequest], str]:
    return lambda request: bodies[next(name for name in bodies if f"def {name}" in prompt_text(request))]


async def test_functions_are_written_by_the_micro_agent_and_judged_by_their_tests(bench: Bench) -> None:
    evaluated = await bench.run("humaneval", bench.data(*FUNCTIONS), writing(RIGHT))
    assert correct(evaluated) == [True, True]
    assert records(evaluated)[0].id == "T/0"
    assert records(evaluated)[0].notes["trace"][0].startswith("write-code: continued, 1 of 1 examples")
    assert len(bench.engine.generated) == 4
    assert not any("candidate" in prompt_text(request) for request in bench.engine.generated)


async def test_functions_of_the_model_alone_are_believed_as_they_are(bench: Bench) -> None:
    evaluated = await bench.run("humaneval", bench.data(*FUNCTIONS), writing(WRONG), baseline=True)
    assert correct(evaluated) == [True, False]
    assert records(evaluated)[1].reason == "AssertionError"
    assert len(bench.engine.generated) == 2
    assert evaluated.runs[0].label == "tiny, baseline"


async def test_a_program_that_hides_from_its_tests_is_wrong(bench: Bench) -> None:
    bodies = {"double": "    print('all passed')\n    raise SystemExit\n", "second": "    import os\n    os._exit(0)\n"}
    evaluated = await bench.run("humaneval", bench.data(*FUNCTIONS), writing(bodies), baseline=True)
    assert correct(evaluated) == [False, False]
    assert all(record.reason for record in records(evaluated))


# --- intents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", [False, True])
async def test_intents_are_sorted_without_asking_a_model(bench: Bench, baseline: bool) -> None:
    evaluated = await bench.run("clinc150", bench.data(CLINC), baseline=baseline)
    assert [row.category for row in evaluated.runs[0].rows] == ["in_scope", "out_of_scope", "all"]
    found = records(evaluated)
    assert [(record.text, record.correct) for record in found[:2]] == [("weather", True), ("alarm", True)]
    assert (found[2].text == "oos") == found[2].correct
    assert evaluated.runs[0].label == f"mini, {'baseline' if baseline else 'smidgen'}"
    key = evaluated.runs[0].key
    assert key is not None
    assert key.options["shots"] == 10
    assert "tiny" not in bench.models.leased
    assert not bench.engine.requests


async def test_without_an_embedder_there_is_nothing_to_measure(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="sentence embedder") as caught:
        await bench.run("clinc150", bench.data(CLINC), embeds=False)
    assert "smidgen models pull" in caught.value.hint


# --- tool calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "right"), [("No.", True), ('{"name": "calculator", "arguments": {}}', False)])
async def test_tool_calls_of_the_model_alone_are_read_from_its_text(bench: Bench, text: str, right: bool) -> None:
    evaluated = await bench.run("everyday", None, [text], categories=("none",), limit=1, baseline=True)
    assert correct(evaluated) == [right]
    assert bench.known == [(records(evaluated)[0].id, False)]
    assert "mini" not in bench.models.leased


async def test_each_step_of_the_agents_way_to_a_call_can_be_switched_off(bench: Bench) -> None:
    evaluated = await bench.run("everyday", None, lambda _: "", categories=("none",), limit=1, ablate=("gate",))
    assert [run.label for run in evaluated.runs] == ["tiny, smidgen", "tiny, smidgen without gate"]
    assert [worth.step for worth in evaluated.worths] == ["gate"]
    assert correct(evaluated) == [True]
    assert bench.models.leased["mini"] == 0
