"""The benchmark's package: found, read, and its checker run unchanged; over a tiny one, and over the real one if it's
installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import ConfigError
from smidgen.eval import Item
from smidgen.eval.bfcl.package import MODEL_LIST, VERSION, find, load_checker
from smidgen.eval.bfcl.schema import tool_names
from smidgen.eval.bfcl.suite import LIVE, NON_LIVE, TUNING, Bfcl
from smidgen.eval.suites import chosen_categories, suite
from smidgen.messages import Message, ToolCall

RIGHT = ToolCall(name="kitchen_boil", arguments={"minutes": 4.0})


def made(folder: Path) -> Bfcl:
    package = find({"SMIDGEN_BFCL": str(folder)})
    return Bfcl(package, load_checker(package))


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"pip install --no-deps bfcl-eval=={VERSION}"):
        find({"SMIDGEN_BFCL": str(tmp_path)})


def test_it_is_found_by_its_own_folder_or_the_one_above(package: Path) -> None:
    assert find({"SMIDGEN_BFCL": str(package)}) == find({"SMIDGEN_BFCL": str(package.parent)})


def test_the_checker_runs_without_the_libraries_of_the_list_of_models(package: Path) -> None:
    bfcl = made(package)
    (item,) = bfcl.items("simple_python", limit=1)
    assert item.request == "Boil it for four minutes."
    assert item.tools[0].parameters["properties"] == {"minutes": {"type": "number"}}
    assert bfcl.check(item, [RIGHT]).correct
    wrong = bfcl.check(item, [])
    assert (wrong.correct, wrong.reason) == (False, "not the same (plain)")
    assert MODEL_LIST not in sys.modules
    assert str(package.parent) not in sys.path


def test_a_checker_that_stumbles_over_an_answer_says_no(package: Path) -> None:
    bfcl = made(package)
    (item,) = bfcl.items("simple_python", limit=1)
    verdict = bfcl.check(item, [ToolCall(name="explode", arguments={})])
    assert not verdict.correct
    assert "KeyError" in verdict.reason


def test_a_library_that_the_checker_lacks_is_named(package: Path) -> None:
    path = package / "eval_checker" / "ast_eval" / "ast_checker.py"
    path.write_text("import a_library_that_is_not_there\n")
    with pytest.raises(ConfigError, match="pip install a_library_that_is_not_there"):
        made(package)


def test_where_no_call_fits_none_is_right_and_for_relevance_any_is(package: Path) -> None:
    bfcl = made(package)
    for category, calls, correct in (
        ("irrelevance", [], True),
        ("irrelevance", [RIGHT], False),
        ("live_relevance", [], False),
        ("live_relevance", [RIGHT], True),
    ):
        (item,) = bfcl.items(category)
        assert bfcl.check(item, calls).correct is correct


def test_the_first_hundred_are_for_tuning_and_skipping_them_scores_the_others(package: Path) -> None:
    bfcl = made(package)
    items = bfcl.items("simple_python", skip=99)
    assert [(item.id, item.tuning) for item in items[:2]] == [("simple_python_99", True), ("simple_python_100", False)]
    assert len(bfcl.items("simple_python", skip=TUNING)) == 3
    assert len(bfcl.items("simple_python", skip=TUNING, limit=2)) == 2
    assert not bfcl.items("live_relevance")[0].tuning


def test_the_fingerprint_follows_data_answers_and_checker(package: Path) -> None:
    bfcl = made(package)
    seen = {bfcl.fingerprint("simple_python")}
    for path in (
        package / "data" / "BFCL_v4_simple_python.json",
        package / "data" / "possible_answer" / "BFCL_v4_simple_python.json",
        package / "eval_checker" / "ast_eval" / "ast_checker.py",
    ):
        path.write_text(path.read_text() + "\n")
        seen.add(bfcl.fingerprint("simple_python"))
    assert len(seen) == 4


def test_data_that_is_missing_or_broken_is_a_typed_error(package: Path) -> None:
    bfcl = made(package)
    with pytest.raises(ConfigError, match="can't be read"):
        bfcl.items("multiple")
    (package / "data" / "BFCL_v4_irrelevance.json").write_text("{")
    with pytest.raises(ConfigError, match="no JSON lines"):
        bfcl.items("irrelevance")


def test_categories_by_name_by_group_or_the_usual_ones(package: Path) -> None:
    bfcl = made(package)
    assert chosen_categories(bfcl, ()) == NON_LIVE
    assert chosen_categories(bfcl, ("live",)) == LIVE
    assert chosen_categories(bfcl, ("multiple", "simple_python")) == ("simple_python", "multiple")
    with pytest.raises(ConfigError, match="parallel"):
        chosen_categories(bfcl, ("simple",))


def test_an_unknown_suite_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="bfcl"):
        suite("mmlu")


# --- the real one -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed() -> Bfcl:
    try:
        return Bfcl.installed()
    except ConfigError as error:
        pytest.skip(str(error))


def first_answer(bfcl: Bfcl, item: Item) -> list[ToolCall]:
    """The publisher's own answer as calls of our tools: of each argument the first value allowed."""
    functions: list[str] = [next(iter(call)) for call in item.expected]
    names = {function: tool.name for function in functions for tool in item.tools if back(tool.name, function)}
    calls: list[ToolCall] = []
    for call in item.expected:
        for function, allowed in call.items():
            arguments = {name: chosen(values) for name, values in allowed.items() if values[0] != ""}
            calls.append(ToolCall(name=names[function], arguments=arguments))
    return calls


def back(tool: str, function: str) -> bool:
    return tool_names([function]) == (tool,)


def chosen(values: list[Any]) -> Any:
    """In nested objects, each value is again a list of those allowed."""
    value = values[0]
    if isinstance(value, dict):
        return {key: chosen(inner) for key, inner in value.items() if inner[0] != ""}
    if isinstance(value, list):
        return [chosen([entry]) if isinstance(entry, dict) else entry for entry in value]
    return value


@pytest.mark.parametrize("category", [name for name in (*NON_LIVE, *LIVE) if "relevance" not in name])
def test_the_official_checker_accepts_the_publishers_answers_and_no_others(installed: Bfcl, category: str) -> None:
    items = installed.items(category, limit=40)
    verdicts = [installed.check(item, first_answer(installed, item)) for item in items]
    refused = [verdict.reason for verdict in verdicts if not verdict.correct]
    assert len(refused) <= len(items) // 20, refused
    for item in items:
        calls = first_answer(installed, item)
        assert not installed.check(item, []).correct
        assert not installed.check(item, [*calls, calls[0]]).correct


def test_every_item_has_tools_and_a_request(installed: Bfcl) -> None:
    for category in installed.categories:
        for item in installed.items(category):
            asked = item.request if isinstance(item.request, str) else item.request[-1].content
            assert asked
            if not isinstance(item.request, str):
                assert isinstance(item.request[-1], Message)
                assert item.request[-1].role == "user"
            assert len({tool.name for tool in item.tools}) == len(item.tools)
