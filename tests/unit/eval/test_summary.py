"""Rows, tables and JSON from records."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from smidgen.eval import report
from smidgen.eval.ablation import worth
from smidgen.eval.intervals import wilson
from smidgen.eval.record import Record, RunKey
from smidgen.eval.summary import Run, failures, read_runs, row, rows
from smidgen.messages import ToolCall

Make = Callable[..., Record]


def test_a_row_counts_means_and_medians(record: Make) -> None:
    found = row(
        "a",
        [
            record("0", True, seconds=1.0, prompt_tokens=100, completion_tokens=10, tuning=True),
            record("1", True, seconds=9.0, prompt_tokens=200, completion_tokens=20),
            record("2", False, seconds=2.0, prompt_tokens=0, completion_tokens=0, error="invalid_request: no"),
        ],
    )
    assert (found.n, found.correct, found.errors, found.tuning) == (3, 2, 1, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    assert (found.low, found.high) == wilson(2, 3)
    assert (found.seconds, found.prompt_tokens, found.completion_tokens) == (2.0, 100.0, 10.0)


def test_several_categories_get_a_row_over_all_items(record: Make) -> None:
    by_category = {"a": [record("0", True)], "b": [record("1", False), record("2", False)], "c": []}
    assert [(entry.category, entry.n, entry.correct) for entry in rows(by_category)] == [
        ("a", 1, 1),
        ("b", 2, 0),
        ("all", 3, 1),
    ]
    assert [entry.category for entry in rows({"a": by_category["a"]})] == ["a"]
    assert [entry.id for entry in failures(by_category)] == ["1", "2"]


def test_the_table_is_aligned(record: Make) -> None:
    found = rows({"simple": [record("0", True, seconds=1.5)], "b": [record("1", False)]})
    lines = report.table(report.HEAD, [report.cells(entry) for entry in found]).splitlines()
    assert lines[0].split("  ")[0] == "category"
    assert lines[1].startswith("simple")
    assert "100.0%" in lines[1]
    assert "1.50" in lines[1]
    column = lines[0].index("accuracy") + len("accuracy")
    assert [line[:column].split()[-1] for line in lines[1:]] == ["100.0%", "0.0%", "50.0%"]


def test_readers_are_told_of_items_that_were_tuned_on(record: Make) -> None:
    tuned = rows({"a": [record("0", True, tuning=True)], "b": [record("1", True)]})
    assert report.tuning_note(tuned).startswith("1 of these 2 items")
    assert report.tuning_note(rows({"b": [record("1", True)]})) == ""


def test_a_failure_shows_request_expected_got_and_reason(record: Make) -> None:
    shown = report.failure(
        record(
            "a_7",
            False,
            request="Boil it.\nPlease.",
            expected=[{"boil": {"minutes": [4]}}],
            calls=(ToolCall(name="boil", arguments={"minutes": 5}),),
            reason="Invalid value",
        )
    )
    for said in ("a_7", "Boil it.", "Please.", '{"minutes": [4]}', 'boil({"minutes": 5})', "Invalid value"):
        assert said in shown
    assert "got       nothing" in report.failure(record("a_8", False))


def test_the_json_holds_results_but_neither_requests_nor_answers(record: Make, run_key: RunKey) -> None:
    records = [record("0", False, request="SECRET", expected="SECRET", reason="SECRET", notes={"text": "SECRET"})]
    run = Run(label="one", rows=rows({"a": records}), key=run_key)
    text = json.dumps(report.document([run], [], [records], "today"))
    assert "SECRET" not in text
    assert read_runs(text.encode()) == (run,)


def test_published_figures_can_be_shown_beside() -> None:
    (run,) = read_runs(b'{"runs": [{"label": "them", "rows": [{"category": "a", "accuracy": 0.9}]}]}')
    shown = report.cells(run.rows[0])
    assert shown[0] == "a"
    assert shown[3] == "90.0%"
    assert set(shown[1:3] + shown[4:]) == {""}
    with pytest.raises(msgspec.ValidationError):
        read_runs(b'{"runs": [{"rows": []}]}')


def test_a_step_is_worth_what_only_the_full_run_got_right(record: Make) -> None:
    full = {"a": [record(f"{i}", i < 8, seconds=1.0, completion_tokens=30, prompt_tokens=5) for i in range(10)]}
    without = {"a": [record(f"{i}", i in (0, 1, 2, 9), seconds=3.0, completion_tokens=10) for i in range(10)]}
    (found,) = worth("gate", full, without)
    assert (found.accuracy.gained, found.accuracy.lost, found.accuracy.n) == (5, 1, 10)
    assert (found.full, found.without) == (0.8, 0.4)
    assert (found.seconds, found.completion_tokens, found.prompt_tokens) == (-2.0, 20.0, 5.0)
    shown = report.ablation_cells(found)
    assert len(shown) == len(report.ABLATION_HEAD)
    assert shown[:6] == ("gate", "a", "10", "80.0%", "40.0%", "+40.0")
    assert shown[-2:] == ("+25", "-2.00")


def test_only_items_of_both_runs_are_compared(record: Make) -> None:
    full = {"a": [record("0", True), record("1", True)], "b": [record("2", True)]}
    found = worth("gate", full, {"a": [record("1", False)], "b": [record("2", True)]})
    assert [(entry.category, entry.accuracy.n) for entry in found] == [("a", 1), ("b", 1), ("all", 2)]
    assert worth("gate", full, {}) == []
