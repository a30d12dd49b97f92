"""A small suite of intents from its file to figures, with the real sentence embedder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from smidgen.config import Config
from smidgen.eval.evaluation import Evaluated, Wanted, evaluate
from smidgen.eval.record import Record
from smidgen.eval.suites import Given, suite
from smidgen.models.library import ModelFile
from smidgen.runtime.runtime import Runtime

EMBEDDER = "all-minilm-l6-v2"
SAID = {
    "hours": ("When do you open?", "what are your opening hours", "are you open on Sundays", "when do you close"),
    "status": ("Where is my parcel?", "track my order", "has it been shipped", "when will the package arrive"),
    "returns": ("I want my money back", "how do I return this", "can I get a refund", "it doesn't fit, take it back"),
}
DATA = {
    "train": [[text, intent] for intent, texts in SAID.items() for text in texts],
    "val": [
        ["until what time can I come by this evening?", "hours"],
        ["did you post the thing I bought?", "status"],
        ["I changed my mind and don't want to keep it", "returns"],
    ],
    "oos_val": [["Who wrote Hamlet?", "oos"], ["What is the square root of 81?", "oos"]],
}


@pytest.mark.parametrize("baseline", [False, True])
async def test_intents_are_measured_with_the_real_embedder(
    model_file: Callable[[str], ModelFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, baseline: bool
) -> None:
    file = model_file(EMBEDDER)
    monkeypatch.setattr("smidgen.eval.evaluation.FOLDER", str(tmp_path))  # not among the user's own results
    data = tmp_path / "intents.json"
    data.write_text(json.dumps(DATA), "utf-8")
    chosen = suite("clinc150", Given(data=data, shots=4))
    async with Runtime(Config(audit="off", tuned="off")) as runtime:
        evaluated = await evaluate(runtime, chosen, Wanted(categories=chosen.categories, baseline=baseline))
        assert [model.name for model in runtime.held()] == [EMBEDDER]
    assert right(evaluated, "in_scope") >= 2
    assert right(evaluated, "out_of_scope") == 2
    key = evaluated.runs[0].key
    assert key is not None
    assert (key.model, key.model_sha256) == (EMBEDDER, file.sha256)


def right(evaluated: Evaluated, category: str) -> int:
    records: list[Record] = evaluated.records[0][category]
    return sum(record.correct for record in records)
