"""Where answers are kept: bounds, other processes, damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from smidgen.patterns.cached.store import Kept, Store, summary_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def kept(name: str, made: float = 1000.0, group: str = "g", embedder: str = "") -> Kept:
    return Kept(
        key=name.encode(),
        group=group.encode(),
        request=name,
        answer=f"answer to {name}".encode(),
        made=made,
        embedder=embedder,
        vector=b"\0" * 4,
    )


@pytest.fixture(params=["memory", "file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "folder" / "answers.sqlite"


def test_an_answer_is_kept_until_its_time_is_over(path: Path | None):
    clock = Clock()
    store = Store(path, ttl_s=60, size=10, clock=clock)
    store.put(kept("a"))
    clock.now = 1059
    assert store.get(b"a") == kept("a")
    clock.now = 1060
    assert store.get(b"a") is None
    store.put(kept("b", made=1060))
    assert store.summary().answers == 1  # what is over was deleted


def test_a_shorter_time_of_another_reader_counts_too(tmp_path: Path):
    clock = Clock()
    Store(tmp_path / "a", ttl_s=0, size=10, clock=clock).put(kept("a"))
    clock.now = 1e9
    assert Store(tmp_path / "a", ttl_s=0, size=10, clock=clock).get(b"a") is not None
    assert Store(tmp_path / "a", ttl_s=60, size=10, clock=clock).get(b"a") is None


def test_an_answer_from_the_future_is_not_believed(path: Path | None):
    clock = Clock()
    store = Store(path, ttl_s=60, size=10, clock=clock)
    store.put(kept("a", made=2000))
    assert store.get(b"a") is None


def test_the_least_recently_used_goes_first(path: Path | None):
    store = Store(path, ttl_s=0, size=2, clock=Clock())
    store.put(kept("a"))
    store.put(kept("b"))
    store.count("exact", b"a")
    store.put(kept("c"))
    assert [store.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


def test_only_the_same_group_and_embedder_are_near(path: Path | None):
    store = Store(path, ttl_s=0, size=9, clock=Clock())
    store.put(kept("a", embedder="e"))
    store.put(kept("b", embedder="e", group="h"))
    store.put(kept("c", embedder="f"))
    store.put(kept("d"))
    assert [one.key for one in store.near(b"g", "e")] == [b"a"]


def test_what_became_of_requests_is_counted_and_lasts(tmp_path: Path):
    path = tmp_path / "a"
    store = Store(path, ttl_s=0, size=9)
    for outcome in ("missed", "exact", "exact", "by meaning", "passed by"):
        store.count(outcome)
    store.put(kept("a"))
    store.clear()
    store.close()
    told = summary_of(path)
    assert (told.answers, told.hits, told.asked) == (0, 3, 5)
    assert store.summary() == told
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"not a database at all" * 50, None])
def test_a_damaged_file_is_set_aside_and_told_once(tmp_path: Path, damage: bytes | None):
    path = tmp_path / "answers.sqlite"
    store = Store(path, ttl_s=0, size=9)
    store.put(kept("a"))
    store.close()
    content = path.read_bytes()
    path.write_bytes(damage or content[:5000] + b"\xff" * (len(content) - 5000))
    assert store.get(b"a") is None
    (told,) = store.problems()
    assert "answers.sqlite.corrupt-1" in told
    assert store.problems() == ()
    assert (tmp_path / "answers.sqlite.corrupt-1").exists()
    store.put(kept("b"))
    assert store.get(b"b") is not None


def test_a_file_that_was_deleted_is_begun_anew(tmp_path: Path):
    path = tmp_path / "answers.sqlite"
    store = Store(path, ttl_s=0, size=9)
    store.put(kept("a"))
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    assert store.get(b"a") is None
    store.put(kept("b"))
    assert store.get(b"b") is not None
    assert summary_of(path).answers in (0, 1)  # what is in the log only isn't in the file yet


def test_a_file_of_another_version_is_left_alone(tmp_path: Path):
    path = tmp_path / "answers.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    store = Store(path, ttl_s=0, size=9)
    store.put(kept("a"))
    assert store.get(b"a") is None
    assert "another version" in store.problems()[0]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    assert len(before) == path.stat().st_size


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    store = Store(tmp_path / "file" / "answers.sqlite", ttl_s=0, size=9)
    store.put(kept("a"))
    assert store.get(b"a") is None
    assert len(store.problems()) == 1


WRITER = """
import sys
from pathlib import Path
from smidgen.patterns.cached.store import Kept, Store
store = Store(Path(sys.argv[1]), ttl_s=0, size=10_000)
for number in range(int(sys.argv[3])):
    name = f"{sys.argv[2]} {number}"
    store.put(Kept(key=name.encode(), group=b"", request=name, answer=name.encode() * 100, made=1.0))
    print(number, flush=True)
"""


def test_what_was_kept_survives_a_kill_at_any_moment(tmp_path: Path):
    path = tmp_path / "answers.sqlite"
    told = 0
    for round_ in range(3):
        command = [sys.executable, "-c", WRITER, str(path), f"round{round_}", "100000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                told = int(line)
                if told == 20 + 7 * round_:
                    break
            os.kill(writer.pid, signal.SIGKILL)
        store = Store(path, ttl_s=0, size=10_000)
        for number in range(told + 1):
            assert store.get(f"round{round_} {number}".encode()) is not None
        assert store.problems() == ()
        store.close()


def test_several_processes_share_a_file(tmp_path: Path):
    path = tmp_path / "answers.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, "40"], stdout=subprocess.DEVNULL)
        for name in ("x", "y")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    store = Store(path, ttl_s=0, size=10_000)
    assert store.summary().answers == 80
    assert store.get(b"x 39") is not None
    assert store.get(b"y 0") is not None
