"""The model folder: names, contents, and what is left after trouble."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from smidgen.errors import InvalidRequest, UnknownModel
from smidgen.models.store import Record, Store, default_root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def add(store: Store, name: str, data: bytes) -> Record:
    file = store.partial(name, "test") / "data"
    file.write_bytes(data)
    record = Record(
        name=name,
        spec=name,
        file="x.gguf",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        source="test",
        license="",
        pulled_at="2026-01-01T00:00:00+00:00",
    )
    store.add(file, record)
    return record


def test_reading_an_absent_store_makes_no_folder(store: Store) -> None:
    assert store.records() == () and store.record("x") is None
    assert store.settings().default == "" and store.problems() == ()
    assert not store.root.exists()


def test_a_file_added_is_found_whole(store: Store) -> None:
    record = add(store, "one", b"GGUF1")
    assert store.record("one") == record and store.records() == (record,)
    assert store.is_whole(record) and store.blob(record.sha256).read_bytes() == b"GGUF1"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "x y", ".hidden", "x" * 129])
def test_a_name_that_could_leave_the_folder_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidRequest):
        add(store, name, b"GGUF")
    assert store.record(name) is None
    with pytest.raises(UnknownModel):
        store.remove(name)


def test_one_content_is_kept_once_and_goes_with_its_last_name(store: Store) -> None:
    first, second = add(store, "one", b"GGUF1"), add(store, "two", b"GGUF1")
    assert len(list((store.root / "blobs").iterdir())) == 1
    assert store.remove("one") == 0 and store.is_whole(second)
    assert store.remove("two") == first.bytes
    assert list((store.root / "blobs").iterdir()) == []


def test_removing_one_model_leaves_the_others(store: Store) -> None:
    add(store, "one", b"GGUF1")
    other = add(store, "two", b"GGUF2")
    store.remove("one")
    assert store.records() == (other,) and store.is_whole(other)
    with pytest.raises(UnknownModel):
        store.remove("one")


def test_new_content_under_a_name_replaces_the_old(store: Store) -> None:
    old, new = add(store, "one", b"GGUF1"), add(store, "one", b"GGUF22")
    assert store.records() == (new,)
    assert not store.blob(old.sha256).exists()


def test_a_file_of_another_size_is_noticed(store: Store) -> None:
    record = add(store, "one", b"GGUF1")
    store.blob(record.sha256).write_bytes(b"GGU")
    assert not store.is_whole(record)
    assert "another size" in store.problems()[0]


def test_unreadable_records_files_without_a_name_and_unfinished_ones_are_told(store: Store) -> None:
    record = add(store, "one", b"GGUF1")
    (store.root / "records" / "one.json").write_bytes(b"{ torn")
    (store.partial("x", "y") / "data").write_bytes(b"12345")
    assert store.record("one") is None and store.records() == ()
    told = " ".join(store.problems())
    assert "one.json" in told and record.sha256 in told and "unfinished" in told


def test_settings_are_kept_and_do_not_overwrite_each_other(store: Store) -> None:
    store.set_default("one")
    store.accept("Terms", "https://terms")
    again = Store(store.root)
    assert again.settings().default == "one"
    assert again.has_accepted("Terms", "https://terms") and not again.has_accepted("Terms", "https://newer")
    (store.root / "settings.json").write_bytes(b"torn")
    assert not again.has_accepted("Terms", "https://terms")


def test_a_lock_is_held_by_one_and_the_other_is_told_it_waits(store: Store) -> None:
    waited, order = threading.Event(), list[str]()

    def second() -> None:
        with store.locked("key", waited.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with store.locked("key"), store.locked("another"):
        thread.start()
        assert waited.wait(10)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_wait_ends_when_its_callback_raises(store: Store) -> None:
    class Enough(Exception):
        pass

    def give_up() -> None:
        raise Enough

    with store.locked("key"), pytest.raises(Enough), store.locked("key", give_up):
        raise AssertionError("the lock was given twice")


def test_a_remembered_hash_holds_until_the_file_changes(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF1")
    assert store.known_hash(file) == ""
    store.remember_hash(file, "aa")
    assert store.known_hash(file) == "aa"
    file.write_bytes(b"GGUF22")
    assert store.known_hash(file) == ""


def test_the_folder_is_the_users_choice_or_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMIDGEN_HOME", str(tmp_path))
    assert default_root() == tmp_path / "models"
    monkeypatch.delenv("SMIDGEN_HOME")
    assert default_root().name == "models" and "smidgen" in str(default_root())
