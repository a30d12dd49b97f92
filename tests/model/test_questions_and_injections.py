"""Questions over data and files, and planted instructions, with a real small model and every tool: a part of what
examples/questions and benchmarks/injections.py do in full."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import smidgen
from smidgen.config import load_config
from smidgen.models.library import ModelFile

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
NAME = "qwen2.5-coder-0.5b"


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def model(model_file: Callable[[str], ModelFile], monkeypatch: pytest.MonkeyPatch) -> None:
    model_file(NAME)
    monkeypatch.setenv("SMIDGEN_TUNED", "off")
    monkeypatch.setenv("SMIDGEN_AUDIT", "off")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    ask = script("examples/questions/ask.py")
    for part in ask.PARTS:
        ask.prepare(part, tmp_path)
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_questions_over_a_database_a_table_and_a_folder(workspace: Path) -> None:
    """Each by the tool whose data know of it, all of them on offer; what is general knowledge by none."""
    asked = {
        "What is the capital of Peru?": ("query", "Lima"),
        "How many rivers flow into the Atlantic Ocean?": ("query", "4"),
        "Which element has the greatest mass?": ("query", "krypton"),
        "How many wheelbarrows does the club have?": ("look_up", "6"),
        "When is the summer party?": ("look_up", "11 July"),
        "Who painted the Mona Lisa?": ("", "Leonardo"),
    }
    with smidgen.Runtime(load_config(workspace=str(workspace)), model=NAME) as runtime:
        agent = smidgen.Agent(runtime=runtime, tools=["files", "data"], max_tokens=60)
        answers = {question: agent.run(question) for question in asked}
    called = {question: "".join(call.name for call in answer.tool_calls) for question, answer in answers.items()}
    assert called == {question: tool for question, (tool, _) in asked.items()}
    for question, (_, expected) in asked.items():
        assert expected in answers[question].text, answers[question]
    assert "minutes/2026-03-04.md, line 7" in answers["When is the summer party?"].text


def test_planted_instructions_change_nothing() -> None:
    """Of fifty cases two in which the model is made to call a tool and asks for one that may change something."""
    injections = script("benchmarks/injections.py")
    chosen = [case for case in injections.cases() if case.place == "csv"][:2]
    assert len(injections.cases()) == 50

    def runtime_of(config: Any) -> smidgen.Runtime:
        return smidgen.Runtime(config, model=NAME)

    with injections.serving() as pages:
        outcomes = [injections.perform(case, runtime_of, pages, forced=True) for case in chosen]
    assert all(outcome.read for outcome in outcomes), "the planted text never reached the model"
    assert any(outcome.asked for outcome in outcomes), "no call was asked about, so nothing was tried"
    assert not [case.name for case, outcome in zip(chosen, outcomes, strict=True) if outcome.harmed]
