"""What the README and the pages say is run and compared with the code."""

import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest

from smidgen.cli.exits import exit_status
from smidgen.cli.talking import HELP
from smidgen.config import Config, Search, Serve
from smidgen.errors import ERRORS_BY_CODE, SmidgenError
from smidgen.models.library import Library
from smidgen.patterns.files import load_pattern
from smidgen.runtime.toolbox import GROUPS, NAMES
from smidgen.supervise.plan import Limits
from smidgen.tools import Use
from smidgen.tools.permissions.policy_file import read_policy

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODEL = "smollm2-135m"
EMBEDDER = "all-minilm-l6-v2"
NOT_SMIDGEN = (
    "make ",
    "pip install ",
    "CMAKE_ARGS=",
    "python examples/",
    "python benchmarks/",
    "smidgen tune ",
    "smidgen serve",
)
"""What `sh` blocks may begin with: setting up, which no test does here, and what takes minutes, whose parts tests/model
runs. Everything else is `console` and is run."""


OTHERS_FILES = {"yaml", "json", "lua", "vim"}
"""Files of other programs, most of which can't be had here."""
SERVED = "localhost:8012"
SERVER_S = 90


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page: Path) -> list[str]:
    return [
        line.removeprefix("$ ")
        for text in blocks(page, "console")
        for line in text.splitlines()
        if line.startswith("$ ")
    ]


PYTHON_PAGES = [page for page in PAGES if blocks(page, "python")]
COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The user's own models; no configuration but a small default model, in an empty folder."""
    for model in (MODEL, EMBEDDER):
        try:
            Library().resolve(model)
        except SmidgenError:
            pytest.skip(f"{model} isn't on this computer: smidgen models pull {model}")
    config = tmp_path / "config.toml"
    config.write_text(f'model = "{MODEL}"\n', encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "SMIDGEN_CONFIG": str(config), "SMIDGEN_AUDIT": "off"}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """`smidgen serve`, and where it is: not where the pages say, as something else may be there."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "config.toml").touch()
    environment = {
        **os.environ,
        "SMIDGEN_CONFIG": str(folder / "config.toml"),
        "SMIDGEN_SESSIONS": str(folder / "sessions.sqlite"),
        "SMIDGEN_AUDIT": "off",
    }
    log = folder / "log"
    command = [sys.executable, "-m", "smidgen", "serve", "--port", "0"]
    with log.open("w") as out, subprocess.Popen(command, env=environment, stderr=out, cwd=folder) as server:
        until = time.monotonic() + SERVER_S
        while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert server.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield f"localhost:{found[1]}"
        server.terminate()


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = "\n".join(blocks(page, "python"))
    if SERVED in text:
        text = text.replace(SERVED, request.getfixturevalue("serving"))
    program = tmp_path / f"page_{page.stem}.py"
    program.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the examples are for a POSIX shell")
@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda part: getattr(part, "name", part))
def test_every_command_of_a_page_succeeds(
    page: Path, command: str, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    served = SERVED in command
    if served:
        command = command.replace(SERVED, request.getfixturevalue("serving"))
    folder = tmp_path / "work"
    folder.mkdir()
    if "examples/" in command:
        (folder / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if served:
        assert done.stdout and '"error"' not in done.stdout, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_that_are_not_run_only_set_things_up(page: Path) -> None:
    for text in blocks(page, "sh"):
        for line in text.splitlines():
            assert line.startswith(NOT_SMIDGEN), line
    for text in [*blocks(page, ""), *blocks(page, "text")]:
        assert not any(line.startswith("$ ") for line in text.splitlines()), "output only: commands are `console`"
    kinds = {kind for kind, _ in FENCE.findall(page.read_text(encoding="utf-8"))}
    assert kinds <= {"", "text", "sh", "console", "python", "toml", *OTHERS_FILES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configuration_and_patterns_that_are_shown_can_be_read(page: Path, tmp_path: Path) -> None:
    from smidgen.config import load_config

    beside = {path.name: path for path in (ROOT / "examples").rglob("*.*")}
    for name in beside:
        (tmp_path / name).write_bytes(beside[name].read_bytes() if beside[name].is_file() else b"")
    for text in blocks(page, "toml"):
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        if page.stem == "permissions":
            assert read_policy(path).rules
        elif "kind" in tomllib.loads(text):
            load_pattern(path)
        else:
            load_config({"SMIDGEN_CONFIG": str(path)})


def test_the_rules_that_are_shown_do_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "permissions.toml"
    path.write_text(blocks(ROOT / "docs" / "permissions.md", "toml")[0], encoding="utf-8")
    policy = read_policy(path)
    for tool, use, decision in (
        ("write_file", Use(verb="write", path="notes/today.txt"), "allow"),
        ("write_file", Use(verb="write", path="today.txt"), "ask"),
        ("fetch", Use(verb="fetch", host="docs.python.org"), "allow"),
        ("fetch", Use(verb="fetch", host="example.com"), "ask"),
        ("run_command", Use(verb="run", path=".", command="git log"), "ask"),
        ("run_command", Use(verb="run", path=".", command="ls"), "allow"),
        ("read_file", Use(verb="read", path="private/key"), "deny"),
        ("read_file", Use(verb="read", path="web/.env"), "deny"),
    ):
        assert policy.ruling(tool, (use,)).decision == decision, (tool, use)
    assert policy.hides(("private",))


def test_every_error_is_documented_with_its_fault_and_status() -> None:
    rows = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").splitlines()
    for code, kind in ERRORS_BY_CODE.items():
        start = f"| `{code}` | `{kind.__name__}` | {kind.fault} | {exit_status(kind('message'))} | "
        assert any(row.startswith(start) for row in rows), start


SECTIONS = ("supervision", "search", "serve", "mcp", "agents")


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for field in msgspec.structs.fields(Config):
        if field.name not in SECTIONS:
            row = re.search(
                rf"^\| `{field.name}` \| `SMIDGEN_{field.name.upper()}` \|.*\| ([^|]+) \|$", text, re.MULTILINE
            )
            assert row, field.name
            if isinstance(field.default, str):
                assert row[1] == f"`{field.default}`" or not field.default, field.name
            else:
                assert float(row[1]) == field.default, field.name
    for field in msgspec.structs.fields(Search):
        assert re.search(rf"^\| `{field.name}` \|.*\| (`{field.default}`|none) \|$", text, re.MULTILINE), field.name
    for field in msgspec.structs.fields(Serve):
        start = rf"^\| `{field.name}` \| `SMIDGEN_SERVE_{field.name.upper()}` \|"
        assert re.search(start, text, re.MULTILINE), field.name
    for field in msgspec.structs.fields(Limits):
        assert re.search(rf"`{field.name}`.*{field.default:g}\b", text), field.name


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[<>=!~ \[]", line)[0] for line in project["dependencies"]}
    listed = re.findall(
        r"^\| `([^`]+)` \| \w", (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(listed) == named


def test_every_built_in_tool_is_documented() -> None:
    table = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8").partition("## Your own")[0]
    assert set(NAMES) | set(GROUPS) <= set(re.findall(r"`(\w+)`", table))


def test_the_chat_page_and_the_help_name_the_same_commands() -> None:
    page = (ROOT / "docs" / "chat.md").read_text(encoding="utf-8")
    assert set(re.findall(r"/[a-z]+", HELP)) == set(re.findall(r"`(/[a-z]+)", page)) - {"/help"}
