from __future__ import annotations

import pytest

from smidgen.supervise import reports


def report(pid: int) -> reports.CrashReport:
    return reports.CrashReport(
        time="2025-01-01T00:00:00Z",
        model="m",
        phase="serving",
        cause="killed by SIGSEGV",
        signal="SIGSEGV",
        status=-11,
        pid=pid,
        seconds=1.5,
        stack="",
        output="",
        requests=[{"kind": "generate"}],
    )


def test_what_was_written_is_read_back(tmp_path):
    path = reports.write(tmp_path / "new" / "folder", report(1))
    assert reports.read(path) == report(1)


def test_only_the_newest_are_kept_and_nothing_else_is_touched(tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    for pid in range(7):
        reports.write(tmp_path, report(pid), kept=3)
    kept = sorted(tmp_path.glob("crash-*.json"))
    assert [reports.read(path).pid for path in kept] == [4, 5, 6]
    assert (tmp_path / "mine.json").exists()
    assert not list(tmp_path.glob("*.part"))


def test_folder_that_cannot_be_made_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        reports.write(tmp_path / "file" / "folder", report(1))
