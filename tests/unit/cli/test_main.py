import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smidgen as package
from smidgen.cli.exits import exit_status
from smidgen.errors import ERRORS_BY_CODE

Run = Callable[..., Any]


def test_version(smidgen: Run) -> None:
    assert smidgen("--version").out == f"smidgen {package.__version__}\n"


def test_without_a_command_the_help_is_shown_as_a_usage_error(smidgen: Run) -> None:
    done = smidgen()
    assert done.status == 2
    assert "run" in done.out


@pytest.mark.parametrize("command", [[], ["run"], ["chat"], ["models"], ["models", "pull"], ["eval"], ["doctor"]])
def test_every_command_has_help(smidgen: Run, command: list[str]) -> None:
    done = smidgen(*command, "--help")
    assert done.status == 0
    assert "usage: smidgen" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "Did you mean run?"),
        (["run", "--max-tokens", "-1"], "is not a whole number"),
        (["run", "--temperature", "nan"], "is not a number"),
        (["run", "--colour"], "unrecognized arguments"),
        (["run", "--tools", "a", "--no-tools"], "not allowed with"),
        (["models"], "required"),
    ],
)
def test_usage_errors_are_an_error_and_a_hint(smidgen: Run, arguments: list[str], said: str) -> None:
    done = smidgen(*arguments)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert "hint: " in done.err


def test_a_bad_configuration_is_a_usage_error(smidgen: Run, script: Any, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("thread = 1\n", encoding="utf-8")
    done = smidgen("run", "Hi")
    assert done.status == 2
    assert "config.toml:1" in done.err
    assert "threads" in done.err


@pytest.mark.parametrize("error", ERRORS_BY_CODE.values(), ids=lambda error: error.code)
def test_every_typed_error_has_a_documented_status(error: type[Any]) -> None:
    status = exit_status(error("message"))
    assert status in ({70} if error.code == "internal" else {1, 2, 3, 4, 5, 130})


COMMAND = """
import asyncio, sys
from smidgen.cli import main, process, run

async def work():
    print("started", flush=True)
    try:
        await asyncio.sleep(30)
    finally:
        print("closed", flush=True)
    return 0

def perform(arguments):
    return process.run_to_end(work)

run.perform = perform
sys.exit(main.main(["run", "Hi"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_close_what_is_open_and_end_in_their_status(number: int, status: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"started\n"
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (out, err, child.returncode) == (b"closed\n", b"", status)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes")
def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    code = "import sys; from smidgen.cli import main; sys.exit(main.main(['--version']))"
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False
        )
    finally:
        os.close(write)
    assert done.stderr == b""
    assert done.returncode == 141
