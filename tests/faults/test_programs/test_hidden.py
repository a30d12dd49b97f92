"""Files that programs must not read, where the workspace holds them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.faults.test_programs.conftest import Start
from tests.faults.test_sandbox.conftest import sandbox_of

from smidgen.errors import InvalidRequest, SandboxUnavailable
from smidgen.tools.sandbox import Job
from smidgen.tools.sandbox.box import Sandbox

SECRET = "canary-5518"
NAMES = (
    "plain",
    "with space",
    "-dash",
    "new\nline",
    "quo'te\"",
    "é😀",
    "*?[x]",
    "\\back",
    "--bind",
    os.fsdecode(b"\xff\xfe"),
)
LOOK = """
import os
def look(path):
    try:
        with open(path, errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        return type(error).__name__
found = {}
for top, folders, files in os.walk("."):
    for name in files:
        found[os.path.join(top, name)] = look(os.path.join(top, name))
print(ascii(found))
"""


@pytest.fixture
def bubblewrap() -> Sandbox:
    return sandbox_of("bubblewrap")


@pytest.fixture
def secrets(workspace: Path) -> Path:
    """A workspace in which everything but notes.txt is secret."""
    for name in NAMES:
        (workspace / name).write_text(SECRET)
    (workspace / "deep" / "er").mkdir(parents=True)
    for path in ("deep/secret", "deep/er/secret"):
        (workspace / path).write_text(SECRET)
    (workspace / "link").symlink_to("plain")
    (workspace / "inner").symlink_to("deep")
    (workspace / "locked").write_text(SECRET)
    (workspace / "locked").chmod(0)
    return workspace


@pytest.mark.parametrize("writable", [False, True])
async def test_hidden_files_and_folders_cannot_be_read(bubblewrap: Sandbox, secrets: Path, writable: bool) -> None:
    hidden = (*NAMES, "deep/er", "deep/secret", "locked")
    acts = """
import shutil
for act in (
    lambda: os.rename("plain", "moved"), lambda: os.remove("plain"), lambda: os.link("plain", "hard"),
    lambda: shutil.rmtree("deep"), lambda: shutil.copyfile("plain", "copy"), lambda: os.rename("deep", "elsewhere"),
    lambda: open("deep/er/new", "w"), lambda: open("plain", "w").write("x"),
):
    try:
        act()
    except OSError:
        pass
"""
    for source in (LOOK, acts + LOOK):
        job = Job(argv=("python3", "-c", "import os" + source), workspace=secrets, hidden=hidden, writable=writable)
        finished = await bubblewrap.run(job)
        assert finished.ok and SECRET not in finished.output, finished
        assert "'./notes.txt': 'inside'" in finished.output
    (secrets / "locked").chmod(0o600)
    kept = [secrets / name for name in (*NAMES, "locked")]
    kept += [next(path for path in (secrets / top / "er" / "secret" for top in ("deep", "elsewhere")) if path.exists())]
    assert [path.read_text() for path in kept] == [SECRET] * len(kept)
    kept_names = {*NAMES, "deep", "elsewhere", "link", "inner", "locked", "notes.txt", "copy"}
    assert {path.name for path in secrets.iterdir()} <= kept_names


async def test_of_a_hidden_link_what_it_leads_to_is_hidden(bubblewrap: Sandbox, secrets: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(SECRET)
    (secrets / "out").symlink_to(outside)
    (secrets / "dangling").symlink_to("nowhere")
    (secrets / "itself").symlink_to("itself")
    (secrets / "here").symlink_to(".")
    hidden = (
        "deep/er/secret",
        "link",
        "inner/er",
        "out",
        "dangling",
        "itself",
        "here",
        "not-there",
        "not/there",
        "plain/x",
    )
    for writable in (False, True):
        before = sorted(secrets.rglob("*"))
        source = "print(open('notes.txt').read())\nimport os\nprint(os.listdir('deep/er'))\nopen('plain')"
        job = Job(argv=("python3", "-c", source), workspace=secrets, hidden=hidden, writable=writable)
        finished = await bubblewrap.run(job)
        assert finished.output == "inside\n[]\n" and "PermissionError" in finished.errors
        assert sorted(secrets.rglob("*")) == before  # nothing was made to be covered


async def test_interpreters_do_not_see_them_either(start: Start, sandbox: Sandbox, secrets: Path) -> None:
    if sandbox.tier == "landlock":
        with pytest.raises(SandboxUnavailable, match="can't hide single files"):
            await start(hidden=("plain",))
        with pytest.raises(SandboxUnavailable, match="can't hide single files"):
            await sandbox.run(Job(argv=("true",), workspace=secrets, hidden=("plain",)))
    else:
        python = await start(hidden=("plain", "deep"))
        assert (await python.execute("import os\nos.listdir('deep'), os.path.exists('plain')")).value == "([], True)"
        for name in ("plain", "link"):
            assert "PermissionError" in (await python.execute(f"open({name!r})")).error


async def test_what_cannot_be_hidden_is_refused(sandbox: Sandbox, workspace: Path) -> None:
    for path in ("/etc/passwd", "../x", "a/../b", "", "a\0b", "\ud800"):
        with pytest.raises(InvalidRequest):
            await sandbox.run(Job(argv=("true",), workspace=workspace, hidden=(path,)))
    with pytest.raises(InvalidRequest):
        await sandbox.run(Job(argv=("true",), hidden=("x",)))
    with pytest.raises(InvalidRequest, match="are possible"):
        await sandbox.run(Job(argv=("true",), workspace=workspace, hidden=tuple(map(str, range(2000)))))


async def test_many_are_hidden(bubblewrap: Sandbox, workspace: Path) -> None:
    names = [f"{number}.log" for number in range(500)]
    for name in names:
        (workspace / name).write_text(SECRET)
    argv = ("sh", "-c", "cat *.log 2>&1 | grep -c Permission | tr -d ' '; cat notes.txt")
    finished = await bubblewrap.run(Job(argv=argv, workspace=workspace, hidden=tuple(names)))
    assert finished.output == "500\ninside", finished
