"""The macOS tier: its profile, and all around `sandbox-exec`, for which something else stands in here."""

from __future__ import annotations

import marshal
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import SandboxUnavailable
from smidgen.tools.sandbox import MIB, Job, Limits, probe, seatbelt, seatbelt_confine
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.probe import candidates
from smidgen.tools.sandbox.seatbelt import Profile, Seatbelt, profile

ODD = ('a "b" c', "a)(allow default)", 'x")) (allow default) ((("', "line\nbreak", "back\\slash", "ünï ✓", "a=b", "; c")


def read(text: str) -> list[Any]:
    """A profile as nested lists. Strings keep their quotes."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r'"[^"\\]*"|[()]|[^\s()"]+', text):
        if token == "(":
            stack.append([])
        elif token == ")":
            last = stack.pop()
            stack[-1].append(last)
        else:
            stack[-1].append(token)
    assert len(stack) == 1
    return stack[0]


def paths(made: Profile, answer: str, operation: str, kind: str = "subpath") -> list[str]:
    """That rules with this answer name for an operation."""
    found: list[str] = []
    for rule in read(made.text):
        if rule[0] == answer and operation in rule:
            for one in rule[1:]:
                if isinstance(one, list) and one[0] == kind:
                    value = one[1]
                    found.append(made.values[value[1].strip('"')] if isinstance(value, list) else value.strip('"'))
    return found


def test_a_job_that_only_reads() -> None:
    made = profile(read=["/py", "/w"], write=["/s/scratch"], mark="/s")
    rules = read(made.text)
    assert rules[:2] == [["version", "1"], ["deny", "default"]]
    assert {"/py", "/w", "/s/scratch", "/usr/lib"} <= set(paths(made, "allow", "file-read*"))
    assert paths(made, "allow", "file-write*") == ["/s/scratch"]
    assert paths(made, "allow", "file-write-data", "literal") == ["/dev/null", "/dev/zero"]
    seen = paths(made, "allow", "file-read-metadata", "literal")
    assert {"/", "/s", "/s/seen", "/private/var", "/tmp"} <= set(seen) and "/s/unseen" not in seen
    assert ["allow", "signal", ["target", "same-sandbox"]] in rules
    assert ["allow", "process-info*", ["target", "same-sandbox"]] in rules


def test_nothing_else_is_allowed() -> None:
    made = profile(read=["/w"], write=["/s"], hidden=["/w/x"], mark="/m")
    allowed = {word for rule in read(made.text) if rule[0] == "allow" for word in rule[1:] if isinstance(word, str)}
    assert allowed == {
        "process-fork", "process-exec", "file-read*", "file-map-executable", "file-write*", "file-write-data",
        "file-read-metadata", "sysctl-read", "signal", "process-info*",
    }  # fmt: skip
    for rule in read(made.text):
        if rule[0] == "allow" and rule[1:] != ["process-fork"]:
            assert any(isinstance(part, list) for part in rule), rule
    names = paths(made, "allow", "sysctl-read", "sysctl-name")
    assert not [name for name in names if name.startswith("kern.proc")]
    assert paths(made, "allow", "sysctl-read", "sysctl-name-prefix") == ["hw."]
    assert ["deny", "network*"] in read(made.text)


def test_system_folders_hold_no_way_round() -> None:
    for other in ("/System/Volumes/Data/Users/me/key", "/private/var/folders/x", "/usr/local/var/db", "/private/etc/x"):
        assert not [place for place in seatbelt.SYSTEM if Path(other).is_relative_to(place)]


def test_what_is_hidden_is_refused_last_and_keeps_its_place() -> None:
    hidden = ["/w/a/b/key", "/w/.git"]
    made = profile(read=["/w"], write=["/s", "/w"], hidden=hidden, mark="/m")
    last = read(made.text)[-1]
    assert last[:3] == ["deny", "file*", "process-exec"]
    assert paths(made, "deny", "file*") == [*hidden, "/m/unseen"]
    assert paths(made, "deny", "file-write-unlink", "literal") == ["/s", "/w", "/w/a/b", "/w/a"]


def test_a_job_that_may_write_where_its_mark_is_can_not_change_it() -> None:
    made = profile(read=["/t"], write=["/t/x/job/scratch", "/t"], mark="/t/x/job")
    rules = read(made.text)
    assert [rule[1] for rule in rules[-3:]] == ["file-write-unlink", "file-write*", "file*"]
    assert set(paths(made, "deny", "file-write-unlink", "literal")) == {"/t", "/t/x", "/t/x/job", "/t/x/job/scratch"}
    assert paths(made, "deny", "file-write*", "literal") == ["/t/x/job/seen"]
    assert paths(made, "deny", "file*") == ["/t/x/job/unseen"]


@pytest.mark.parametrize("odd", ODD)
def test_a_path_is_never_in_the_text(odd: str, tmp_path: Path) -> None:
    plain, names = (_profile_in(tmp_path, name) for name in ("plain", odd))
    assert plain.text == names.text
    assert str(tmp_path / odd) in names.values.values()
    assert f"READ0={tmp_path / odd}" in names.words()


@given(st.lists(st.text(min_size=1).filter(lambda text: "\0" not in text), min_size=1, max_size=4, unique=True))
def test_no_path_changes_the_rules(found: list[str]) -> None:
    given_paths = [f"/{name}" for name in found]
    made = profile(read=given_paths, write=["/s"], hidden=given_paths, mark="/m")
    assert set(made.text) <= set("".join(map(chr, range(32, 127))) + "\n")
    assert paths(made, "deny", "file*") == [*given_paths, "/m/unseen"]
    assert len(read(made.text)) == 17


def _profile_in(folder: Path, name: str) -> Profile:
    place = str(folder / name)
    return profile(read=[place], write=[f"{place}/w"], hidden=[f"{place}/h"], mark=f"{place}/m")


@pytest.fixture
def stand_in(tmp_path: Path) -> str:
    """Applies nothing and becomes the command, as `sandbox-exec` does once it has applied a profile."""
    program = tmp_path / "stand-in"
    program.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    program.chmod(0o755)
    return str(program)


def by_home(mark: str, among: Iterable[int] | None) -> Collection[int]:
    """A job's processes have its scratch folder as their home; what is held on macOS is told by its profile."""
    return [pid for pid in (psutil.pids() if among is None else among) if _home(pid) == f"{mark}/scratch"]


def _home(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        if any("(version 1)" in word for word in process.cmdline()):
            return ""  # what applies the profile is not held yet
        return process.environ().get("HOME", "")
    except psutil.Error:
        return ""


@pytest.fixture
def sandbox(stand_in: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    # Linux counts threads where macOS counts processes.
    monkeypatch.setattr(seatbelt, "_processes_of_this_user", lambda: 100_000)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return Sandbox("seatbelt", partial(Seatbelt, program=stand_in, marked=by_home))


def orders_of(launch: Seatbelt) -> dict[str, Any]:
    return marshal.loads(launch._orders)


def test_a_start_is_what_it_should_be(sandbox: Sandbox, stand_in: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "key").touch()
    (tmp_path / "real" / "link").symlink_to("key")
    (tmp_path / "workspace").symlink_to("real")
    job = Job(
        argv=("prog", "-x", "; rm"),
        workspace=tmp_path / "workspace",
        hidden=("link", "none", "gone/../.."),
        writable=True,
        variables={"A": "1"},
    )
    launch = Seatbelt(job, program=stand_in)
    try:
        orders = orders_of(launch)
        own = f"{launch._mark}/scratch"
        assert launch.argv[:3] == (sys.executable, "-I", "-S")
        assert Path(launch.argv[3]).name == "seatbelt_confine.py" and Path(launch.argv[3]).is_file()
        assert [int(word) for word in launch.argv[4:]] == list(launch.descriptors)
        assert launch.variables == {"LANG": "C.UTF-8"}
        assert launch.folder == str((tmp_path / "real").resolve())
        argv = orders["argv"]
        assert argv[0] == stand_in
        assert argv[argv.index("--") + 1 :] == ["/bin/sh", "-c", seatbelt._WAITS, "sh", "prog", "-x", "; rm"]
        assert orders["variables"]["HOME"] == own and orders["variables"]["A"] == "1"
        assert set(orders["variables"]) & set(os.environ) <= {"PATH", "HOME", "LANG", "TMPDIR", *seatbelt_variables()}
        assert resource.RLIMIT_AS not in orders["limits"]
        values = dict(word.split("=", 1) for word in argv if re.match(r"[A-Z]+\d+=", word))
        assert [values["WRITE0"], values["WRITE1"]] == [own, launch.folder]
        assert [values["HIDDEN0"], values["HIDDEN1"]] == [f"{launch.folder}/key", f"{launch.folder}/none"]
        assert all(path == os.path.realpath(path) for name, path in values.items() if name != "HIDDEN1")
    finally:
        launch.close()
    assert not Path(launch._mark).exists()


def seatbelt_variables() -> set[str]:
    return {"PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS"}


def test_it_is_offered_on_macos_only(monkeypatch: pytest.MonkeyPatch, stand_in: str) -> None:
    monkeypatch.setattr(seatbelt, "PROGRAM", stand_in)
    for user, platform, offered in ((501, "darwin", True), (0, "darwin", False), (501, "linux", False)):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert ("seatbelt" in [one.tier for one in candidates()]) is offered
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "geteuid", lambda: 501)
    monkeypatch.setattr(seatbelt, "PROGRAM", "/nonexistent")
    assert candidates() == []


async def test_one_that_holds_nothing_is_refused(sandbox: Sandbox) -> None:
    """As the stand-in does."""
    found = await probe.probe(sandbox)
    assert "files outside can't be read" in found.problem and "no connection leaves" in found.problem


async def test_what_is_not_seen_to_be_held_never_runs(stand_in: str, tmp_path: Path, sandbox: Sandbox) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    job = Job(argv=("touch", "ran"), workspace=workspace, writable=True)
    unseen = Sandbox("seatbelt", partial(Seatbelt, program=stand_in, marked=lambda mark, among: ()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seatbelt, "_HELD_S", 0.3)
        with pytest.raises(SandboxUnavailable, match="can't be seen to be held"):
            await unseen.run(job)
    refusing = tmp_path / "refusing"
    refusing.write_text("#!/bin/sh\necho sandbox_apply: not permitted >&2\nexit 71\n")
    refusing.chmod(0o755)
    for program, said in ((str(refusing), "sandbox_apply"), ("/nonexistent", "No such file")):
        with pytest.raises(SandboxUnavailable, match=said):
            await Sandbox("seatbelt", partial(Seatbelt, program=program, marked=by_home)).run(job)
    assert list(workspace.iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []


async def test_a_job_runs_with_its_own_input_variables_and_status(sandbox: Sandbox, tmp_path: Path) -> None:
    source = (
        "import os, sys; print(sorted(os.environ)); print(os.listdir('/proc/self/fd')); print(sys.stdin.read()); "
        "print(os.getcwd(), os.nice(0)); sys.exit(7)"
    )
    finished = await sandbox.run(Job(argv=("python3", "-c", source), stdin=b"given", variables={"X": "1"}))
    assert (finished.status, finished.stopped, finished.tier) == (7, "", "seatbelt")
    variables, descriptors, given_to_it, place = finished.output.splitlines()
    own = {"X", "PATH", "HOME", "TMPDIR", "LANG", *seatbelt_variables()}
    assert own <= set(eval(variables)) <= own | {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    assert set(eval(descriptors)) == {"0", "1", "2", "3"}  # the last to list them
    assert given_to_it == "given" and place.startswith(str(tmp_path / "temporary")) and place.endswith(" 10")
    missing = await sandbox.run(Job(argv=("no-such-program",)))
    assert missing.status == 127 and "not found" in missing.errors


async def test_limits_hold(sandbox: Sandbox) -> None:
    python = ("python3", "-I", "-S", "-c")
    endless = await sandbox.run(Job(argv=("sleep", "60"), limits=Limits(wall_s=0.2)))
    assert (endless.stopped, endless.status) == ("time", -signal.SIGKILL)
    busy = await sandbox.run(Job(argv=(*python, "while True: pass"), limits=Limits(cpu_s=1)))
    assert busy.stopped == "cpu"
    large = "import time; kept = bytearray(200 << 20); kept[::4096] = bytes(len(kept[::4096])); time.sleep(60)"
    heavy = await sandbox.run(Job(argv=(*python, large), limits=Limits(memory=100 * MIB, wall_s=4)))
    assert heavy.stopped == "memory"
    told = await sandbox.run(Job(argv=("sh", "-c", "ulimit -n; ulimit -c; ulimit -f"), limits=Limits(open_files=77)))
    assert told.output.split() == ["77", "0", str(32 * MIB // 512)]


async def test_output_is_cut(sandbox: Sandbox) -> None:
    limits = Limits(output_bytes=1000, flood_bytes=MIB)
    flood = await sandbox.run(Job(argv=("yes",), limits=limits))
    assert flood.stopped == "output" and len(flood.output) < 1200 and flood.output_cut > MIB // 2


async def test_nothing_is_left(sandbox: Sandbox, tmp_path: Path) -> None:
    """Not what is in the background, nor what left the session and holds on to nothing of the job."""
    mark = f"60.{os.getpid()}"
    source = (
        f"sleep {mark} & setsid sleep {mark} </dev/null >/dev/null 2>&1 & sleep 0.1; mkdir -p a/b; chmod 0 a; echo on"
    )
    finished = await sandbox.run(Job(argv=("sh", "-c", source)))
    assert finished.output == "on\n"
    assert not _running(mark)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_job_ends_with_the_program_that_asked_for_it(stand_in: str) -> None:
    mark = f"61.{os.getpid()}"
    source = f"""
import asyncio
from smidgen.tools.sandbox import Job, seatbelt
from smidgen.tools.sandbox.box import Sandbox
seatbelt._processes_of_this_user = lambda: 100000
box = Sandbox("seatbelt", lambda job: seatbelt.Seatbelt(job, {stand_in!r}, lambda mark, among: among or ()))
asyncio.run(box.run(Job(argv=("sh", "-c", "sleep {mark} & sleep {mark}"))))
"""
    with subprocess.Popen([sys.executable, "-c", source]) as parent:
        assert _until(lambda: len([one for one in _running(mark) if one.name() == "sleep"]) == 2)
        parent.kill()
    assert _until(lambda: not _running(mark))


def _until(holds: Any) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return False


def _running(mark: str) -> list[psutil.Process]:
    found = [one for one in psutil.process_iter(["cmdline", "status"]) if mark in (one.info["cmdline"] or [])]
    return [one for one in found if one.info["status"] != psutil.STATUS_ZOMBIE]


def test_where_it_can_not_be_asked_nobody_is_marked(tmp_path: Path) -> None:
    if sys.platform != "darwin":
        assert seatbelt_confine.marked(str(tmp_path)) == []


def test_only_who_knows_of_the_one_file_and_not_of_the_other_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {10: (0, 1), 11: (0, 0), 12: (1, 1), 13: (1, 0), 14: (-1, -1), os.getpid(): (0, 0)}

    class Asked:
        argtypes: Any = None

        def __call__(self, pid: int, operation: bytes, kind: int, path: Any) -> int:
            assert (operation, kind) == (b"file-read-metadata", 0x40000001)
            return held[pid][path.value == b"/m/unseen"]

    class Library:
        sandbox_check = Asked()

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(seatbelt_confine.ctypes, "CDLL", lambda name: Library())
    assert seatbelt_confine.marked("/m", [10, 11, 12, 13, 14]) == [10]
    held[os.getpid()] = (1, 1)
    assert seatbelt_confine.marked("/m", [10]) == []
