"""Suites of our own: what the checker lets pass, what it says of the rest, and that each task can be got right."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from smidgen.agent.conformity import schema_problems
from smidgen.errors import ConfigError
from smidgen.eval import Verdict
from smidgen.eval.suites import OWN, chosen_categories, suite
from smidgen.eval.tasks.checker import Expected, check, result, same
from smidgen.eval.tasks.suite import FOLDER, Task, Tasks
from smidgen.messages import Message, ToolCall, ToolSpec
from smidgen.tools.builtin import NAMES, builtin_tools
from smidgen.tools.builtin.dates import parse_date
from smidgen.tools.function import FunctionTool

WEDNESDAY = dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC)
CALCULATOR, DATE_ADD = (tool.spec for tool in builtin_tools(names=["calculator", "date_add"]))
BOIL = ToolSpec(
    name="boil",
    description="Boil something.",
    parameters={
        "type": "object",
        "properties": {
            "what": {"type": "string"},
            "minutes": {"type": "number"},
            "pot": {"type": "string", "default": "small"},
            "salt": {"type": "boolean"},
        },
        "required": ["what"],
    },
)


def clock() -> dt.datetime:
    return WEDNESDAY


def boil(**arguments: Any) -> ToolCall:
    return ToolCall(name="boil", arguments=arguments)


def wanted(tool: str = "boil", may_omit: tuple[str, ...] = (), **arguments: list[Any]) -> Expected:
    return Expected(tool=tool, arguments=arguments, may_omit=may_omit)


def judged(expect: list[Expected], *calls: ToolCall) -> Verdict:
    return check(expect, calls, (BOIL, CALCULATOR, DATE_ADD), clock=clock)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "accepted", "right"),
    [
        ("An  EGG!", "an egg", True),
        ("“milk”, eggs", "'milk' eggs", True),
        ("milk\n- eggs", "milk, eggs", True),
        ("New York", "new_york", True),
        ("milk", "milk and eggs", False),
        ("./docs/", "docs", True),
        ("docs\\plan.md", "docs/plan.md", True),
        ("docs/plan.md", "docsplan.md", False),
        ("notestxt", "notes.txt", False),
        ("./", ".", True),
        ("-5", "5", False),
        ("C++", "c", False),
        (2, 2.0, True),
        (2, 3, False),
        ("2", 2, False),
        (True, 1, False),
        (True, True, True),
        (["a", 2.0], ["A", 2], True),
        ([2, "a"], ["a", 2], False),
        (["a"], ["a", "b"], False),
        ({"size": "Big", "n": 1}, {"size": "big", "n": 1.0}, True),
        ({"size": "big"}, {"size": "big", "n": 1}, False),
        ({"size": "big"}, "big", False),
        ("whatever", {"any": True}, True),
        (0, {"any": True}, True),
        (" ", {"any": True}, False),
        ([], {"any": True}, False),
        (None, {"any": True}, False),
        ("Buy MILK today", {"contains": "milk"}, True),
        ("Buy eggs", {"contains": "milk"}, False),
        ("eggs and milk", {"contains": ["milk", "eggs"]}, True),
        ("eggs", {"contains": ["milk", "eggs"]}, False),
        (5, {"contains": "5"}, False),
    ],
)
def test_values_compare_as_what_they_mean(got: Any, accepted: Any, right: bool) -> None:
    assert same(got, accepted, clock) is right


@pytest.mark.parametrize(
    ("got", "accepted", "right"),
    [
        ("March 11, 2026", "2026-03-11", True),
        ("2026-03-12", "tomorrow", True),
        ("2026-03-13", "tomorrow", False),
        ("next Friday", "friday", True),
        ("last Friday", "friday", False),
        ("25 Dec 2026", "Christmas", True),
        ("03.04.2026", "2026-04-03", False),
        ("2026-03-11 09:00", "2026-03-11 10:00", False),
        ("5 pm", "6 pm", False),
        ("10 minutes", "12 minutes", False),
        ("1.5", "1.05", False),
        ("meet on 2026-03-11", "11 March 2026", False),
    ],
)
def test_dates_compare_by_the_day_that_the_date_tools_read(got: str, accepted: str, right: bool) -> None:
    assert same(got, accepted, clock) is right


@pytest.mark.parametrize(
    ("got", "accepted", "right"),
    [
        ("0.15 * 80", "15% of 80", True),
        ("80 * 15 / 100 =", "15% of 80", True),
        ("15 * 80", "15% of 80", False),
        ("2/7*3", "6/7", True),
        ("18/75", "18 / 75 in %", True),
        ("8 miles to kilometers", "8 miles in km", True),
        ("8 miles", "8 miles in km", False),
        ("8 miles in m", "8 miles in km", False),
        ("8 * 1.609344", "8 miles in km", False),
        ("fifteen percent", "15% of 80", False),
        (12, "15% of 80", False),
        ("0", "3 - 3", True),
    ],
)
def test_expressions_compare_by_value_and_unit(got: Any, accepted: str, right: bool) -> None:
    call = ToolCall(name="calculator", arguments={"expression": got})
    assert judged([wanted("calculator", expression=[accepted])], call).correct is right


# --- calls ------------------------------------------------------------------------------------------------------------


def test_one_of_the_values_is_enough() -> None:
    expect = [wanted(what=["egg", "an egg"], minutes=[4])]
    assert judged(expect, boil(what="An egg", minutes=4.0)).correct
    wrong = judged(expect, boil(what="rice", minutes=5))
    assert not wrong.correct
    assert wrong.reason == (
        "boil: argument what was 'rice', expected one of 'egg', 'an egg'; boil: argument minutes was 5, expected 4"
    )


def test_an_argument_may_be_left_out_if_the_task_says_so_or_its_default_is_accepted() -> None:
    assert not judged([wanted(what=["egg"], minutes=[4])], boil(what="egg")).correct
    assert judged([wanted(what=["egg"], minutes=[4], may_omit=("minutes",))], boil(what="egg")).correct
    assert not judged([wanted(what=["egg"], minutes=[4], may_omit=("minutes",))], boil(what="egg", minutes=5)).correct
    assert judged([wanted(what=["egg"], pot=["small"])], boil(what="egg")).correct
    left_out = judged([wanted(what=["egg"], pot=["large"])], boil(what="egg"))
    assert left_out.reason == "boil: argument pot was left out, expected 'large'"


def test_an_argument_that_nobody_asked_for_is_right_only_as_the_default() -> None:
    assert judged([wanted(what=["egg"])], boil(what="egg", pot="Small")).correct
    assert judged([wanted(what=["egg"])], boil(what="egg", salt=None)).correct
    extra = judged([wanted(what=["egg"])], boil(what="egg", salt=True))
    assert extra.reason == "boil: argument salt was True, but nobody asked for it"
    assert not judged([wanted(what=["egg"])], boil(what="egg", lid=False)).correct


def test_calls_are_a_set_and_each_is_expected_once() -> None:
    expect = [wanted(what=["egg", "rice"]), wanted(what=["egg"])]
    assert judged(expect, boil(what="egg"), boil(what="rice")).correct
    assert judged(expect, boil(what="rice"), boil(what="egg")).correct
    assert judged(expect, boil(what="egg"), boil(what="egg")).correct
    assert judged(expect, boil(what="rice"), boil(what="rice")).reason == (
        "boil: argument what was 'rice', expected 'egg'"
    )
    assert judged(expect, boil(what="egg")).reason == "missing call: boil(what=['egg'])"
    assert judged(expect, boil(what="egg"), boil(what="egg"), boil(what="rice")).reason == (
        "one call too many: boil(what='rice')"
    )


def test_another_tool_is_named_and_another_call_may_do_as_well() -> None:
    weeks = Expected(tool="date_add", arguments={"date": ["today"], "amount": [2], "unit": ["weeks"]})
    days = Expected(tool="date_add", arguments={"date": ["today"], "amount": [14], "unit": ["days"]})
    either = Expected(tool=weeks.tool, arguments=weeks.arguments, alternatives=(days, wanted(what=["clock"])))
    for call in (
        ToolCall(name="date_add", arguments={"date": "2026-03-11", "amount": 2, "unit": "weeks"}),
        ToolCall(name="date_add", arguments={"date": "today", "amount": 14}),
        boil(what="clock"),
    ):
        assert judged([either], call).correct
    mixed = judged([either], ToolCall(name="date_add", arguments={"date": "today", "amount": 2}))
    assert mixed.reason in (
        "date_add: argument unit was left out, expected 'weeks'",
        "date_add: argument amount was 2, expected 14",
    )
    other = judged([either], ToolCall(name="calculator", arguments={"expression": "2 * 7"}))
    assert other.reason == "wrong tool: calculator was called, expected date_add or boil"
    assert not judged([either]).correct


def test_an_expression_is_told_with_its_value_or_why_it_has_none() -> None:
    expect = [wanted("calculator", expression=["15% of 80"])]
    told = judged(expect, ToolCall(name="calculator", arguments={"expression": "15 * 80"}))
    assert told.reason == "calculator: argument expression was '15 * 80' (which is 1200), expected '15% of 80'"
    told = judged(expect, ToolCall(name="calculator", arguments={"expression": "15 * x80"}))
    assert "can't be computed" in told.reason


def test_where_no_call_fits_none_is_right_and_the_reason_says_what_to_ask_for() -> None:
    assert judged([]).correct
    assert judged([], boil(what="egg")).reason == "no call fits, but there was a call of boil"
    asked = check([], [boil(what="egg")], (BOIL,), ask=("what", "minutes"))
    assert asked.reason == "the user should be asked for what and minutes, but there was a call of boil"


# --- files ------------------------------------------------------------------------------------------------------------


def made(name: str = "tiny", **changed: Any) -> Tasks:
    first = {
        "id": "a_1",
        "kind": "a",
        "request": [{"role": "user", "content": "hi"}, {"role": "assistant"}, {"role": "user", "content": "an egg"}],
        "tools": ["boil", "weekday"],
        "expect": [{"tool": "boil", "arguments": {"what": ["egg"]}, "or": [{"tool": "weekday"}]}],
    }
    second = {"id": "b_1", "kind": "b", "request": "boil it", "tools": ["boil"], "expect": [], "ask": ["what"]}
    tool = {"name": BOIL.name, "description": BOIL.description, "parameters": BOIL.parameters}
    content = {"about": "", "tools": [tool], "tasks": [{**first, **changed}, second]}
    return Tasks(name, json.dumps(content).encode())


def test_a_file_is_a_suite_with_tools_of_its_own_and_built_in_ones() -> None:
    tiny = made()
    assert chosen_categories(tiny, ()) == chosen_categories(tiny, ("all",)) == ("a", "b")
    (first,), (second,) = tiny.items("a"), tiny.items("b")
    assert [tool.name for tool in first.tools] == ["boil", "weekday"]
    assert isinstance(first.request, list)
    assert first.request[-1] == Message(role="user", content="an egg")
    assert first.expected[0]["or"] == ({"tool": "weekday"},)
    assert tiny.check(first, [boil(what="egg")]).correct
    assert tiny.check(first, [ToolCall(name="weekday", arguments={})]).correct
    assert not tiny.check(first, []).correct
    assert second.expected == "no call; ask for what"
    assert tiny.check(second, []).correct
    assert tiny.items("a", skip=1) == tiny.items("a", limit=0) == []
    assert not first.tuning
    assert made("calibration").items("a")[0].tuning


def test_the_fingerprint_follows_a_categorys_own_tasks() -> None:
    before, after = made(), made(request="an egg")
    assert before.fingerprint("a") != after.fingerprint("a")
    assert before.fingerprint("b") == after.fingerprint("b")
    assert before.fingerprint("a") == made().fingerprint("a")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tools": ["boil", "weekday", "fry"]}, "'fry'"),
        ({"tools": ["boil"], "expect": [{"tool": "weekday"}]}, "doesn't offer"),
        ({"id": "b_1"}, "same id"),
        ({"expekt": []}, "no tasks"),
    ],
)
def test_a_file_that_makes_no_suite_is_a_typed_error(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(**changed)


def test_a_suite_that_isnt_there_is_a_typed_error() -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        Tasks.shipped("nothing")


# --- what is shipped --------------------------------------------------------------------------------------------------

DATE_TOOLS = ("weekday", "days_between", "date_add")
SHIPPED = [name for name in OWN if (FOLDER / f"{name}.json").exists()]


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request: pytest.FixtureRequest) -> Tasks:
    found = suite(request.param)
    assert isinstance(found, Tasks)
    return found


def every_task(tasks: Tasks) -> Iterator[tuple[Task, dict[str, ToolSpec]]]:
    for category in tasks.categories:
        for task in tasks.tasks(category):
            yield task, {tool.name: tool for tool in tasks.tools(task)}


def every_call(task: Task) -> Iterator[Expected]:
    for expected in task.expect:
        yield expected
        yield from expected.alternatives


def example(value: Any) -> Any:
    """A value that an accepted one lets pass."""
    if value == {"any": True}:
        return "something"
    if isinstance(value, dict) and set(value) == {"contains"}:
        return value["contains"] if isinstance(value["contains"], str) else " ".join(value["contains"])
    return value


def first_call(expected: Expected) -> ToolCall:
    arguments = {name: example(values[0]) for name, values in expected.arguments.items()}
    return ToolCall(name=expected.tool, arguments=arguments)


def test_the_everyday_suite_has_150_requests() -> None:
    everyday = Tasks.shipped("everyday")
    counts = {category: len(everyday.items(category)) for category in everyday.categories}
    assert counts == {"single": 60, "several": 20, "none": 25, "missing": 15, "typo": 15, "language": 15}
    requests = [str(task.request) for task, _ in every_task(everyday)]
    assert len(set(requests)) == 150
    called = {expected.tool for task, _ in every_task(everyday) for expected in task.expect}
    assert called == set(NAMES) - {"edit_file", "undo_write"}


def test_the_unseen_suite_has_75_requests_and_none_of_the_everyday_ones() -> None:
    unseen, everyday = Tasks.shipped("everyday_unseen"), Tasks.shipped("everyday")
    counts = {category: len(unseen.items(category)) for category in unseen.categories}
    assert counts == {"single": 30, "several": 10, "none": 15, "missing": 6, "typo": 7, "language": 7}
    requests = {str(task.request) for task, _ in every_task(unseen)}
    assert len(requests) == 75
    assert not requests & {str(task.request) for task, _ in every_task(everyday)}
    called = {expected.tool for task, _ in every_task(unseen) for expected in task.expect}
    assert called == set(NAMES) - {"edit_file", "undo_write"}


def test_every_expression_expected_computes_and_every_date_parses(shipped: Tasks) -> None:
    for task, _ in every_task(shipped):
        for expected in every_call(task):
            for name, values in expected.arguments.items():
                for value in values:
                    if (expected.tool, name) == ("calculator", "expression"):
                        result(value)
                    elif expected.tool in DATE_TOOLS and name in ("date", "start", "end"):
                        parse_date(value)


def test_ids_are_unique(shipped: Tasks) -> None:
    written = json.loads((FOLDER / f"{shipped.name}.json").read_bytes())
    ids = [task["id"] for task in written["tasks"]]
    assert len(set(ids)) == len(ids)


def test_every_value_accepted_is_one_that_the_tools_schema_allows(shipped: Tasks) -> None:
    for task, specs in every_task(shipped):
        for expected in every_call(task):
            assert expected.tool in specs, task.id
            schema = specs[expected.tool].parameters
            assert set(expected.may_omit) <= set(expected.arguments) <= set(schema["properties"]), task.id
            assert set(schema.get("required", ())) <= set(expected.arguments), task.id
            usual = first_call(expected).arguments
            for name, values in expected.arguments.items():
                for value in values:
                    assert not list(schema_problems({**usual, name: example(value)}, schema, "")), (task.id, value)


def test_every_value_accepted_is_one_that_the_built_in_tools_understand(shipped: Tasks) -> None:
    """Those that look at nothing but their arguments; the tools' own code raises for what it can't read."""
    for tool in builtin_tools():
        assert isinstance(tool, FunctionTool)
        for task, specs in every_task(shipped):
            if specs.get(tool.spec.name) != tool.spec:
                continue
            for expected in every_call(task):
                usual = first_call(expected).arguments
                for name, values in expected.arguments.items() if expected.tool == tool.spec.name else ():
                    for value in values:
                        tool(**{**usual, name: example(value)})


def test_what_is_missing_is_an_argument_of_a_tool_on_offer(shipped: Tasks) -> None:
    for task, specs in every_task(shipped):
        parameters = {name for spec in specs.values() for name in spec.parameters["properties"]}
        assert set(task.ask) <= parameters, task.id
        assert not (task.ask and task.expect), task.id


def test_the_checker_accepts_what_is_expected_and_nothing_else(shipped: Tasks) -> None:
    for category in shipped.categories:
        for item, task in zip(shipped.items(category), shipped.tasks(category), strict=True):
            calls = [first_call(expected) for expected in task.expect]
            verdict = shipped.check(item, calls[::-1])
            assert verdict.correct, (task.id, verdict.reason)
            assert shipped.check(item, []).correct is not bool(task.expect), task.id
            extra = ToolCall(name=task.tools[0], arguments={})
            assert not shipped.check(item, [*calls, extra]).correct, task.id
            for expected in task.expect:
                for other in expected.alternatives:
                    rest = [first_call(one) for one in task.expect if one is not expected]
                    assert shipped.check(item, [*rest, first_call(other)]).correct, task.id
