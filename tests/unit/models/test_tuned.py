"""What was measured of a model file: kept, found again, and ignored where it can't be used."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from smidgen.models import tuned
from smidgen.models.profiles import PROFILES
from smidgen.models.store import Record, Store
from smidgen.models.tool_use import Gate, ToolUse
from smidgen.models.tuned import Tuned

SHA = "a" * 64
FOUND = Tuned(
    version=tuned.VERSION,
    smidgen="0.1.0",
    date="2026-11-26T01:02:03+00:00",
    model="m",
    sha256=SHA,
    dialect="hermes",
    tool_use=ToolUse(shortlist=3, order="nearest_last", choice=100.0, gate=Gate(similarity=20.5)),
    measured={"tasks": 120},
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def test_what_is_kept_is_found_and_applied_and_nothing_else_changes(store: Store) -> None:
    tuned.keep(store, FOUND)
    assert tuned.find(store, SHA) == (FOUND, ())
    row = PROFILES["qwen2.5-coder"]
    profile, notices = tuned.applied(row, store, SHA)
    assert (profile.dialect, profile.tool_use, notices) == ("hermes", FOUND.tool_use, ())
    assert msgspec.structs.replace(profile, dialect=row.dialect, tool_use=row.tool_use) == row
    assert tuned.told(FOUND) == "tuned on 2026-11-26: dialect hermes, choice 100, shortlist 3 nearest_last"


def test_a_model_that_was_never_tuned_has_its_family_s_profile(store: Store) -> None:
    assert tuned.applied(PROFILES["qwen3"], store, SHA) == (PROFILES["qwen3"], ())


WHOLE = msgspec.json.encode(FOUND)
OTHER_VERSION = msgspec.json.encode({**msgspec.to_builtins(FOUND), "version": 2, "dialect": "sung"})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "damaged"),
        (WHOLE[:-9], "damaged"),
        (b"[]", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (WHOLE.replace(b'"hermes"', b'"sung"'), "damaged"),
        (WHOLE.replace(b'"shortlist":3', b'"shortlist":0'), "damaged"),
        (WHOLE.replace(b"20.5", b"1e999"), "damaged"),
        (WHOLE.replace(b"a" * 64, b"b" * 64), "damaged"),
        (OTHER_VERSION, "another version"),
    ],
)
def test_a_profile_that_cannot_be_used_is_told_and_ignored(store: Store, content: bytes, why: str) -> None:
    store.write_profile(SHA, content)
    profile, notices = tuned.applied(PROFILES["qwen3"], store, SHA)
    assert profile == PROFILES["qwen3"]
    assert [notice.code for notice in notices] == ["profile_ignored"]
    assert why in notices[0].message


def test_a_folder_where_the_profile_should_be_is_told_too(store: Store) -> None:
    store.profile(SHA).mkdir(parents=True)
    assert [notice.code for notice in tuned.find(store, SHA)[1]] == ["profile_ignored"]


def test_the_profile_goes_with_the_model(store: Store) -> None:
    blob = store.blob(SHA)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"12345")
    fields = {"spec": "m", "file": "m.gguf", "sha256": SHA, "source": "", "license": "", "pulled_at": ""}
    for name in ("m", "n"):
        store.add_record(Record(name=name, bytes=5, **fields))
    tuned.keep(store, FOUND)
    size = store.profile(SHA).stat().st_size
    store.remove("n")
    assert store.profile(SHA).is_file()
    assert store.remove("m") == 5 + size
    assert not store.profile(SHA).exists()


def test_dropping_a_profile_says_whether_there_was_one(store: Store) -> None:
    assert store.drop_profile(SHA) == 0
    tuned.keep(store, FOUND)
    assert store.drop_profile(SHA) > 0
    assert store.drop_profile(SHA) == 0
