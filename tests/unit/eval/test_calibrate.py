"""Which tasks decide what, and the decisions that are made offline."""

from __future__ import annotations

import random

import msgspec
import pytest

from smidgen.agent.several import Leftover, log_odds
from smidgen.eval.calibrate import report
from smidgen.eval.calibrate.choose import Chosen, Decision, choose_gate, choose_more, choose_weight, more_examples
from smidgen.eval.calibrate.collect import Collector, Told, together
from smidgen.eval.calibrate.fit import Examples
from smidgen.eval.calibrate.sample import OFFERED, Case, Sample, calls_of, crowded, mixed, sample
from smidgen.eval.calibrate.score import Manner, Score
from smidgen.eval.calibrate.tune import Calibrated
from smidgen.eval.evaluation import _as_data
from smidgen.eval.tasks.checker import check
from smidgen.eval.tasks.suite import Tasks
from smidgen.models.library import ModelFile
from smidgen.models.profiles import PROFILES
from smidgen.models.tool_use import Gate, More, ToolUse


@pytest.fixture(scope="module")
def tasks() -> Sample:
    return sample(Tasks.shipped("calibration"))


def everything(tasks: Sample) -> tuple[Case, ...]:
    return (*tasks.single, *tasks.several, *tasks.none, *tasks.missing)


def test_every_fourth_task_of_a_kind_is_held_back_and_decides_nothing(tasks: Sample) -> None:
    chosen = {case.task.id for case in everything(tasks)}
    held = {item.id for item in tasks.held_back}
    assert (len(chosen), len(held), tasks.size) == (120, 40, 120)
    assert not chosen & held
    kinds = [item.category for item in tasks.held_back]
    assert {kind: kinds.count(kind) for kind in kinds} == {"single": 15, "several": 10, "none": 10, "missing": 5}
    assert tasks == sample(Tasks.shipped("calibration"))


def test_fewer_tasks_are_the_first_ones(tasks: Sample) -> None:
    few = sample(Tasks.shipped("calibration"), 4)
    assert (few.size, len(few.held_back)) == (12, 4)
    assert few.single == tasks.single[:3]


def test_a_crowd_has_eight_tools_with_those_of_the_task_and_is_always_the_same(tasks: Sample) -> None:
    cases = mixed(tasks.single, tasks.several)
    crowds = crowded(cases, everything(tasks))
    assert crowds == crowded(cases, everything(tasks))
    for case, crowd in zip(cases, crowds, strict=True):
        names = [tool.name for tool in crowd.tools]
        assert len(names) == len(set(names)) == OFFERED
        assert {tool.name for tool in case.tools} <= set(names)
    positions = [[t.name for t in crowd.tools].index(crowd.task.expect[0].tool) for crowd in crowds]
    assert max(positions.count(place) for place in range(OFFERED)) < len(crowds) / 3


def test_kinds_are_mixed_and_none_is_lost(tasks: Sample) -> None:
    cases = mixed(tasks.single, tasks.several)
    assert sorted(case.task.id for case in cases) == sorted(c.task.id for c in (*tasks.single, *tasks.several))
    assert [case.task.kind for case in cases[:6]] == ["single", "single", "several"] * 2


def test_the_calls_that_stand_for_what_is_expected_are_right(tasks: Sample) -> None:
    for case in (*tasks.single, *tasks.several):
        calls = calls_of(case.task.expect)
        assert check(case.task.expect, calls, case.tools).correct, case.task.id
        assert all(case.is_right(call) for call in calls)
        assert not case.is_right(None)


def chosen(n: int, *, said: float, similar: float, right: str) -> list[Chosen]:
    """A task where the model prefers a by `said` and nearness b by `similar`."""
    return [Chosen(said={"a": said, "b": 0.0}, similar={"a": 0.0, "b": similar}, right=frozenset(right))] * n


def test_similarity_gets_the_weight_with_the_most_right_choices() -> None:
    found, decision = choose_weight(chosen(40, said=8.0, similar=0.2, right="b"), 10.0)
    assert found == 50.0
    assert (decision.before, decision.after) == ("10", "50")
    assert choose_weight(chosen(40, said=1.0, similar=0.3, right="a"), 10.0)[0] == 3.0


def test_the_weight_stays_where_the_difference_is_noise() -> None:
    items = chosen(37, said=1.0, similar=0.2, right="b") + chosen(3, said=8.0, similar=0.2, right="b")
    assert choose_weight(items, 10.0)[0] == 10.0
    assert choose_weight([], 10.0)[0] == 10.0


def gate_items(n: int, cut: float, *, opinion: bool = False) -> Examples:
    """Requests that want a tool from a similarity on, or if the model says so."""
    drawn = random.Random(3)
    rows: list[tuple[float, ...]] = []
    labels: list[bool] = []
    for _ in range(n):
        near, says = drawn.uniform(0, 0.7), drawn.choice([-4.0, -1.0])
        rows.append((1.0, near, 0.0, says) if opinion else (1.0, near, 0.0))
        labels.append(says > -2 if opinion else near + drawn.gauss(0, 0.05) > cut)
    return Examples(rows=tuple(rows), labels=tuple(labels), groups=tuple(range(n)), offsets=(0.0,) * n)


def test_the_gate_moves_to_where_requests_want_a_tool() -> None:
    gate, _ = choose_gate(gate_items(150, 0.5), None, Gate())
    assert -gate.intercept / gate.similarity == pytest.approx(0.5, abs=0.06)
    assert gate.missing == Gate().missing
    assert gate.likelihood == 0.0


def test_the_gate_stays_where_it_tells_well() -> None:
    cut = -Gate().intercept / Gate().similarity
    assert choose_gate(gate_items(60, cut), None, Gate())[0] == Gate()


def test_the_model_s_opinion_enters_if_it_helps() -> None:
    known = gate_items(150, 0.0, opinion=True)
    plain = msgspec.structs.replace(known, rows=tuple(row[:3] for row in known.rows))
    gate, decision = choose_gate(plain, known, Gate())
    assert gate.likelihood > 0.5
    assert "opinion" in decision.why
    noise = msgspec.structs.replace(known, labels=tuple(row[1] > 0.34 for row in known.rows))
    assert choose_gate(plain, noise, Gate())[0].likelihood == 0.0


def test_features_of_a_further_call_are_the_weights_own(tasks: Sample) -> None:
    case = next(case for case in tasks.several if len(case.task.expect) == 2)
    names = tuple(tool.name for tool in case.tools)
    told = {case.task.id: Told(names=names, said=(0.0,) * len(names), further=(-3.0, -7.0))}
    collector = Collector.__new__(Collector)
    collector._embedder = None
    found = more_examples(collector, tasks.several, told)
    assert found.labels == (True, False)
    left = Leftover(numbers=9, names=1, listed=2, cue=True, tools=1)
    one = {name: float(value) for value, name in enumerate(More.__struct_fields__, 2)}
    likelihood = More.__struct_fields__.index("likelihood")
    assert [row[likelihood] for row in found.rows] == [-3.0, -7.0]
    total = sum(
        weight * log_odds(left, -2.0, More(**{other: float(other == name) for other in one}))
        for name, weight in one.items()
    )
    assert total == pytest.approx(log_odds(left, -2.0, More(**one)))


def test_weights_for_a_further_call_stay_without_enough_examples() -> None:
    few = Examples(rows=((1.0,) * len(More.__struct_fields__),), labels=(True,), groups=("a",), offsets=(0.0,))
    found, decision = choose_more(few, More())
    assert found == More()
    assert "too few" in decision.why


async def test_the_first_failure_ends_all_that_runs_together() -> None:
    import asyncio

    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("waits")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await together([waits, fails, waits])
    assert ended == ["waits", "waits"]


def calibrated(before: str, after: str) -> Calibrated:
    """What came of the held-back tasks, a digit each."""
    manner = Manner(dialect="python_call", tool_use=ToolUse())
    return Calibrated(
        file=ModelFile(name="m", path="m.gguf", sha256="a" * 64, bytes=1, source="", license=""),
        before=manner,
        after=Manner(dialect="hermes", tool_use=ToolUse(choice=30.0)),
        decisions=(Decision(setting="dialect", before="python_call", after="hermes", why="as it was"),),
        held_back_before=Score(right=tuple(sign == "1" for sign in before)),
        held_back_after=Score(right=tuple(sign == "1" for sign in after)),
        tasks=12,
        seconds=3.0,
    )


def test_the_table_has_every_setting_before_and_after() -> None:
    rows = {name: (before, after) for name, before, after in report.rows(calibrated("1100", "1110"))}
    assert rows["dialect"] == ("python_call", "hermes")
    assert rows["choice"] == ("10", "30")
    assert rows["gate.similarity"] == ("18", "18")
    assert {f"more.{name}" for name in More.__struct_fields__} <= rows.keys()
    assert rows["right of held-back tasks"][1].startswith("3 of 4")


def test_what_makes_held_back_tasks_worse_by_more_than_noise_is_told() -> None:
    assert report.is_worse(calibrated("11111111", "00001111"))
    assert not report.is_worse(calibrated("11110000", "01110000"))
    assert not report.is_worse(calibrated("0000", "1111"))


def test_results_of_an_evaluation_are_kept_apart_by_what_is_tuned() -> None:
    row = PROFILES["qwen2.5-coder"]
    tuned = msgspec.structs.replace(row, tool_use=ToolUse(gate=Gate(missing=2.0)))
    assert _as_data(row) != _as_data(tuned)
    assert _as_data(tuned)["tool_use"]["gate"]["missing"] == 2.0


@pytest.mark.parametrize("helps", [True, False])
def test_the_likelihood_of_a_further_call_is_not_asked_for_unless_it_helps(helps: bool) -> None:
    drawn = random.Random(4)
    names = More.__struct_fields__
    rows: list[tuple[float, ...]] = []
    labels: list[bool] = []
    for _ in range(150):
        likelihood, numbers = drawn.choice([-12.0, -3.0]), drawn.choice([0.0, 1.0])
        features = {"intercept": 1.0, "likelihood": likelihood, "numbers": numbers}
        rows.append(tuple(features.get(name, 0.0) for name in names))
        labels.append((likelihood > -5 if helps else numbers > 0) is (drawn.random() < 0.85))
    known = Examples(rows=tuple(rows), labels=tuple(labels), groups=tuple(range(150)), offsets=(0.0,) * 150)
    found, decision = choose_more(known, More(intercept=-0.5, likelihood=0.0, numbers=0.5))
    assert (found.likelihood > 0.2) is helps
    assert found.likelihood == 0.0 or helps
    assert "opinion" in decision.why
    assert choose_more(known, More(intercept=-0.5, likelihood=0.05, numbers=0.5))[0].likelihood != 0.0
