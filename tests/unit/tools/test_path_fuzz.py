"""Whatever a path looks like: no file tool raises, and nothing outside the workspace is read or changed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.tools import ToolOutcome, uses_of
from smidgen.tools.builtin.files import file_tools
from smidgen.tools.function import FunctionTool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs dir_fd")

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()), None
)
SECRET = "canary-7391"
PIECES = [
    "..", ".", "...", "~", "~root", "/", "//", "\\", "\\\\?\\", "C:", "c:/", "file://", "\0", "a" * 255, "a" * 256,
    "a" * 1100, "x/" * 63, "x/" * 70, "․․", "‥", "．．", "／", "∕", "⧸", "＼", "..;", "a.", "a ", " ", "\t", "\n", "\r",
    "\x1b[2K", "\x7f", "\x85", "\u2028", "\u202e", "\u200b", "\ufeff", "%2e%2e", "%2f", "%5c", "%00", "%252e",
    "\ud800", "\udc2f", "\udcff", "é", "e\u0301", "İ", "ß", "😀", "*", "?", "|", ":", "a:stream", "$HOME", "${PWD}",
    "..%c0%af", "`id`", "$(id)", "-rf", "CON", "nul.txt", "out", "up", "loop", "link.txt", "dangling", "docs",
    "secret.txt", "notes.txt", "outside", "pipe", "work", "proc/self/root", "dev/stdin",
]  # fmt: skip
PATHS = st.builds(
    lambda pieces, separators: "".join(itertools.chain(*zip(pieces, separators, strict=False))),
    st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6),
    st.lists(st.sampled_from(["/", "/", "\\", "", "//", "/./"]), min_size=6, max_size=6),
).map(lambda path: path.removesuffix("/"))


class Bench:
    """The tools of a workspace full of links that lead out of it, and the files beside it."""

    def __init__(self, base: Path, runner: asyncio.Runner) -> None:
        self.outside, self.root = base / "outside", base / "work"
        self._base, self._runner = base, runner
        self.outside.mkdir()
        (self.outside / "secret.txt").write_text(SECRET)
        (base / "secret.txt").write_text(SECRET)
        (self.root / "docs").mkdir(parents=True)
        (self.root / "docs" / "secret.txt").write_text("mine")
        (self.root / "notes.txt").write_text("mine")
        for name, target in (
            ("out", self.outside), ("up", ".."), ("loop", "loop"), ("link.txt", "../secret.txt"),
            ("dangling", "../made.txt"), ("docs/out", "../../outside"), ("docs/link.txt", self.outside / "secret.txt"),
        ):  # fmt: skip
            (self.root / name).symlink_to(target)
        os.mkfifo(self.root / "pipe")
        self.tools = {tool.spec.name: tool for tool in file_tools(self.root)}
        self._before = self._state()

    def _state(self) -> list[tuple[str, int, int, int]]:
        told: list[tuple[str, int, int, int]] = []
        for folder in (self._base, self.outside):
            for entry in os.scandir(folder):
                found = entry.stat(follow_symlinks=False)
                if entry.path not in (str(self.root), str(self.outside)):
                    told.append((entry.path, found.st_mtime_ns, found.st_size, found.st_mode))
        return sorted(told)

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        tool: FunctionTool = self.tools[name]
        preview = tool.preview(arguments)
        assert SECRET not in preview
        assert tool.effect == "read" or preview.replace("\n", "").isprintable()
        assert all(use.verb == tool.effect for use in uses_of(tool, arguments))
        outcome = self._runner.run(tool.call(arguments))
        assert SECRET not in outcome.text and SECRET not in str(outcome.value)
        assert outcome.ok or outcome.fault in ("arguments", "world")
        return outcome

    def try_all(self, path: str) -> None:
        self.call("list_files", {"folder": path})
        self.call("search_files", {"folder": path, "text": SECRET[:6]})
        before = self.call("read_file", {"path": path})
        written = self.call("write_file", {"path": path, "content": "one\ntwo\n"})
        edited = self.call("edit_file", {"path": path, "old": "one", "new": "three"})
        assert edited.ok == written.ok, (path, edited.text)
        if written.ok:
            assert self.call("read_file", {"path": path}).value == "three\ntwo\n"
            assert self.call("undo_write", {}).ok and self.call("undo_write", {}).ok
            after = self.call("read_file", {"path": path})
            assert (after.ok, after.value if after.ok else "") == (before.ok, before.value if before.ok else "")
        self.check()

    def check(self) -> None:
        assert self._state() == self._before
        for path in (self.outside / "secret.txt", self._base / "secret.txt"):
            assert path.read_text() == SECRET


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with asyncio.Runner() as runner:
        yield Bench(tmp_path, runner)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=PATHS)
def test_no_path_leads_out(bench: Bench, path: str) -> None:
    bench.try_all(path)


def test_no_single_piece_leads_out(bench: Bench) -> None:
    for piece in PIECES:
        for path in (piece, f"docs/{piece}", f"{piece}/secret.txt", f"../outside/{piece}", f"{bench.outside}/{piece}"):
            bench.call("read_file", {"path": path})
            bench.call("write_file", {"path": path, "content": "x"})
            bench.call("edit_file", {"path": path, "old": SECRET[:3], "new": "x"})
    bench.check()


@pytest.mark.skipif(SHARED is None or not (SHARED / "blns" / "blns.json").is_file(), reason="needs shared/data/blns")
def test_no_naughty_string_leads_out(bench: Bench) -> None:
    assert SHARED is not None
    for path in json.loads((SHARED / "blns" / "blns.json").read_bytes()):
        written = bench.call("write_file", {"path": path, "content": f"say {path}"})
        if written.ok:
            assert bench.call("edit_file", {"path": path, "old": f"say {path}", "new": "x"}).ok
            assert bench.call("undo_write", {}).ok and bench.call("undo_write", {}).ok
        else:
            bench.call("read_file", {"path": path})
        bench.call("list_files", {"folder": path})
    bench.check()


def test_a_folder_swapped_for_a_link_leads_nowhere(bench: Bench) -> None:
    """While the tools run, docs is exchanged with a link to the folder outside and back, again and again."""
    docs, real, stop = bench.root / "docs", bench.root / "real", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            docs.rename(real)
            try:
                docs.symlink_to(bench.outside)
                time.sleep(0.0002)
                docs.unlink()
            except OSError:  # a write made the missing folder itself
                pass
            while real.exists():
                try:
                    real.rename(docs)
                except OSError:
                    shutil.rmtree(docs, ignore_errors=True)
            time.sleep(0.0002)

    thread = threading.Thread(target=swap)
    thread.start()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("read_file", {"path": "docs/secret.txt"}),
        ("write_file", {"path": "docs/secret.txt", "content": "mine"}),
        ("edit_file", {"path": "docs/secret.txt", "old": "mine", "new": "still mine"}),
        ("undo_write", {}),
        ("list_files", {"folder": "docs"}),
        ("write_file", {"path": "docs/new.txt", "content": "mine"}),
        ("undo_write", {}),
        ("search_files", {"text": SECRET[:6]}),
    ]
    succeeded: set[str] = set()
    try:
        end = time.monotonic() + 2
        for name, arguments in itertools.cycle(calls):
            if time.monotonic() > end:
                break
            if bench.call(name, arguments).ok:
                succeeded.add(name)
    finally:
        stop.set()
        thread.join()
    assert succeeded == set(bench.tools)
    bench.check()
