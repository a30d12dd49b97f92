"""The tools that run programs, as an agent calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import SandboxUnavailable
from smidgen.tools import ToolOutcome
from smidgen.tools.function import FunctionTool
from smidgen.tools.programs.command import command_tool
from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.programs.python import LOST, python_tool
from smidgen.tools.programs.sessions import Sessions
from smidgen.tools.sandbox import MIB, Limits
from smidgen.tools.sandbox.box import Sandbox

LIMITS = Limits(wall_s=0.5, memory=512 * MIB, file_bytes=4 * MIB, output_bytes=2000)


@pytest.fixture
async def sessions(sandbox: Sandbox, workspace: Path) -> AsyncIterator[Callable[[bool], Sessions]]:
    made: list[Sessions] = []

    def one(writable: bool = False) -> Sessions:
        made.append(Sessions(lambda: Interpreter.start(sandbox, workspace, writable=writable, limits=LIMITS)))
        return made[-1]

    yield one
    for found in made:
        await found.aclose()


@pytest.fixture
def command(sandbox: Sandbox, workspace: Path) -> Callable[..., FunctionTool]:
    async def boxes() -> Sandbox:
        return sandbox

    def one(*, writable: bool = False, hidden: tuple[str, ...] = ()) -> FunctionTool:
        async def out_of_sight() -> tuple[str, ...]:
            return hidden

        return command_tool(boxes, workspace, writable=writable, hidden=out_of_sight)

    return one


async def test_python_says_what_came_of_it(
    sessions: Callable[..., Sessions], sandbox: Sandbox, workspace: Path
) -> None:
    tool = python_tool(sessions())

    async def call(code: object) -> ToolOutcome:
        return await tool.call({"code": code})

    async def text(code: str) -> str:
        outcome = await call(code)
        assert outcome.ok and outcome.value == outcome.text and outcome.tier == sandbox.tier, outcome
        return outcome.text

    assert await text("x = 20\nprint('one')\nx + 1") == "one\n21"
    assert await text("x = 1") == await text("None") == "(nothing was printed)"
    for fenced in (
        "```python\nprint(x)\n```",
        "```\nprint(x)\n```",
        "\n```py\nprint(x)```\n",
        "```python\nprint(x)",
        "print(x)",
    ):
        assert await text(fenced) == "1", fenced
    assert await text("'```'") == "'```'"
    assert await text("open('notes.txt').read()") == "'inside'"
    with_names = "import os; [name for name in sorted(os.listdir()) if name]"
    assert await text(with_names) == "['notes.txt']"

    async def failure(code: object) -> tuple[str, str]:
        outcome = await call(code)
        assert not outcome.ok and len(outcome.text) <= 500 and outcome.value == outcome.text
        return outcome.text, outcome.fault

    assert await failure("print('on')\n1 / 0") == (
        "on\nline 2: 1 / 0\nZeroDivisionError: division by zero",
        "arguments",
    )
    told, fault = await failure("print('x' * 5000)\nlong_name_that_is_not_there")
    assert told.endswith("NameError: name 'long_name_that_is_not_there' is not defined") and fault == "arguments"
    assert (await failure("open('notes.txt', 'w')"))[1] == "arguments"
    assert (workspace / "notes.txt").read_text() == "inside"
    assert await failure("while True: pass") == ("The code took too long and was interrupted.", "world")
    assert await text("x") == "1"
    assert await failure("import os; os._exit(0)") == ("The code ended its Python. What was defined is gone.", "world")
    told, fault = await failure("x")
    assert told.endswith(LOST) and "NameError" in told and fault == "arguments"
    assert await text("'again'") == "'again'"
    assert (await failure("'\ud800'"))[1] == (await failure("#" * 2**21))[1] == (await failure(5))[1] == "arguments"
    assert (await call("import os; os._exit(0)")).tier == sandbox.tier
    assert await text("2") == f"{LOST}\n2"


async def test_python_that_may_write_counts_as_a_change(sessions: Callable[..., Sessions], workspace: Path) -> None:
    reading, writing = python_tool(sessions()), python_tool(sessions(writable=True), writable=True)
    assert (reading.effect, writing.effect) == ("read", "write")
    assert [use.verb for tool in (reading, writing) for use in tool.uses({"code": "1"})] == ["run", "write"]
    assert reading.preview({"code": "1"}) == "run Python:\n1"
    assert writing.preview({"code": "1"}) == "run Python, which may change files here:\n1"
    outcome = await writing.call({"code": "open('new.txt', 'w').write('x')"})
    assert outcome.text == "1" and (workspace / "new.txt").read_text() == "x"


async def test_one_that_cannot_start_is_an_outcome() -> None:
    async def refuse() -> Any:
        raise SandboxUnavailable("Nothing holds here.")

    outcome = await python_tool(Sessions(refuse)).call({"code": "1"})
    assert (outcome.ok, outcome.text, outcome.fault) == (False, "Nothing holds here.", "world")
    outcome = await command_tool(refuse, None).call({"command": ["ls"]})
    assert (outcome.ok, outcome.text, outcome.fault) == (False, "Nothing holds here.", "world")


async def test_commands_say_what_came_of_them(
    command: Callable[..., FunctionTool], sandbox: Sandbox, workspace: Path
) -> None:
    tool = command()
    (workspace / "my notes.txt").write_text("a\nb\n")
    (workspace / "plain").write_text("x")
    (workspace / "plain").chmod(0o755)

    async def call(words: object) -> ToolOutcome:
        outcome = await tool.call({"command": words})
        assert outcome.tier == sandbox.tier or outcome.fault == "arguments"
        return outcome

    async def text(words: object) -> str:
        outcome = await call(words)
        assert outcome.ok and outcome.value["status"] == 0, outcome
        return outcome.text

    assert await text(["wc", "-l", "my notes.txt"]) == await text("wc -l 'my notes.txt'") == "2 my notes.txt"
    assert await text("cat 'my notes.txt' | wc -l | tr -d ' '") == "2"
    assert await text("true") == "(nothing was printed)"
    assert await text(["echo", "$HOME", ";", "ls", "*"]) == "$HOME ; ls *"
    both = await call(["sh", "-c", "echo out; echo err >&2"])
    assert (both.text, both.value) == ("out\nerr", {"output": "out\n", "errors": "err\n", "status": 0})
    long = await call(["seq", "100000"])
    assert long.text.startswith("1\n2\n") and long.text.endswith("\n100000") and "bytes left out" in long.text
    assert len(long.text) < 70_000

    async def failure(words: object) -> tuple[str, str]:
        outcome = await call(words)
        assert not outcome.ok and len(outcome.value) <= 500
        return outcome.text, outcome.fault

    assert await failure(["no-such-program", "x"]) == ("There is no program 'no-such-program' here.", "arguments")
    assert await failure("cd subfolder") == ("There is no program 'cd' here.", "arguments")
    assert await failure(["/usr"]) == ("'/usr' can't be run: Permission denied.", "arguments")
    assert (await failure(["./plain"]))[1] == "arguments"
    assert (await failure(["sh", "-c", "no-such-program"]))[0].endswith("not found\n[exit status 127]")
    assert (await failure("no-such-program | cat; exit 127"))[1] == "arguments"
    assert await failure(["false"]) == ("[exit status 1]", "world")
    told, fault = await failure(["sh", "-c", "echo on; echo 'bwrap: execvp x: y' >&2; exit 1"])
    assert (told, fault) == ("on\nbwrap: execvp x: y\n[exit status 1]", "world")
    assert (await failure(["cat", "nowhere"]))[0].endswith("[exit status 1]")
    assert (await failure(["sh", "-c", "kill -9 $$"]))[0] == "[exit status -9]"
    for nonsense in ([], "", "  ", "\n", None, 5, ["a", 5], "a\0b", ["a\ud800"], {"x": 1}):
        assert (await failure(nonsense))[1] == "arguments", nonsense


async def test_commands_change_files_only_where_they_may(command: Callable[..., FunctionTool], workspace: Path) -> None:
    assert not (await command().call({"command": ["touch", "new"]})).ok
    assert not (await command().call({"command": "echo x > new"})).ok
    assert not (workspace / "new").exists()
    assert (await command(writable=True).call({"command": "echo x > new"})).ok
    assert (workspace / "new").read_text() == "x\n"


async def test_commands_do_not_see_what_is_hidden(
    command: Callable[..., FunctionTool], sandbox: Sandbox, workspace: Path
) -> None:
    outcome = await command(hidden=("notes.txt",)).call({"command": "cat notes.txt"})
    if sandbox.tier == "landlock":
        assert not outcome.ok and "can't hide" in outcome.text and outcome.fault == "world"
    else:
        assert outcome.text == "cat: notes.txt: Permission denied\n[exit status 1]"


async def test_a_command_that_takes_too_long_is_told_with_what_it_wrote(
    command: Callable[..., FunctionTool], monkeypatch: pytest.MonkeyPatch, marker: str
) -> None:
    monkeypatch.setattr("smidgen.tools.programs.command.LIMITS", Limits(wall_s=0.4))
    outcome = await command().call({"command": ["sh", "-c", "echo on; sleep 600 & sleep 600", marker]})
    assert (outcome.ok, outcome.text, outcome.fault) == (False, "on\n[stopped: it took too long]", "world")
    work = asyncio.ensure_future(command().call({"command": ["sh", "-c", "sleep 600", marker]}))
    await asyncio.sleep(0.1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
