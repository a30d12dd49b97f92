"""File tools stay in their folder, whatever is tried, and never lose what was there."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidRequest, ToolFailed, UnknownTool
from smidgen.tools import Tool, ToolOutcome
from smidgen.tools.builtin import NAMES, builtin_tools
from smidgen.tools.builtin.confined import Workspace, components
from smidgen.tools.builtin.files import MAX_READ, MAX_WRITE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs dir_fd")

Files = dict[str, Tool]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("SECRET")
    folder = tmp_path / "work"
    (folder / "docs").mkdir(parents=True)
    (folder / "notes.txt").write_text("one\ntwo milk\nthree\n")
    (folder / "docs" / "plan.md").write_text("Milk first.\n")
    return folder


@pytest.fixture
def files(root: Path) -> Files:
    return {tool.spec.name: tool for tool in builtin_tools(root)}


async def use(files: Files, name: str, **arguments: Any) -> ToolOutcome:
    return await files[name].call(arguments)


async def test_list_read_search(files: Files) -> None:
    assert (await use(files, "list_files")).value == ["docs/", "notes.txt"]
    assert (await use(files, "list_files", folder="docs")).value == ["plan.md"]
    assert (await use(files, "read_file", path="docs\\plan.md")).value == "Milk first.\n"
    assert (await use(files, "read_file", path="notes.txt", first_line=2, last_line=2)).value == "two milk\n"
    found = await use(files, "search_files", text="milk")
    assert [(match["path"], match["line"]) for match in found.value] == [("notes.txt", 2), ("docs/plan.md", 1)]


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "docs/../../secret.txt", "/etc/passwd", "~/x", "C:\\x", "..\\secret.txt", "a\0b", "x" * 5000,
     "\udc80", "/".join("a" * 100)],
)  # fmt: skip
async def test_paths_out_of_the_folder_are_refused(files: Files, path: str) -> None:
    for name, more in (("read_file", {}), ("write_file", {"content": "x"})):
        outcome = await use(files, name, path=path, **more)
        assert not outcome.ok and "SECRET" not in outcome.text


async def test_links_are_not_followed(files: Files, root: Path) -> None:
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    (root / "out").symlink_to(root.parent)
    for path in ("link.txt", "out/secret.txt"):
        outcome = await use(files, "read_file", path=path)
        assert not outcome.ok and "SECRET" not in outcome.text
        assert not (await use(files, "write_file", path=path, content="x")).ok
    assert not (await use(files, "list_files", folder="out")).ok
    assert (await use(files, "search_files", text="secret")).value == []
    assert (root.parent / "secret.txt").read_text() == "SECRET"


def test_a_link_swapped_in_at_any_moment_leads_nowhere(root: Path) -> None:
    """A folder is exchanged with a link to the outside, again and again, while files in it are read and written."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "plan.md").write_text("SECRET")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "docs").rename(root / "real")
            try:
                (root / "docs").symlink_to(outside)
                (root / "docs").unlink()
            except OSError:  # a write made the missing folder itself
                pass
            if (root / "docs").is_dir():
                shutil.rmtree(root / "docs", ignore_errors=True)
            try:
                (root / "real").rename(root / "docs")
            except OSError:
                shutil.rmtree(root / "docs", ignore_errors=True)
                (root / "real").rename(root / "docs")

    thread = threading.Thread(target=swap)
    thread.start()
    workspace = Workspace(root)
    read = 0
    try:
        end = time.monotonic() + 30
        for turn in itertools.count():
            if time.monotonic() > end or (turn >= 1500 and read >= 20):
                break
            try:
                with workspace.file("docs/plan.md") as handle:
                    assert os.read(handle, 100) != b"SECRET"
                    read += 1
                if turn % 50 == 0:
                    (root / "docs").stat()
                    workspace.write("docs/plan.md", b"new")
            except (ToolFailed, OSError):
                pass
    finally:
        stop.set()
        thread.join()
    assert read > 0
    assert (outside / "plan.md").read_text() == "SECRET"
    assert sorted(path.name for path in outside.iterdir()) == ["plan.md"]


async def test_special_files_neither_block_nor_open(files: Files, root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert "not a regular file" in (await use(files, "read_file", path="pipe")).text
    assert "not a regular file" in (await use(files, "write_file", path="pipe", content="x")).text
    assert "folder" in (await use(files, "read_file", path="docs")).text
    assert (await use(files, "search_files", text="milk")).ok


async def test_a_search_looks_into_the_whole_of_a_large_file(files: Files, root: Path) -> None:
    (root / "log.txt").write_text("line\n" * 400_000 + "the needle\n" + "x" * 200_000 + "far off a needle" + "y" * 500)
    found = await use(files, "search_files", text="needle")
    assert [(match["path"], match["line"]) for match in found.value] == [("log.txt", 400_001), ("log.txt", 400_002)]
    assert "far off a needle" in found.value[1]["text"] and found.value[1]["text"].endswith("…")


@pytest.mark.parametrize("before", range(64 * 1024 - 12, 64 * 1024 + 2))
async def test_a_text_across_two_pieces_of_a_line_is_found_once(files: Files, root: Path, before: int) -> None:
    (root / "line.txt").write_text("x" * before + "wörd ünd" + "x" * 100)
    assert len((await use(files, "search_files", text="wörd ünd")).value) == 1


async def test_whatever_a_search_leaves_out_is_told(files: Files, root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("milk")
    (root / "/".join("d" * 13)).mkdir(parents=True)
    (root / "image.bin").write_bytes(b"milk\0")
    (root / "link").symlink_to(root / "notes.txt")
    found = await use(files, "search_files", text="milk")
    assert len(found.value) == 2
    for told in ("hidden folders", ".git", "12 deep", "/".join("d" * 13), "image.bin", "link"):
        assert told in found.text
    assert len((await use(files, "search_files", text="milk", folder=".git")).value) == 1
    assert "that was searched" in (await use(files, "search_files", text="nowhere")).text


async def test_a_search_that_stops_early_says_where(files: Files, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "many.txt").write_text("milk\n" * 60)
    found = await use(files, "search_files", text="milk")
    assert len(found.value) == 50 and "stopped after 50 matches" in found.text
    monkeypatch.setattr("smidgen.tools.builtin.search.MAX_SCANNED", 100)
    found = await use(files, "search_files", text="milk")
    assert "stopped at many.txt after 100 bytes" in found.text


async def test_a_folder_that_fails_is_noted_and_the_search_goes_on(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = Workspace.entries

    def failing(self: Workspace, parts: tuple[str, ...]) -> list[tuple[str, bool, bool]]:
        if parts == ("docs",):
            raise ToolFailed("There is no 'docs' in the folder.")
        return entries(self, parts)

    monkeypatch.setattr(Workspace, "entries", failing)
    (root / "last").mkdir()
    (root / "last" / "list.txt").write_text("milk\n")
    found = await use(files, "search_files", text="milk")
    assert [match["path"] for match in found.value] == ["notes.txt", "last/list.txt"]
    assert "could not be read: docs" in found.text
    assert not (await use(files, "search_files", text="milk", folder="docs")).ok


async def test_binary_huge_and_badly_named_files_are_said(files: Files, root: Path) -> None:
    (root / "image.bin").write_bytes(b"\x89PNG\0\0\0")
    assert "binary" in (await use(files, "read_file", path="image.bin")).text
    (root / "big.txt").write_text("line\n" * 100_000)
    big = await use(files, "read_file", path="big.txt")
    assert big.ok and len(big.value) == MAX_READ and "[cut:" in big.text
    late = await use(files, "read_file", path="big.txt", first_line=99_999)
    assert late.value == "line\nline\n"
    (root / os.fsdecode(b"bad\xff.txt")).write_text("x")
    assert "bad�.txt" in (await use(files, "list_files")).value


async def test_writing_asks_replaces_whole_and_makes_folders(files: Files, root: Path) -> None:
    assert files["write_file"].effect == "write"
    (root / "notes.txt").chmod(0o640)
    assert (await use(files, "write_file", path="notes.txt", content="new")).answer == "Replaced notes.txt (3 bytes)."
    assert (root / "notes.txt").read_text() == "new"
    assert (root / "notes.txt").stat().st_mode & 0o777 == 0o640
    assert (await use(files, "write_file", path="a/b/c.txt", content="é")).value["new"]
    assert not (await use(files, "write_file", path="big", content="x" * (MAX_WRITE + 1))).ok


async def test_a_failed_write_leaves_the_old_content_and_no_rest(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    outcome = await use(files, "write_file", path="notes.txt", content="new")
    assert not outcome.ok and "disk is full" in outcome.text
    assert (root / "notes.txt").read_text() == "one\ntwo milk\nthree\n"
    assert (await use(files, "list_files")).value == ["docs/", "notes.txt"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet="ab./\\~: \0\udc80é", max_size=30))
def test_any_path_stays_below_or_is_refused(root: Path, path: str) -> None:
    try:
        parts = components(path)
    except ToolFailed:
        return
    assert all(part not in ("", ".", "..") and "/" not in part and "\0" not in part for part in parts)
    try:
        with Workspace(root).file(path) as handle:
            assert os.read(handle, 6) != b"SECRET"
    except ToolFailed:
        pass


def test_the_built_in_set_is_known_and_short(root: Path) -> None:
    assert tuple(tool.spec.name for tool in builtin_tools(root)) == NAMES
    assert [tool.spec.name for tool in builtin_tools(None, ("weekday",))] == ["weekday"]
    assert not {tool.spec.name for tool in builtin_tools(None)} & {"read_file", "write_file"}
    with pytest.raises(UnknownTool):
        builtin_tools(root, ("calculater",))
    with pytest.raises(InvalidRequest):
        builtin_tools(None, ("read_file",))
