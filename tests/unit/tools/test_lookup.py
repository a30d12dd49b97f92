"""What the text files of a folder say of a question."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.tools import Knowing, Preparing, Use, uses_of
from smidgen.tools.builtin.confined import Workspace
from smidgen.tools.lookup import Passage, look_up
from smidgen.tools.lookup.index import Index
from smidgen.tools.lookup.look_up import LookUp
from smidgen.tools.lookup.passages import LONGEST, passages
from smidgen.tools.permissions.policy import Policy, Rule

HOUSE = """# House

The rent of 640 is due on the fifth.

## Keys ##

The spare key hangs behind the boiler.
"""


def split(text: str) -> list[tuple[int, str, str]]:
    return [(one.line, one.heading, one.text) for one in passages("a.md", text)]


# --- passages -------------------------------------------------------------------------------------------------------


def test_paragraphs_stand_under_their_headings() -> None:
    assert split(HOUSE) == [
        (3, "House", "The rent of 640 is due on the fifth."),
        (7, "Keys", "The spare key hangs behind the boiler."),
    ]
    assert split("[server]\nport = 80\n") == [(2, "server", "port = 80")]


def test_small_paragraphs_are_joined_and_large_ones_parted() -> None:
    assert split("a b\n\nc d\n") == [(1, "", "a b\n\nc d")]
    long = "\n".join(["word " * 30] * 12)
    found = split(f"\n\n{long}")
    assert [line for line, _, _ in found] == [3, 7, 11]
    assert all(len(text) <= LONGEST for _, _, text in found)
    assert "\n".join(text for _, _, text in found) == long


def test_a_line_of_any_length_is_cut() -> None:
    assert [len(text) for _, _, text in split("x" * (2 * LONGEST + 1))] == [LONGEST, LONGEST, 1]


def test_headings_with_nothing_under_them_are_text() -> None:
    assert split("# The code of the door is 4711") == [(1, "", "The code of the door is 4711")]
    assert split("# One\n\n# Two\ntext\n# Three\n") == [(1, "", "One"), (4, "Two", "text"), (5, "", "Three")]


def test_lines_are_counted_as_where_files_are_read() -> None:
    assert split("a\x0cb\u2028c\r\n# H\r\nd\r\n")[1] == (3, "H", "d")


@pytest.mark.parametrize(
    "line", ["# x" + " " * 200_000 + "y", "# " + "#" * 200_000 + "x", "[" * 200_000, "#" * 200_000]
)
@pytest.mark.timeout(30)
def test_a_hostile_line_is_not_gone_through_again_and_again(line: str) -> None:
    assert split(line)


@given(st.text(alphabet="ab #[]\n\r", max_size=400))
def test_no_word_is_lost(text: str) -> None:
    found = list(passages("a", text))
    kept = "\n".join(f"{one.heading}\n{one.text}" for one in found)
    assert kept.count("a") >= text.count("a") and kept.count("b") >= text.count("b")
    assert all(0 < one.line <= text.count("\n") + 1 for one in found)


# --- the index ------------------------------------------------------------------------------------------------------


def test_the_best_passage_holds_the_rarest_words() -> None:
    texts = {
        "a": "The garden has a fence and a gate.",
        "b": "The gate key hangs behind the boiler, the gate is old.",
        "c": "Nothing of it here.",
    }
    index = Index([Passage(path=f"{name}.md", line=1, text=text) for name, text in texts.items()])
    found = [one.path for one in index.best("Where is the key of the gate?", 3)]
    assert found[0] == "b.md" and "c.md" not in found
    assert [one.path for one in index.best("Where is the key of the gate?", 1)] == ["b.md"]
    assert index.best("What about violins?", 3) == index.best("", 3) == Index(()).best("key", 3) == []


def test_the_name_of_a_file_says_what_it_is_about() -> None:
    index = Index([Passage(path="docs/rent-contract.md", line=1, text="It ends in May.")])
    assert index.best("When does the rent contract end?", 1)


# --- the tool -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "house.md").write_text(HOUSE, encoding="utf-8")
    return tmp_path


async def ready(folder: Path, policy: Policy | None = None) -> LookUp:
    tool = LookUp(Workspace(folder, (policy or Policy()).hides))
    assert isinstance(tool, Preparing) and isinstance(tool, Knowing)
    assert await tool.prepared() is tool
    return tool


async def said(tool: LookUp, question: str) -> str:
    outcome = await tool.call({"question": question})
    assert outcome.ok
    return outcome.text


async def test_a_question_is_answered_with_the_place(folder: Path) -> None:
    tool = await ready(folder)
    outcome = await tool.call({"question": "Where does the spare key hang?"})
    assert outcome.text == "house.md, line 7 (Keys):\nThe spare key hangs behind the boiler."
    assert outcome.material and outcome.answer == ""
    assert outcome.value == [{"path": "house.md", "line": 7, "text": "The spare key hangs behind the boiler."}]
    nothing = await tool.call({"question": "Who plays the violin?"})
    assert nothing.answer == nothing.text == "The files here say nothing about that."
    assert (await tool.call({"question": " "})).fault == "arguments"


async def test_it_reads_everything_and_changes_nothing(folder: Path) -> None:
    tool = await ready(folder)
    assert uses_of(tool, {"question": "?"}) == (Use(verb="read", path="."),)
    assert tool.effect == "read"


async def test_it_knows_what_its_files_are_about(folder: Path) -> None:
    tool = await ready(folder)
    assert tool.knows("When is the rent due?") > 0.9
    assert tool.knows("Where is the violin?") == tool.knows("") == 0.0
    assert tool.arguments_for("When is the rent due?") == {"question": "When is the rent due?"}
    assert (await ready(folder / "absent")).knows("rent") == 0.0


async def test_files_are_read_again_once_one_has_changed(folder: Path) -> None:
    tool = await ready(folder)
    (folder / "new.txt").write_text("The violin is in the attic.", encoding="utf-8")
    assert "nothing" in await said(tool, "Where is the violin?")
    await tool.prepared()
    assert "attic" in await said(tool, "Where is the violin?")
    (folder / "new.txt").unlink()
    await tool.prepared()
    assert "nothing" in await said(tool, "Where is the violin?")


async def test_it_reads_without_having_been_prepared(folder: Path) -> None:
    assert "boiler" in await said(LookUp(Workspace(folder)), "Where does the spare key hang?")


async def test_hidden_files_are_not_there(folder: Path) -> None:
    for path in ("private/deep/key.md", "a/.env.md", ".git/key.md", "Secret.md"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("The violin is worth a million.", encoding="utf-8")
    rules = Rule(decision="deny", path="private/**"), Rule(decision="deny", path="secret.md")
    tool = await ready(folder, Policy(rules=rules))
    assert tool.knows("What is the violin worth?") == 0.0
    assert "nothing" in await said(tool, "What is the violin worth?")


async def test_links_lead_nowhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "key.md").write_text("The violin is worth a million.", encoding="utf-8")
    (folder / "file.md").symlink_to(outside / "key.md")
    (folder / "folder").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    tool = await ready(folder)
    assert tool.knows("What is the violin worth?") == 0.0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
async def test_what_is_no_text_or_cannot_be_read_is_left_out(folder: Path) -> None:
    (folder / "image.png").write_bytes(b"violin\0violin")
    (folder / "table.csv").write_text("violin,1\n", encoding="utf-8")
    os.mkfifo(folder / "pipe.md")
    locked = folder / "locked"
    locked.mkdir(0)
    (folder / "bytes.md").write_bytes(b"caf\xe9 tuba\n")
    (folder / "empty.md").touch()
    tool = await ready(folder)
    locked.chmod(0o700)
    assert tool.knows("What is the violin worth?") == 0.0
    assert "tuba" in await said(tool, "Which tuba?")


async def test_names_of_any_kind(folder: Path) -> None:
    name = "od\nd\x1b[2J.md"
    (folder / name).write_text("The violin is in the attic.", encoding="utf-8")
    (folder / " spaced .md").write_text("The tuba is in the cellar.", encoding="utf-8")
    (folder / os.fsdecode(b"latin\xe9.md")).write_text("The harp is upstairs.", encoding="utf-8")
    tool = await ready(folder)
    outcome = await tool.call({"question": "Where is the violin?"})
    assert outcome.text.startswith("od\\nd\\x1b[2J.md, line 1:") and outcome.value[0]["path"] == name
    assert "cellar" in await said(tool, "Where is the tuba?")
    await said(tool, "Where is the harp?")


async def test_every_limit_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "long.md").write_text("tuba\n" + "x" * 200, encoding="utf-8")
    (folder / "zoo.md").write_text("violin\n", encoding="utf-8")
    monkeypatch.setattr(look_up, "MOST_BYTES", 130)
    assert "[of long.md only the first 130 bytes were looked at]" in await said(await ready(folder), "tuba?")
    monkeypatch.setattr(look_up, "MOST_TOTAL", 200)
    told = "[nothing from zoo.md on was looked at: there are more than 200 bytes]"
    assert told in await said(await ready(folder), "violin?")
    monkeypatch.setattr(look_up, "MOST_FILES", 2)
    assert "[only 2 files were looked at]" in await said(await ready(folder), "violin?")


async def test_folders_are_read_to_a_depth(folder: Path) -> None:
    for depth, word in ((look_up.MOST_DEPTH, "violin"), (look_up.MOST_DEPTH + 1, "tuba")):
        deep = folder.joinpath(*["d"] * depth)
        deep.mkdir(parents=True)
        (deep / "a.md").write_text(word, encoding="utf-8")
    tool = await ready(folder)
    assert tool.knows("violin") > 0.9 and tool.knows("tuba") == 0.0
