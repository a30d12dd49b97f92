"""`smidgen eval` on a file of items, over scripted models: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smidgen.eval.suites import NAMES
from smidgen.testing import ScriptedEngine, ScriptedModels

EMBEDDER = "all-minilm-l6-v2"
PROBLEMS = [{"question": f"{number} + 1?", "answer": f"#### {number + 1}"} for number in range(4)]
CLINC = {
    "train": [["will it rain", "weather"], ["rain or snow", "weather"], ["wake me", "alarm"], ["wake me up", "alarm"]],
    "val": [["more rain", "weather"]],
    "oos_val": [["zebras", "oos"]],
}


@pytest.fixture
def asked(script: Any, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """ready: what was made ready. engine: the last model, which always says 2; the embedder hashes words."""
    seen = SimpleNamespace(ready=[], engine=None)

    async def ready(runtime: Any, arguments: Any, spec: str | None = None) -> None:
        seen.ready.append(spec or runtime.model_name)

    def load(config: Any) -> ScriptedModels:
        seen.engine = ScriptedEngine(lambda _: r"\boxed{2}", name="tiny")
        return ScriptedModels({"tiny": seen.engine, EMBEDDER: ScriptedEngine(name=EMBEDDER)}, embedder=EMBEDDER)

    monkeypatch.setattr("smidgen.runtime.loading.Loader", load)
    monkeypatch.setattr("smidgen.cli.preparing.make_ready", ready)
    return seen


@pytest.fixture
def problems(tmp_path: Path) -> str:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(problem) + "\n" for problem in PROBLEMS), "utf-8")
    return str(path)


def test_a_table_json_and_a_page(
    asked: SimpleNamespace, smidgen: Callable[..., SimpleNamespace], problems: str, tmp_path: Path
) -> None:
    written = ["--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html")]
    done = smidgen("eval", "gsm8k", "--data", problems, "--baseline", "--limit", "2", "--failures", *written)
    assert done.status == 0, done.err
    assert "tiny, baseline" in done.out
    assert "--- gsm8k_0\n" in done.out
    assert "got       2\nreason    2 is not 1\n" in done.out
    [row] = [line.split() for line in done.out.splitlines() if line.startswith("gsm8k ")]
    assert row[:4] == ["gsm8k", "2", "1", "50.0%"]
    assert "2 of these 2 items are for tuning" in done.err
    told = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [item["correct"] for item in told["runs"][0]["items"]] == [False, True]
    assert told["runs"][0]["key"]["suite"] == "gsm8k"
    assert "1 + 1?" not in json.dumps(told)
    assert "gsm8k" in (tmp_path / "out.html").read_text("utf-8")
    assert asked.ready == ["tiny"]


def test_results_are_compared_and_gone_on_with(
    asked: SimpleNamespace, smidgen: Callable[..., SimpleNamespace], problems: str, tmp_path: Path
) -> None:
    out = str(tmp_path / "out.json")
    smidgen("eval", "gsm8k", "--data", problems, "--baseline", "--limit", "2", "--json", out)
    done = smidgen("eval", "gsm8k", "--data", problems, "--baseline", "--skip", "1", "--compare", out)
    assert done.status == 0, done.err
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("gsm8k ")] == ["3", "2"]
    assert len(asked.engine.requests) == 2


def test_suites_of_intents_measure_the_embedder(
    asked: SimpleNamespace, smidgen: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    path = tmp_path / "clinc.json"
    path.write_text(json.dumps(CLINC), "utf-8")
    done = smidgen(
        "eval", "clinc150", "--data", str(path), "--shots", "2", "--model", "tiny", "--categories", "in_scope"
    )
    assert done.status == 0, done.err
    assert f"{EMBEDDER}, smidgen" in done.out
    assert "in_scope" in done.out
    assert "out_of_scope" not in done.out
    assert "tiny is not asked" in done.err
    assert asked.ready == [EMBEDDER]
    assert not asked.engine.requests


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["gsm8k"], "Let --data name"),
        (["gsm8k", "--data", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["everyday", "--data", "nowhere.jsonl"], "takes no --data"),
        (["gsm8k", "--shots", "3"], "takes no --shots"),
        (["gsm8"], "There is no suite 'gsm8'"),
    ],
)
def test_what_is_missing_or_of_no_use_is_told(
    given: list[str], told: str, script: Any, smidgen: Callable[..., SimpleNamespace]
) -> None:
    done = smidgen("eval", *given)
    assert done.status != 0
    assert told in done.err


def test_help_tells_of_every_suite(smidgen: Callable[..., SimpleNamespace]) -> None:
    shown = smidgen("eval", "--help").out
    assert all(name in shown for name in NAMES)
