"""What results are kept under, and that a stopped run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from smidgen.eval.record import Record, ResultFile, RunKey, program_hash
from smidgen.messages import ToolCall

Make = Callable[..., Record]


@pytest.mark.parametrize(
    "change",
    [
        {"suite_version": "2"},
        {"data": {"a": "1", "b": "0"}},
        {"model_sha256": "01"},
        {"profile": {"dialect": "fenced_json"}},
        {"solver": "baseline"},
        {"off": ("gate",)},
        {"options": {"seed": 1}},
        {"version": "0.1.1"},
        {"program": "01"},
        {"libraries": {"llguidance": "2"}},
        {"machine": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_a_result_changes_its_file(run_key: RunKey, change: dict[str, Any]) -> None:
    other = msgspec.structs.replace(run_key, **change)
    assert run_key.path(Path(), "a") != other.path(Path(), "a")


def test_another_categorys_data_or_a_further_category_changes_nothing(run_key: RunKey) -> None:
    for data in ({"a": "0", "b": "1"}, {"a": "0"}, {"a": "0", "b": "0", "c": "0"}):
        other = msgspec.structs.replace(run_key, data=data)
        assert run_key.digest("a") == other.digest("a")


def test_categories_have_files_of_their_own_even_with_equal_data(run_key: RunKey) -> None:
    assert run_key.path(Path(), "a") != run_key.path(Path(), "b")


def test_records_come_back_as_they_were(run_key: RunKey, record: Make, tmp_path: Path) -> None:
    wrote = record(
        "a_0",
        False,
        reason="wrong\nvalue",
        calls=(ToolCall(name="größe", arguments={"x": [1, 2.5, None]}),),
        expected=[{"f": {"x": [1]}}],
        notes={"text": "…"},
    )
    with ResultFile(tmp_path, run_key, "a") as file:
        file.append(wrote)
    with ResultFile(tmp_path, run_key, "a") as file:
        assert file.records == {"a_0": wrote}


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_that_was_cut_off_is_forgotten_and_written_again(
    run_key: RunKey, record: Make, tmp_path: Path, cut: int
) -> None:
    with ResultFile(tmp_path, run_key, "a") as file:
        file.append(record("a_0", True))
        file.append(record("a_1", True))
        path = file.path
    path.write_bytes(path.read_bytes()[:-cut])
    with ResultFile(tmp_path, run_key, "a") as file:
        assert set(file.records) == {"a_0"}
        file.append(record("a_1", False))
    with ResultFile(tmp_path, run_key, "a") as file:
        assert [entry.correct for entry in file.records.values()] == [True, False]


def test_a_file_cut_within_its_head_begins_again(run_key: RunKey, record: Make, tmp_path: Path) -> None:
    with ResultFile(tmp_path, run_key, "a") as file:
        path = file.path
    path.write_bytes(path.read_bytes()[:10])
    with ResultFile(tmp_path, run_key, "a") as file:
        file.append(record("a_0", True))
    lines = path.read_bytes().splitlines()
    assert len(lines) == 2
    assert msgspec.convert(msgspec.json.decode(lines[0])["key"], RunKey) == run_key


def test_fresh_forgets(run_key: RunKey, record: Make, tmp_path: Path) -> None:
    with ResultFile(tmp_path, run_key, "a") as file:
        file.append(record("a_0", True))
    with ResultFile(tmp_path, run_key, "a", fresh=True) as file:
        assert file.records == {}


def test_the_program_is_all_of_its_source_but_for_what_no_result_depends_on(tmp_path: Path) -> None:
    def written(**files: str) -> str:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return program_hash(tmp_path)

    first = written(agent__plan="a", cli__main="a", config="a")
    assert written(cli__main="b") == first
    assert written(agent__plan="b") != first
    assert written(agent__plan="a") == first
    assert written(config="b") != first
