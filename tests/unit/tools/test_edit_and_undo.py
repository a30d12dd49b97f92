"""One passage is changed and nothing else; what was written can be taken back; what an approval shows hides nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.tools import Tool, ToolOutcome, Use, uses_of
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.builtin.difference import difference, line_count
from smidgen.tools.builtin.files import file_tools
from smidgen.tools.builtin.passage import PassageNotFound, find_edit, nearest_lines
from smidgen.tools.builtin.preview import MAX_PREVIEW
from smidgen.tools.conversation import conversation
from smidgen.tools.function import BadArguments, FunctionTool
from smidgen.tools.visible import visible

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs dir_fd")

Files = dict[str, Tool]
PLAN = "Plan\n- milk\n- bread\n- milk tea\nEnd\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "plan.txt").write_text(PLAN)
    return tmp_path


@pytest.fixture
def files(root: Path) -> Files:
    return {tool.spec.name: tool for tool in file_tools(root)}


async def use(files: Files, name: str, **arguments: Any) -> ToolOutcome:
    return await files[name].call(arguments)


async def edit(files: Files, old: str, new: str, path: str = "plan.txt") -> ToolOutcome:
    return await use(files, "edit_file", path=path, old=old, new=new)


# --- the passage ----------------------------------------------------------------------------------------------------


async def test_an_edit_changes_one_passage_and_shows_it(files: Files, root: Path) -> None:
    done = await edit(files, "bread", "rye bread\n- salt")
    assert done.ok and done.value == {"path": "plan.txt", "line": 3}
    assert done.answer == "Changed plan.txt, lines 3 to 4."
    assert done.text == (
        "Changed plan.txt, lines 3 to 4.\n"
        "@@ -1,5 +1,6 @@\n Plan\n - milk\n-- bread\n+- rye bread\n+- salt\n - milk tea\n End"
    )
    assert (root / "plan.txt").read_text() == PLAN.replace("bread", "rye bread\n- salt")


async def test_a_passage_that_occurs_several_times_or_never_changes_nothing(files: Files, root: Path) -> None:
    several = await edit(files, "milk", "oat")
    assert several.fault == "arguments" and "2 times, at lines 2, 4" in several.text
    never = await edit(files, "- milk te and more", "x")
    assert never.fault == "arguments" and "not in the file" in never.text and "line 4: - milk tea" in never.text
    assert "Read the file" in (await edit(files, "zzz", "x")).text
    assert (await edit(files, "", "x")).fault == "arguments"
    assert "already" in (await edit(files, "bread", "bread")).text
    assert "'gone.txt'" in (await edit(files, "a", "b", "gone.txt")).text
    assert (root / "plan.txt").read_text() == PLAN


@pytest.mark.parametrize(
    ("text", "old", "new", "after", "how"),
    [
        ("a\r\nb\r\nc\r\n", "a\nb", "x\ny", "x\r\ny\r\nc\r\n", "line endings"),
        ("a\r\nb\r\nc\r\n", "b", "x\ny", "a\r\nx\r\ny\r\nc\r\n", ""),
        ("a  \nb\t\nc\n", "a\nb\nc", "x\ny", "x\ny\n", "spaces"),
        ("a\nb  \nc\n", "b", "x", "a\nx  \nc\n", ""),
        ("ab\na\nc\n", "a  ", "x", "ab\nx\nc\n", "spaces"),
        ("a\nb", "b\n", "x\n", "a\nx", "line endings"),
        ("a\n    b()\n    c()\n", "  b()\n  c()", "  d()\n  if:\n    f()", "a\n    d()\n    if:\n      f()\n", "ind"),
        ("if a:\n\tb()\n\tc()\n", "    b()\n    c()\n", "    d()\n        e()\n", "if a:\n\td()\n\t\te()\n", "ind"),
        ("  if:\n      b()\n", "if:\n  b()\n", "if:\n  b()\n    c()\n", "  if:\n      b()\n          c()\n", "ind"),
        ("x\n  y\n    z\n", "    y\n      z", "    y\n  w", "x\n  y\nw\n", "ind"),
        ("if a:\r\n    b()\r\n    c()\r\n", "b()\nc()", "d()\n\ne()", "if a:\r\n    d()\r\n\r\n    e()\r\n", "ind"),
    ],
)  # fmt: skip
def test_what_does_not_count_is_told_and_the_files_own_is_kept(
    text: str, old: str, new: str, after: str, how: str
) -> None:
    found = find_edit(text, old, new)
    assert found.apply(text) == after
    assert how in found.how and bool(how) == bool(found.how)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("  a\n    b\n", "a\nb", "x"),  # one indentation became two
        ("  a\n  b\n", "    a\n    b", "c"),  # less deep than anything that was given
        ("\n\n", " \n \n", "x"),
        ("foobar\n", "foo ", "x"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(text: str, old: str, new: str) -> None:
    with pytest.raises(PassageNotFound):
        find_edit(text, old, new)


LINES = st.lists(st.text("ab \t", max_size=4), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(LINES, LINES, LINES, st.sampled_from(["\n", "\r\n"]))
def test_an_edit_replaces_one_piece_and_keeps_the_line_endings(
    text: list[str], old: list[str], new: list[str], ending: str
) -> None:
    before = ending.join(text)
    try:
        found = find_edit(before, "\n".join(old), "\n".join(new))
    except BadArguments:
        return
    after = found.apply(before)
    assert after.startswith(before[: found.start]) and after.endswith(before[found.end :])
    assert before[found.start : found.end].split() == "\n".join(old).split() or not found.how
    if ending in before:
        assert after.count("\n") == after.count(ending)


@settings(max_examples=200, deadline=None)
@given(st.text("ab\n", max_size=30), st.integers(0, 29), st.integers(1, 10), st.text("cd\n", min_size=1, max_size=5))
def test_a_passage_that_occurs_once_is_found_as_it_stands(text: str, start: int, length: int, new: str) -> None:
    old = text[start : start + length]
    if old and sum(text.startswith(old, at) for at in range(len(text))) == 1 and old != new:
        assert find_edit(text, old, new).apply(text) == text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("a\n" * 400_000, "a\n" * 1000 + "b"),
        (" a\n" * 300_000, "a\n  a"),
        (" " * 1_000_000, "a" + " " * 1000),
        ("\n" * 1_000_000, "\n \n" * 100),
        ("abcdefgh\n" * 100_000, "abcdefgx"),
    ],
)
@pytest.mark.timeout(60)
def test_no_text_is_gone_through_again_and_again(text: str, old: str) -> None:
    with pytest.raises(BadArguments):
        find_edit(text, old, "x")
    nearest_lines(text, old)


async def test_mark_mode_and_encoding_are_kept_or_the_edit_refused(files: Files, root: Path) -> None:
    (root / "plan.txt").write_bytes(b"\xef\xbb\xbfon\xc3\xa9\r\ntwo\r\n")
    (root / "plan.txt").chmod(0o750)
    assert (await edit(files, "\ufeffoné", "ünü")).ok
    assert (root / "plan.txt").read_bytes() == b"\xef\xbb\xbf\xc3\xbcn\xc3\xbc\r\ntwo\r\n"
    assert (root / "plan.txt").stat().st_mode & 0o777 == 0o750
    for data, told in [(b"caf\xe9", "not UTF-8"), (b"a\0b", "binary"), (b"x" * (1 << 20 | 1), "more than")]:
        (root / "plan.txt").write_bytes(data)
        refused = await edit(files, "a", "b")
        assert refused.fault == "world" and told in refused.text
        assert (root / "plan.txt").read_bytes() == data
    (root / "plan.txt").write_text("a")
    assert not (await edit(files, "a", "b" * (1 << 20 | 1))).ok


# --- taking back ----------------------------------------------------------------------------------------------------


async def test_writes_are_taken_back_one_after_the_other(files: Files, root: Path) -> None:
    assert (await use(files, "write_file", path="new/list.txt", content="one")).ok
    assert (await edit(files, "bread", "rye")).ok
    assert (await use(files, "write_file", path="plan.txt", content="")).ok
    assert uses_of(files["undo_write"], {}) == (Use(verb="write", path="plan.txt"),)
    undone = await use(files, "undo_write")
    assert "plan.txt is as before (5 lines). 2 earlier writes can be taken back too." in undone.text
    assert (root / "plan.txt").read_text() == PLAN.replace("bread", "rye")
    assert uses_of(files["undo_write"], {}) == (Use(verb="write", path="plan.txt"),)
    assert (await use(files, "undo_write")).ok
    assert (root / "plan.txt").read_text() == PLAN
    assert uses_of(files["undo_write"], {}) == (Use(verb="write", path="new/list.txt"),)
    assert "removed new/list.txt, which was new" in (await use(files, "undo_write")).text
    assert list((root / "new").iterdir()) == []
    nothing = await use(files, "undo_write")
    assert not nothing.ok and nothing.text == "There is no write to take back."
    assert uses_of(files["undo_write"], {}) == (Use(verb="write"),)


@pytest.mark.parametrize("how", ["changed", "removed", "linked", "folder"])
async def test_what_was_changed_since_stays(files: Files, root: Path, how: str) -> None:
    path = root / "plan.txt"
    assert (await use(files, "write_file", path="plan.txt", content="mine")).ok
    if how == "changed":
        path.write_text("your")
    else:
        path.unlink()
    if how == "linked":
        (root / "other").write_text("mine")
        path.symlink_to("other")
    if how == "folder":
        path.mkdir()
    assert "not possible" in files["undo_write"].preview({})
    for _ in range(2):
        undone = await use(files, "undo_write")
        assert not undone.ok and undone.fault == "world"
    assert not path.is_file() or path.read_text() in ("your", "mine")
    assert path.is_symlink() == (how == "linked")
    if how == "changed":
        path.write_text("mine")
        assert (await use(files, "undo_write")).ok
        assert path.read_text() == PLAN


async def test_what_is_forgotten_is_told(files: Files, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(25):
        assert (await use(files, "write_file", path="n.txt", content=str(number))).ok
    undone = await use(files, "undo_write")
    assert undone.text.endswith("19 earlier writes can be taken back too. 5 older writes are no longer kept.")
    for _ in range(19):
        assert (await use(files, "undo_write")).ok
    assert (root / "n.txt").read_text() == "4"
    assert (await use(files, "undo_write")).text == "There is no write to take back. 5 older writes are no longer kept."
    monkeypatch.setattr("smidgen.tools.builtin.undo.MAX_KEPT", 100)
    for number in range(4):
        assert (await use(files, "write_file", path="n.txt", content=str(number) * 40)).ok
    assert "1 earlier write can be taken back too. 7 older" in (await use(files, "undo_write")).text
    (root / "n.txt").write_text("x" * 101)
    written = await use(files, "write_file", path="n.txt", content="small")
    assert written.ok and "undo_write can't take this back: the former content has more than 100 bytes." in written.text
    assert not (await use(files, "undo_write")).ok
    assert (root / "n.txt").read_text() == "small"


async def test_each_conversation_takes_back_its_own(files: Files, root: Path) -> None:
    with conversation(1):
        assert (await use(files, "write_file", path="plan.txt", content="first")).ok
    with conversation(2):
        assert files["undo_write"].preview({}) == "undo: there is no write to take back"
        assert uses_of(files["undo_write"], {}) == (Use(verb="write"),)
        assert (await use(files, "undo_write")).text == "There is no write to take back."
        assert (await use(files, "write_file", path="other.txt", content="second")).ok
    with conversation(1):
        assert uses_of(files["undo_write"], {}) == (Use(verb="write", path="plan.txt"),)
        assert (await use(files, "undo_write")).text.endswith("plan.txt is as before (5 lines).")
    assert (root / "plan.txt").read_text() == PLAN and (root / "other.txt").read_text() == "second"


async def test_the_conversation_that_was_at_it_longest_ago_is_forgotten(files: Files, root: Path) -> None:
    for number in range(1, 33):
        with conversation(number):
            assert (await use(files, "write_file", path=f"{number}.txt", content="x")).ok
    with conversation(1):
        assert (await use(files, "write_file", path="1.txt", content="y")).ok
    with conversation(33):
        assert (await use(files, "write_file", path="33.txt", content="x")).ok
    with conversation(2):
        undone = await use(files, "undo_write")
        assert undone.text == "There is no write to take back. 1 older write is no longer kept."
    for number, text in ((1, "1 earlier write can be taken back too."), (3, ""), (33, "")):
        with conversation(number):
            undone = await use(files, "undo_write")
            assert undone.ok and undone.text.endswith(text), undone
    assert (root / "2.txt").read_text() == "x" and not (root / "33.txt").exists()


@pytest.mark.parametrize("way", ["uses", "preview"])
async def test_only_the_write_that_was_asked_about_is_taken_back(files: Files, root: Path, way: str) -> None:
    def ask() -> None:
        uses_of(files["undo_write"], {}) if way == "uses" else files["undo_write"].preview({})

    ask()
    assert (await use(files, "write_file", path="plan.txt", content="first")).ok
    refused = await use(files, "undo_write")
    assert not refused.ok and refused.fault == "world"
    assert "Another write came in between" in refused.text and "Ask again" in refused.text
    ask()
    assert (await edit(files, "first", "second")).ok
    assert not (await use(files, "undo_write")).ok
    assert (root / "plan.txt").read_text() == "second"
    ask()
    with conversation(7):
        assert (await use(files, "write_file", path="other.txt", content="x")).ok
        ask()
    assert (await use(files, "undo_write")).ok
    assert (root / "plan.txt").read_text() == "first"
    assert not (await use(files, "undo_write")).ok, "that was asked about once"
    ask()
    assert (await use(files, "undo_write")).ok
    assert (root / "plan.txt").read_text() == PLAN


async def test_each_set_of_tools_takes_back_its_own(files: Files, root: Path) -> None:
    others = {tool.spec.name: tool for tool in builtin_tools(root)}
    assert (await use(files, "write_file", path="plan.txt", content="mine")).ok
    assert not (await use(others, "undo_write")).ok
    assert (root / "plan.txt").read_text() == "mine"


@pytest.mark.parametrize("path", ["./~x", "./C:x", "./a /.", "./ a"])
async def test_a_name_that_is_no_path_by_itself_is_taken_back_too(files: Files, root: Path, path: str) -> None:
    assert (await use(files, "write_file", path=path, content="one")).ok
    assert (await edit(files, "one", "two", path)).ok
    assert (await use(files, "undo_write")).ok
    assert (await use(files, "read_file", path=path)).value == "one"
    assert (await use(files, "undo_write")).ok
    assert [file.name for file in root.iterdir()] == ["plan.txt"]


async def test_a_write_that_fails_is_nothing_to_take_back(files: Files, root: Path) -> None:
    (root / "folder").mkdir()
    assert not (await use(files, "write_file", path="folder", content="x")).ok
    assert "no write" in (await use(files, "undo_write")).text


# --- previews and uses ----------------------------------------------------------------------------------------------


async def test_previews_say_what_would_change(files: Files, root: Path) -> None:
    write, change, undo = (files[name].preview for name in ("write_file", "edit_file", "undo_write"))
    told = write({"path": "./plan.txt", "content": PLAN.replace("bread", "rye") + "more"})
    assert told.startswith("write ./plan.txt (6 lines; replaces 5 lines)\n@@ ") and "-- bread\n" in told
    assert write({"path": "b", "content": "x\n"}) == "write b (1 line; new file)\n@@ -1,0 +1,1 @@\n+x"
    assert write({"path": "b", "content": "x"}) == "write b (1 line; new file)\n@@ -1,0 +1,1 @@\n+x"
    assert write({"path": "b", "content": "x\n\ny"}) == "write b (3 lines; new file)\n@@ -1,0 +1,3 @@\n+x\n+\n+y"
    (root / "empty").touch()
    assert write({"path": "empty", "content": "x"}).endswith("replaces 0 lines)\n@@ -1,0 +1,1 @@\n+x")
    (root / "one").write_text("x")
    assert write({"path": "one", "content": ""}).endswith("replaces 1 line)\n@@ -1,1 +1,0 @@\n-x")
    assert write({"path": "plan.txt", "content": PLAN}).endswith("the same already)")
    assert "leads out" in write({"path": "../b", "content": "x"})
    (root / "image").write_bytes(b"\0\1")
    assert "2 bytes that are no text" in write({"path": "image", "content": "x"})
    told = change({"path": "plan.txt", "old": "bread  ", "new": "rye"})
    assert told.splitlines()[0] == "edit plan.txt, line 3 (found apart from spaces at the ends of lines)"
    assert "-- bread\n+- rye" in told
    assert "not possible" in change({"path": "plan.txt", "old": "milk", "new": "rye"})
    assert undo({}) == "undo: there is no write to take back"
    assert (await edit(files, "bread", "rye")).ok
    assert "restore plan.txt (5 lines; replaces 5 lines)" in undo({}) and "-- rye\n+- bread" in undo({})
    assert (await use(files, "write_file", path="new", content="x")).ok
    assert undo({}) == "undo the last write: remove new (1 line), which was new"


HOSTILE = "\x1b[2Ka\rb\u202egnp\u2066\u200b\ud800\x9b1m\u2028\x07\x00\U000e0041"


@pytest.mark.parametrize("text", [HOSTILE, HOSTILE * 200, "\n" * 5000, "\r" * 5000, ("\u202e" * 200 + "\n") * 50])
def test_a_preview_hides_nothing_and_is_short(files: Files, root: Path, text: str) -> None:
    (root / "old").write_bytes(text[::-1].encode("utf-8", "surrogatepass"))
    calls: list[tuple[str, dict[str, Any]]] = [
        *(("write_file", {"path": path, "content": text}) for path in ("old", "plan.txt", "new", text, "../" + text)),
        ("edit_file", {"path": "plan.txt", "old": "bread", "new": text}),
        ("edit_file", {"path": "old", "old": text[1:0:-1], "new": text}),
        ("edit_file", {"path": text, "old": text, "new": text}),
        ("undo_write", {text: text}),
    ]
    for name, arguments in calls:
        told = files[name].preview(arguments)
        assert 0 < len(told) <= MAX_PREVIEW
        assert all(character.isprintable() for character in told.replace("\n", ""))
        assert told.count("\n") <= 9


@pytest.mark.parametrize("value", [None, 1, [], {}, b"plan.txt", object(), float("nan")])
def test_previews_and_uses_take_arguments_of_any_kind(files: Files, value: object) -> None:
    for tool in files.values():
        for arguments in ({}, dict.fromkeys(("path", "folder", "content", "old", "new", "text"), value)):
            assert isinstance(tool.preview(arguments), str)
            assert all(isinstance(use.path, str) for use in uses_of(tool, arguments))


@pytest.mark.parametrize(
    ("path", "normal"),
    [("a.txt", "a.txt"), ("./a//b\\c.txt", "a/b/c.txt"), ("", "."), (" a ", "a"), ("../a", "../a"), ("/etc", "/etc")],
)
def test_uses_name_the_file_in_one_way(files: Files, path: str, normal: str) -> None:
    for name in ("read_file", "write_file", "edit_file"):
        verb = "read" if name == "read_file" else "write"
        assert uses_of(files[name], {"path": path}) == (Use(verb=cast(Any, verb), path=normal),)
    for name in ("list_files", "search_files"):
        folder = normal if normal == "." else f"{normal}/"
        assert uses_of(files[name], {"folder": path}) == (Use(verb="read", path=folder),)
        assert uses_of(files[name], {}) == (Use(verb="read", path="."),)


def test_a_preview_of_ones_own_that_fails_shows_the_call(files: Files) -> None:
    def failing(_: Any) -> str:
        raise ValueError

    assert FunctionTool(lambda a: a, name="f", preview=failing).preview({"a": 1}) == "f(a=1)"
    assert FunctionTool(lambda a: a, name="f", preview=lambda given: f"do {given['a']}").preview({"a": 1}) == "do 1"


def test_differences_are_short_and_counted() -> None:
    assert difference("a", "a") is None
    found = difference("x\n" * 100, "y\n" * 50)
    assert found is not None
    shown = found.shown(lines=6).splitlines()
    assert len(shown) == 8 and shown[-1] == "[144 more changed lines]"
    windows = difference("a\r\nb\r\n", "a\r\nc\r\n")
    assert windows is not None and windows.shown() == "@@ -1,2 +1,2 @@\n a\n-b\n+c"
    endings = difference("a\nb\n", "a\r\nb\n")
    assert endings is not None and "+a\\r" in endings.shown()
    assert [line_count(text) for text in ("", "a", "a\n", "a\nb")] == [0, 1, 1, 2]
    assert visible("a\tb\x1b\u202e\U000e0041é") == "a\\tb\\x1b\\u202e\\U000e0041é"


# --- hidden files ---------------------------------------------------------------------------------------------------


async def test_hidden_files_are_as_if_they_were_not_there(root: Path) -> None:
    (root / "private" / "deep").mkdir(parents=True)
    (root / "private" / "deep" / "key.txt").write_text("SECRET")
    (root / ".env").write_text("SECRET")
    files = {tool.spec.name: tool for tool in file_tools(root, lambda parts: parts in {("private",), (".env",)})}
    assert (await use(files, "list_files")).value == ["plan.txt"]
    assert (await use(files, "search_files", text="secret")).text == "No file contains 'secret'."
    for path in (".env", "private/deep/key.txt", "private", "private/new.txt", "./private\\deep/key.txt"):
        for name, more in (
            ("read_file", {}), ("write_file", {"content": "x"}), ("edit_file", {"old": "SECRET", "new": "x"}),
        ):  # fmt: skip
            outcome = await use(files, name, path=path, **more)
            assert not outcome.ok and "may not be used (a permission rule)" in outcome.text
            assert "SECRET" not in files[name].preview({"path": path, **more}) or name != "write_file"
    for name, more in (("list_files", {}), ("search_files", {"text": "secret"})):
        assert "permission rule" in (await use(files, name, folder="private/deep", **more)).text
    assert (root / ".env").read_text() == "SECRET" and not (root / "private" / "new.txt").exists()


async def test_a_file_hidden_since_it_was_written_is_not_taken_back(root: Path) -> None:
    hidden: set[tuple[str, ...]] = set()
    files = {tool.spec.name: tool for tool in file_tools(root, hidden.__contains__)}
    assert (await use(files, "write_file", path="plan.txt", content="mine")).ok
    hidden.add(("plan.txt",))
    assert "not possible" in files["undo_write"].preview({})
    assert "permission rule" in (await use(files, "undo_write")).text
    assert (root / "plan.txt").read_text() == "mine"
