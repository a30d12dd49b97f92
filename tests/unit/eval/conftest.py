"""A tiny suite in the publisher's layout, with a checker of our own that needs the list of models as theirs does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.agent import AgentModel
from smidgen.engine import Engine
from smidgen.eval.record import Record, RunKey
from smidgen.messages import Message, Prompt, Sampling, Segment, ToolSpec
from smidgen.models.tool_use import ToolUse

CHECKER = """
from bfcl_eval.constants.model_config import MODEL_CONFIG_MAPPING

def ast_checker(functions, calls, answers, language, category, model):
    assert language == "python" and not MODEL_CONFIG_MAPPING[model].underscore_to_dot
    if calls and "explode" in calls[0]:
        raise KeyError("explode")
    valid = calls == answers
    return {"valid": valid, "error": [] if valid else ["not the same"], "error_type": "" if valid else "plain"}
"""
FUNCTIONS = [
    {
        "name": "kitchen.boil",
        "description": "Boil something.",
        "parameters": {"type": "dict", "properties": {"minutes": {"type": "float"}}, "required": ["minutes"]},
    }
]


def write_lines(path: Path, lines: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def package(tmp_path: Path) -> Generator[Path]:
    """Its folder. Modules of the same name that a test imported are put aside meanwhile."""
    folder = tmp_path / "site" / "bfcl_eval"
    for inner in ("", "constants", "eval_checker", "eval_checker/ast_eval"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
        (folder / inner / "__init__.py").touch()
    (folder / "constants" / "model_config.py").write_text("import a_library_of_some_vendor\n")
    (folder / "constants" / "enums.py").write_text("class Language:\n    PYTHON = 'python'\n")
    (folder / "eval_checker" / "ast_eval" / "ast_checker.py").write_text(CHECKER)
    asked = [[{"role": "user", "content": "Boil it for four minutes."}]]
    items = [{"id": f"simple_python_{i}", "question": asked, "function": FUNCTIONS} for i in range(103)]
    write_lines(folder / "data" / "BFCL_v4_simple_python.json", items)
    truths = [{"id": item["id"], "ground_truth": [{"kitchen.boil": {"minutes": 4.0}}]} for item in items]
    write_lines(folder / "data" / "possible_answer" / "BFCL_v4_simple_python.json", truths)
    for category in ("irrelevance", "live_relevance"):
        lines = [{"id": f"{category}_0", "question": asked, "function": FUNCTIONS}]
        write_lines(folder / "data" / f"BFCL_v4_{category}.json", lines)
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "bfcl_eval"}
    try:
        yield folder
    finally:
        for name in list(sys.modules):
            if name.partition(".")[0] == "bfcl_eval":
                del sys.modules[name]
        sys.modules.update(aside)


class PlainProfile(msgspec.Struct, frozen=True, kw_only=True):
    family: str = "test"
    sampling: Sampling = Sampling(temperature=0.7)
    tool_sampling: Sampling = Sampling()
    dialect: str = "python_call"
    stop: tuple[str, ...] = ()
    tool_use: ToolUse = ToolUse()


class PlainTemplate:
    """`shows_tools`: whether it has a place for them."""

    def __init__(self, shows_tools: bool) -> None:
        self._shows_tools = shows_tools

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        add_generation_prompt: bool = True,
    ) -> Prompt:
        told = "".join(f"tool: {tool.name}\n" for tool in tools or ()) if self._shows_tools else ""
        return (Segment(told + "".join(f"{turn.role}: {turn.content}\n" for turn in messages) + "assistant: "),)


@pytest.fixture
def agent_model() -> Callable[..., AgentModel]:
    def make(engine: Engine, *, shows_tools: bool = True) -> AgentModel:
        return AgentModel(name="m", engine=engine, profile=PlainProfile(), template=PlainTemplate(shows_tools))

    return make


@pytest.fixture
def run_key() -> RunKey:
    return RunKey(
        suite="tiny",
        suite_version="1",
        data={"a": "0", "b": "0"},
        model="m",
        model_sha256="00",
        profile={"dialect": "python_call"},
        solver="smidgen",
        off=(),
        options={"seed": 0},
        version="0.1.0",
        program="00",
        libraries={},
        machine="a machine",
    )


@pytest.fixture
def record() -> Callable[..., Record]:
    def make(id: str, correct: bool, **fields: Any) -> Record:
        return Record(id=id, category=fields.pop("category", "a"), correct=correct, **fields)

    return make
