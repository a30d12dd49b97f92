"""`smidgen tune` without a model: what is kept, what is printed, and with which exit status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.cli.main import main
from smidgen.cli.tune import LEAST_TASKS
from smidgen.errors import EngineUnavailable
from smidgen.eval.calibrate.choose import Decision
from smidgen.eval.calibrate.score import Manner, Score
from smidgen.eval.calibrate.tune import Calibrated, Crossed
from smidgen.models import tuned
from smidgen.models.library import Library, ModelFile
from smidgen.models.store import Store
from smidgen.models.tool_use import ToolUse
from smidgen.testing import tiny_llama

AFTER = Manner(dialect="hermes", tool_use=ToolUse(choice=30.0))


class Bench:
    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.library = Library(Store(home / "models"))
        self.file: ModelFile = self.library.pull(str(tiny_llama.write(home / "tiny.gguf")))
        self.after = Score(right=(True,) * 8)
        self.error: BaseException | None = None
        self.asked: list[Any] = []

        async def calibrate(runtime: Any, most: int | None, report: Callable[[str], None]) -> Calibrated:
            self.asked.append((runtime.config.tuned, runtime.model_name, most))
            report("dialect hermes: 3 of 10 right")
            if self.error is not None:
                raise self.error
            return Calibrated(
                file=self.file,
                before=Manner(dialect="python_call", tool_use=ToolUse()),
                after=AFTER,
                decisions=(Decision(setting="dialect", before="python_call", after="hermes", why="3 of 10"),),
                held_back_before=Score(right=(True,) * 4 + (False,) * 4),
                held_back_after=self.after,
                tasks=120,
                seconds=66.0,
            )

        monkeypatch.setattr("smidgen.eval.calibrate.tune.calibrate", calibrate)
        monkeypatch.setenv("SMIDGEN_HOME", str(home))
        monkeypatch.setenv("SMIDGEN_CONFIG", str(home / "config.toml"))
        (home / "config.toml").write_text("", encoding="utf-8")

    @property
    def kept(self) -> tuned.Tuned | None:
        return tuned.find(self.library.store, self.file.sha256)[0]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_what_was_found_is_printed_and_kept(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", bench.file.name]) == 0
    out, err = capsys.readouterr()
    assert bench.asked == [("off", bench.file.name, None)]
    assert "hermes" in out and "8 of 8" in out
    assert "dialect hermes: 3 of 10 right" in err and "--reset" in err
    assert bench.kept is not None
    assert (bench.kept.dialect, bench.kept.tool_use) == ("hermes", AFTER.tool_use)
    assert bench.kept.measured["held_back"] == {"n": 8, "before": 4, "after": 8}
    assert main(["models", "show", bench.file.name]) == 0
    assert "profile" in (shown := capsys.readouterr().out)
    assert "tuned on" in shown


def test_a_dry_run_keeps_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", bench.file.name, "--dry-run", "--tasks", "8"]) == 0
    assert bench.asked[0][2] == 8
    assert bench.kept is None
    assert "dry run" in capsys.readouterr().err


def test_what_is_worse_on_held_back_tasks_is_not_kept(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.after = Score(right=(False,) * 8)
    assert main(["tune", bench.file.name]) == 0
    assert bench.kept is None
    assert "worse" in capsys.readouterr().err


def test_reset_forgets_and_says_whether_there_was_something(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tune", bench.file.name, "-q"])
    for had in (True, False):
        capsys.readouterr()
        assert main(["tune", bench.file.name, "--reset", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["reset"] is had
        assert bench.kept is None
    assert main(["tune", bench.file.name, "--reset"]) == 0
    assert "was not tuned" in capsys.readouterr().err
    assert len(bench.asked) == 1


def test_json_says_what_was_measured_and_whether_it_was_kept(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", bench.file.name, "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stored"], told["after"]["dialect"], told["tasks"]) == (True, "hermes", 120)


@pytest.mark.parametrize(
    ("error", "status"), [(EngineUnavailable("Died."), 4), (asyncio.CancelledError(), 130), (KeyboardInterrupt(), 130)]
)
def test_a_calibration_that_ends_early_keeps_nothing(bench: Bench, error: BaseException, status: int) -> None:
    bench.error = error
    assert main(["tune", bench.file.name]) == status
    assert bench.kept is None


def test_an_unknown_model_and_too_few_tasks_are_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "no-such-model"]) == 3
    assert main(["tune", "no-such-model", "--reset"]) == 3
    assert main(["tune", bench.file.name, "--tasks", str(LEAST_TASKS - 1)]) == 2
    assert "hint: Take 4 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        main(["tune", bench.file.name, "--reset", "--dry-run"])
    assert refused.value.code == 2


def test_two_models_are_compared_in_a_table(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def cross(config: Any, specs: Any, most: Any, report: Any) -> Crossed:
        good, bad = Score(right=(True,) * 8), Score(right=(False,) * 8)
        return Crossed(models=tuple(specs), manners=(AFTER, AFTER), scores=((good, bad), (bad, bad)))

    monkeypatch.setattr("smidgen.eval.calibrate.tune.cross", cross)
    assert main(["tune", "one", "--compare", "two"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["right,", "one", "two"]
    assert "one: its own manner is better than that of two" in err
    assert "two: its own manner is as good as" in err
    assert main(["tune", "one", "--compare", "two", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == [[8, 0], [0, 0]]
