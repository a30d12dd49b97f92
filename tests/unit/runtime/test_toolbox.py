"""The built-in tools by name, and that none of them touches smidgen's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.config import Config, Search
from smidgen.errors import ConfigError, UnknownTool
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.runtime.toolbox import DATES, FILES, GROUPS, NAMES, PROGRAMS, WEB, Toolbox
from smidgen.tools import Tool, Use
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.permissions.hidden import hidden_paths

New = Callable[[], Runtime]


def print_it(text: str) -> str:
    """Print a text."""
    return text


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def box(workspace: Path, **settings: Any) -> Toolbox:
    given = {"home": str(workspace.parent / "home"), "workspace": str(workspace)}
    return Toolbox(Config(**(given | settings)))


def names(toolbox: Toolbox, *wanted: str) -> list[str]:
    return [tool.spec.name for tool in toolbox.tools(wanted)]


def the(toolbox: Toolbox, name: str) -> Tool:
    return toolbox.tools([name])[0]


# --- names ----------------------------------------------------------------------------------------------------------


def test_tools_come_by_name_in_the_order_given(workspace: Path) -> None:
    toolbox = box(workspace)
    assert names(toolbox) == []
    assert names(toolbox, "fetch", "calculator", "fetch") == ["fetch", "calculator"]
    assert names(toolbox, "weekday", "dates") == ["weekday", *(name for name in DATES if name != "weekday")]
    for group in GROUPS:
        assert names(toolbox, group) == list(GROUPS[group])
    assert names(toolbox, "all") == names(toolbox, "all", "files") == list(NAMES)
    assert set(NAMES) == {"calculator", *DATES, *FILES, "query", *PROGRAMS, *WEB}


@pytest.mark.parametrize(
    ("name", "hint", "near"),
    [
        ("look-up", "Did you mean look_up?", ["look_up"]),
        ("file", "Did you mean files?", None),
        ("xyzzy", "There are: calculator, ", []),
        ("", "There are: calculator, ", []),
    ],
)
def test_an_unknown_tool_is_refused_with_near_names(
    workspace: Path, name: str, hint: str, near: list[str] | None
) -> None:
    with pytest.raises(UnknownTool, match="There is no tool called") as caught:
        box(workspace).tools(["calculator", name])
    assert hint.rstrip("?") in caught.value.hint
    assert near is None or caught.value.details["near"] == near
    if not near and near is not None:
        assert caught.value.hint.endswith("all.")


def test_an_agent_takes_groups_and_names(new_runtime: New) -> None:
    with new_runtime() as runtime:
        agent = Agent(runtime=runtime, tools=["dates", "calculator"])
        assert [tool.spec.name for tool in agent.tools] == [*DATES, "calculator"]


def test_programs_change_things_only_where_the_configuration_says_so(workspace: Path) -> None:
    def verbs(toolbox: Toolbox) -> list[str]:
        given = {"code": "1", "command": ["ls"]}
        return [use.verb for tool in toolbox.tools(PROGRAMS) for use in tool.uses(given)]  # type: ignore[attr-defined]

    assert verbs(box(workspace)) == ["run", "run"]
    assert verbs(box(workspace, programs="write")) == ["write", "write"]


def test_undo_takes_back_what_the_others_wrote(workspace: Path) -> None:
    write, undo = box(workspace).tools(["write_file", "undo_write"])
    write("a.txt", "x")  # type: ignore[operator]
    assert undo.uses({}) == (Use(verb="write", path="a.txt"),)  # type: ignore[attr-defined]


# --- rules ----------------------------------------------------------------------------------------------------------


def test_the_rules_are_those_of_the_file(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    with pytest.raises(ConfigError, match="isn't there") as caught:
        box(workspace, permissions=str(path)).tools(["calculator"])
    assert "take `permissions` out" in caught.value.hint
    path.write_text('[[deny]]\npath = "private/**"\n', encoding="utf-8")
    assert box(workspace, permissions=str(path)).policy.hides(("private", "key"))
    path.write_text("[[deny]]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="doesn't say what it speaks of"):
        box(workspace, permissions=str(path)).tools(["calculator"])


def test_rules_beside_the_configuration_are_read_and_need_not_be_there(workspace: Path, tmp_path: Path) -> None:
    assert box(workspace).policy.rules == ()
    (tmp_path / "configuration" / "permissions.toml").write_text('[[deny]]\npath = "a"\n', encoding="utf-8")
    assert box(workspace).policy.hides(("a",))


def test_broken_rules_stop_an_agent_with_any_tool(new_runtime: New, tmp_path: Path) -> None:
    (tmp_path / "configuration" / "permissions.toml").write_text("[[deny]", encoding="utf-8")
    with new_runtime() as runtime, pytest.raises(ConfigError, match="isn't valid TOML"):
        Agent(runtime=runtime, tools=[print_it])


def test_the_search_provider_may_be_asked_unless_the_rules_say_otherwise(workspace: Path, tmp_path: Path) -> None:
    rules = tmp_path / "configuration" / "permissions.toml"
    use = Use(verb="fetch", host="search.example")
    search = Search(provider="searxng", url="https://search.example")
    for text, decision, names_it in (
        ("", "allow", True),
        ('[otherwise]\nfetch = "ask"', "ask", False),
        ('[otherwise]\nfetch = "deny"', "deny", False),
        ('[[deny]]\nhost = "*.example"', "deny", False),
    ):
        rules.write_text(text, encoding="utf-8")
        toolbox = box(workspace, search=search)
        for _ in range(2):
            toolbox.tools(["web_search"])
        assert toolbox.policy.ruling("web_search", (use,)).decision == decision
        assert toolbox.policy.allows_host("web_search", use) is names_it
        assert sum(rule.tool == "web_search" for rule in toolbox.policy.rules) <= 1


# --- smidgen's own files --------------------------------------------------------------------------------------------


@pytest.fixture
def own(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Toolbox:
    """All of smidgen's own files lie in the workspace."""
    for path in ("conf/rules[1].toml", "smidgen.toml", "data/audit.sqlite", "notes.txt"):
        (workspace / path).parent.mkdir(exist_ok=True)
        (workspace / path).write_text("[otherwise]\n# violin\n", encoding="utf-8")
    monkeypatch.setenv("SMIDGEN_CONFIG", str(workspace / "smidgen.toml"))
    return box(workspace, permissions=str(workspace / "conf" / "rules[1].toml"), home=str(workspace / "data"))


@pytest.mark.parametrize(
    "path",
    [
        "conf/rules[1].toml",
        "CONF/RULES[1].toml",
        "./conf//rules[1].toml",
        "smidgen.toml",
        "data/audit.sqlite",
        "data/x",
    ],
)
async def test_no_tool_reads_or_writes_them(own: Toolbox, workspace: Path, path: str) -> None:
    for verb in ("read", "write"):
        assert own.policy.ruling("any", (Use(verb=verb, path=path),)).decision == "deny"
    calls: dict[str, dict[str, Any]] = {
        "read_file": {"path": path},
        "write_file": {"path": path, "content": "[[allow]]\ntool = '*'\n"},
        "edit_file": {"path": path, "old": "violin", "new": "x"},
    }
    before = {file: file.read_bytes() for file in workspace.rglob("*") if file.is_file()}
    for name, arguments in calls.items():
        assert not (await the(own, name).call(arguments)).ok
    assert {file: file.read_bytes() for file in workspace.rglob("*") if file.is_file()} == before


async def test_no_tool_lists_or_finds_them(own: Toolbox, workspace: Path) -> None:
    assert (await the(own, "list_files").call({"folder": "."})).value == ["conf/", "notes.txt"]
    found = await the(own, "search_files").call({"text": "violin"})
    assert [match["path"] for match in found.value] == ["notes.txt"]
    looked = await the(own, "look_up").call({"question": "violin"})
    assert {one["path"] for one in looked.value} == {"notes.txt"}
    assert sorted(hidden_paths(workspace, own.policy)) == ["conf/rules[1].toml", "data", "smidgen.toml"]


def test_nothing_else_is_hidden(own: Toolbox) -> None:
    for path in ("notes.txt", "conf/rules1.toml", "conf", "data2/x"):
        assert own.policy.ruling("any", (Use(verb="read", path=path),)).decision == "allow"


def test_the_log_is_hidden_where_the_data_folder_is_the_workspace(workspace: Path) -> None:
    policy = box(workspace, home=str(workspace)).policy
    assert policy.hides(("audit.sqlite",)) and policy.hides(("audit.sqlite-wal",))
    assert not policy.hides(("models",))


def test_a_link_to_the_rules_is_hidden_as_what_it_leads_to_is(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").touch()
    (workspace / "rules.toml").symlink_to(tmp_path / "rules.toml")
    assert box(workspace, permissions=str(workspace / "rules.toml")).policy.hides(("rules.toml",))
    (workspace / "real.toml").touch()
    (tmp_path / "link.toml").symlink_to(workspace / "real.toml")
    assert box(workspace, permissions=str(tmp_path / "link.toml")).policy.hides(("real.toml",))
    (tmp_path / "way").symlink_to(workspace)
    through = box(tmp_path / "way", permissions=str(workspace / "real.toml"))
    assert through.policy.hides(("real.toml",))


# --- the log --------------------------------------------------------------------------------------------------------


def test_the_log_lies_in_the_data_folder_or_is_off(workspace: Path, tmp_path: Path) -> None:
    log = box(workspace).audit
    assert log is not None and log.path == tmp_path / "home" / "audit.sqlite"
    assert box(workspace, audit="off").audit is None
    assert not (tmp_path / "home").exists()


def test_builtin_tools_stay_what_they_are() -> None:
    assert {tool.spec.name for tool in builtin_tools(".")} < set(NAMES)
