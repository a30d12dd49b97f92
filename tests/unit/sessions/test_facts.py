"""Facts come back as they were kept, hold until later ones replace them, and are gone when forgotten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import SessionsUnavailable
from smidgen.sessions import facts as facts_module
from smidgen.sessions.facts import Fact, FactStore, current


def fact(source: str, subject: str = "", text: str = "It is so.", **changes: Any) -> Fact:
    fields = {"conversation": "c", "place": 0, "turn": 1, "said": text, "created": "2026-01-01T00:00:00+00:00"}
    return Fact(**{**fields, "source": source, "subject": subject, "text": text, **changes})


def test_what_was_kept_is_there_for_the_next_program_and_only_once(tmp_path: Path):
    path = tmp_path / "deep" / "facts.sqlite"
    store = FactStore(path)
    assert store.keep([fact("1", "dog name", "Your dog is called Rex."), fact("2", text="You swim.")]) == 2
    store.close()
    assert path.stat().st_mode & 0o077 == 0
    again = FactStore(path)
    assert again.keep([fact("1", "dog name", "Your dog is called Rex.")]) == 0
    assert [one.text for one in again.facts("")] == ["Your dog is called Rex.", "You swim."]
    again.close()


def test_users_and_conversations_are_apart():
    store = FactStore()
    store.keep([fact("1", owner="ann"), fact("1", owner="bob"), fact("1"), fact("2", conversation="d")])
    assert [one.owner for one in store.facts("ann")] == ["ann"]
    assert [one.source for one in store.facts("", "d")] == ["2"]


def test_the_latest_of_a_subject_holds_and_stands_where_it_was_said():
    said = [fact("1", "code", "4471"), fact("2", "name", "Ann"), fact("3", "code", "5512"), fact("4", "", "a")]
    assert [one.text for one in current([*said, fact("5", "", "a"), fact("6", "", "b")])] == ["Ann", "5512", "a", "b"]


def test_what_is_forgotten_leaves_no_words_and_does_not_come_back(tmp_path: Path):
    path = tmp_path / "facts.sqlite"
    store = FactStore(path)
    store.keep([fact("1", text="swordfish"), fact("2", text="stays")])
    secret = store.facts("")[0]
    store.keep_vectors("e", {secret.number: (1.0, 0.0)})
    assert store.forget([secret]) == 1
    assert store.keep([fact("1", text="swordfish")]) == 0
    assert [one.text for one in store.facts("")] == ["stays"]
    assert store.vectors("e", "") == {}
    store.keep_vectors("e", {secret.number: (1.0, 0.0)})
    assert store.vectors("e", "") == {}
    for file in tmp_path.iterdir():
        assert b"swordfish" not in file.read_bytes()
    store.close()
    with closing(sqlite3.connect(path)) as file:
        rows = [row for table in ("facts", "vectors", "forgotten") for row in file.execute(f"SELECT * FROM {table}")]
    assert "swordfish" not in str(rows)


def test_vectors_are_kept_for_each_embedder():
    store = FactStore()
    store.keep([fact("1", owner="ann")])
    number = store.facts("ann")[0].number
    store.keep_vectors("e", {number: (0.5, -0.25)})
    assert store.vectors("e", "ann", "c") == {number: (0.5, -0.25)}
    assert store.vectors("other", "ann") == store.vectors("e", "bob") == {}


def test_facts_of_nobody_do_not_pile_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(facts_module, "MOST_NAMELESS", 3)
    store = FactStore()
    store.keep([fact("named", owner="ann"), *(fact(str(number)) for number in range(5))])
    store.keep([fact("last")])
    assert [one.source for one in store.facts("")] == ["3", "4", "last"]
    assert len(store.facts("ann")) == 1


def test_a_file_of_something_else_is_left_alone(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("no database, but long enough to be looked at " * 30)
    with pytest.raises(SessionsUnavailable, match=r"notes\.txt"):
        FactStore(path).facts("")
    other = tmp_path / "sessions.sqlite"
    with closing(sqlite3.connect(other)) as file:
        file.execute("PRAGMA user_version = 1")
    with pytest.raises(SessionsUnavailable, match="version 1"):
        FactStore(other).facts("")
    with closing(sqlite3.connect(other)) as file:
        assert file.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
