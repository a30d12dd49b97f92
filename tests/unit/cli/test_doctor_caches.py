"""What `smidgen doctor` says of answers that are kept in files."""

from __future__ import annotations

from pathlib import Path

from smidgen.cli.doctor import answers_kept
from smidgen.config import AgentConfig, Config
from smidgen.patterns.cached.store import Kept, Store


def filled(path: Path, answers: int, *outcomes: str) -> None:
    store = Store(path, ttl_s=0, size=100)
    for number in range(answers):
        store.put(Kept(key=bytes([number]), group=b"", request="", answer=b"x", made=1.0))
    for outcome in outcomes:
        store.count(outcome)
    store.close()


def test_without_any_it_says_where_they_would_be(tmp_path: Path) -> None:
    check = answers_kept(Config(home=str(tmp_path)))
    assert (check.status, check.detail) == ("ok", f"none in {tmp_path / 'caches'}")


def test_files_of_the_data_folder_and_of_agents_are_told_with_their_hits(tmp_path: Path) -> None:
    filled(tmp_path / "home" / "caches" / "mine.sqlite", 2, "missed", "exact", "by meaning", "passed by")
    filled(tmp_path / "agents" / "deep.sqlite", 1)
    pattern = tmp_path / "agents" / "p.toml"
    pattern.write_text(
        'kind = "fallback"\n[[ways]]\n[ways.pattern]\nkind = "cached"\nstore = "deep.sqlite"\n[[ways]]\n'
        '[ways.pattern]\nkind = "cached"\nstore = "never-used.sqlite"\n'
    )
    agents = {"a": AgentConfig(pattern=str(pattern)), "b": AgentConfig(pattern=str(tmp_path / "gone.toml"))}
    check = answers_kept(Config(home=str(tmp_path / "home"), agents=agents))
    assert check.status == "ok"
    assert "mine.sqlite: 2 answers" in check.detail and "2 of 4 requests (50%)" in check.detail
    assert "deep.sqlite: 1 answers" in check.detail
    assert "never-used" not in check.detail


def test_a_damaged_file_is_a_note_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "caches" / "bad.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    check = answers_kept(Config(home=str(tmp_path)))
    assert check.status == "note"
    assert str(path) in check.hint
    assert path.read_bytes() == b"no database" * 1000
