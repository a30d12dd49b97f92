"""Micro-agents with a real small model: what they give has been run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import smidgen
from smidgen.config import load_config
from smidgen.models.library import ModelFile
from smidgen.patterns.files import load_pattern
from smidgen.patterns.micro import CodeWriter, Completer, DocWriter, ErrorExplainer, TestWriter

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "examples" / "micro"
NAME = "qwen2.5-coder-0.5b"


@pytest.fixture(scope="module")
def runtime(model_file: Callable[[str], ModelFile]) -> Iterator[smidgen.Runtime]:
    model_file(NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMIDGEN_TUNED", "off")
        patch.setenv("SMIDGEN_AUDIT", "off")
        with smidgen.Runtime(load_config(), model=NAME) as runtime:
            yield runtime


def text(name: str) -> str:
    return (EXAMPLES / name).read_text("utf-8")


def test_a_function_is_written_that_does_what_its_docstring_shows(runtime: smidgen.Runtime) -> None:
    answer = smidgen.Agent(runtime=runtime, pattern=CodeWriter()).run(text("stub.py"))
    names: dict[str, Callable[[str], str]] = {}
    exec(answer.text, names)
    assert names["initials"]("grace brewster hopper") == "GBH"


def test_tests_notice_mistakes_and_are_valid(runtime: smidgen.Runtime) -> None:
    answer = smidgen.Agent(runtime=runtime, pattern=TestWriter(function="discount", module="shop")).run(text("shop.py"))
    assert "from shop import discount" in answer.text
    assert [node.name for node in ast.parse(answer.text).body if isinstance(node, ast.FunctionDef)]


def test_docstrings_are_added_and_nothing_else_changes(runtime: smidgen.Runtime) -> None:
    answer = smidgen.Agent(runtime=runtime, pattern=DocWriter(function="discount")).run(text("shop.py"))
    added = [line for line in answer.text.splitlines() if line not in text("shop.py").splitlines()]
    assert any(line.strip().startswith("price:") for line in added)
    assert "        ValueError: if `pieces < 0`" in added


def test_a_gap_is_filled_with_valid_code(runtime: smidgen.Runtime) -> None:
    before, after = text("gap.py").split("    return\n", 1)
    before += "    return"
    answer = smidgen.Agent(runtime=runtime, pattern=Completer(line=5)).run(text("gap.py"))
    names: dict[str, Callable[[int], int]] = {}
    exec(f"{before}{answer.text}\n{after}", names)
    assert [names["days_in"](year) for year in (2023, 2024)] == [365, 366]


def test_an_error_is_explained_where_it_is(runtime: smidgen.Runtime) -> None:
    answer = smidgen.Agent(runtime=runtime, pattern=ErrorExplainer()).run(text("crash.log"))
    assert answer.text.startswith("KeyError: 'plum'\nWhere: /srv/shop/orders.py:12")
    assert "\nWhy: " in answer.text and "\nTry: " in answer.text


def test_one_of_your_own_keeps_its_check(runtime: smidgen.Runtime) -> None:
    agent = smidgen.Agent(runtime=runtime, pattern=load_pattern(EXAMPLES / "branch-name.toml"))
    words = agent.run(text("change.diff")).text.split("-")
    assert len(words) > 1 and any(word in text("change.diff").lower() for word in words)
