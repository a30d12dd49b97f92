"""`smidgen audit`: what tools did."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.tools.permissions.audit import Audit, Entry

Run = Callable[..., Any]


@pytest.fixture
def log(script: Any, tmp_path: Path) -> Audit:
    return Audit(tmp_path / "home" / "audit.sqlite")


def entry(tool: str = "write_file", **fields: Any) -> Entry:
    known = {"at": time.time(), "arguments": '{"path": "a.txt"}', "uses": "write a.txt", "decision": "approved"}
    return Entry(tool=tool, **(known | {"by": "default", "reason": "it changes something"} | fields))


def test_without_a_log_nothing_is_shown_or_made(smidgen: Run, log: Audit) -> None:
    done = smidgen("audit")
    assert (done.status, done.out, done.err) == (0, "", "No tool was called yet.\n")
    assert smidgen("audit", "--tool", "fetch").err == "fetch was not called yet.\n"
    assert json.loads(smidgen("audit", "--json").out) == []
    assert not log.path.parent.exists()


def test_calls_are_shown_newest_last(smidgen: Run, log: Audit) -> None:
    number = log.begin(entry())
    log.end(number, ok=True, fault="", seconds=0.5, tier="", result="Wrote a.txt.")
    number = log.begin(entry("fetch", arguments='{"url": "x"}', decision="allowed"))
    log.end(number, ok=False, fault="world", seconds=0.5, tier="", result="No such page.")
    log.begin(entry(decision="refused"))
    done = smidgen("audit")
    header, *lines = [line.split() for line in done.out.splitlines() if line.strip()]
    assert header == ["when", "tool", "decision", "result", "arguments"]
    rows = [line for line in lines if line[0][0].isdigit()]
    assert [row[2:5] for row in rows] == [
        ["write_file", "approved", "ok"],
        ["fetch", "allowed", "failed"],
        ["write_file", "refused", "-"],
    ]
    assert "failed (world)" in done.out and done.err == ""


def test_the_number_of_calls_and_the_tool_can_be_chosen(smidgen: Run, log: Audit) -> None:
    for number in range(25):
        log.begin(entry(f"tool_{number % 2}", reason=str(number)))

    def reasons(*options: str) -> list[str]:
        return [one["reason"] for one in json.loads(smidgen("audit", "--json", *options).out)]

    assert reasons() == [str(number) for number in range(5, 25)]
    assert reasons("--last", "2") == ["23", "24"]
    assert len(reasons("--last", "0")) == len(reasons("--last", str(10**30))) == 25
    assert reasons("--last", "2", "--tool", "tool_1") == ["21", "23"]


def test_nothing_in_a_call_can_hide_or_fill_the_screen(smidgen: Run, log: Audit) -> None:
    log.begin(entry("t\x1b[2J", arguments="x\x1b[31m\u202e" + "y" * 200))
    out = smidgen("audit").out
    assert "\x1b" not in out and "\u202e" not in out and "\\x1b[31m\\u202e" in out
    assert max(map(len, out.splitlines())) < 160


def test_a_log_that_is_switched_off_is_said(smidgen: Run, log: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_AUDIT", "off")
    assert smidgen("audit").err == 'Nothing is logged: the configuration says audit = "off".\n'


def test_a_damaged_log_is_said_without_a_traceback(smidgen: Run, log: Audit) -> None:
    log.path.parent.mkdir()
    log.path.write_text("no database" * 100, encoding="utf-8")
    done = smidgen("audit")
    assert done.status == 70 and "audit.sqlite can't be used: file is not a database" in done.err
    assert "Traceback" not in done.err


def test_a_wrong_number_is_a_usage_error(smidgen: Run, log: Audit) -> None:
    assert smidgen("audit", "--last", "-1").status == smidgen("audit", "--last", "x").status == 2
