"""The tool `run_command`: a program and its arguments, in the sandbox. A line for a shell is asked about first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import pydantic

from smidgen.tools import ToolOutcome, Use
from smidgen.tools.function import BadArguments, FunctionTool, tool
from smidgen.tools.programs import Boxes
from smidgen.tools.sandbox import Finished, Job, Limits

SHELL_SIGNS = frozenset("|&;<>()$`\\\"'*?[]#~=%{}!\n")
"""What a shell gives a meaning to. Source: POSIX.1-2017, Shell Command Language, 2.2."""
LIMITS = Limits(wall_s=20.0)
_STOPPED = {
    "time": "it took too long",
    "cpu": "it used more processor time than it may",
    "memory": "it took more memory than it may",
    "processes": "it started more processes than it may",
    "output": "it wrote far more than can be kept",
}


class Line(str):
    """A command that only a shell can read."""


def parsed(command: object) -> list[str] | Line:
    """A list as it is. A text is split into words where a shell would do nothing else with it; quotes keep words
    together. Any other text is a `Line`. Raises BadArguments for what is neither, or empty."""
    if isinstance(command, list) and all(isinstance(word, str) for word in cast("list[object]", command)):
        words = cast("list[str]", command)
    elif isinstance(command, str):
        quoted = SHELL_SIGNS - frozenset("\"'")
        try:
            words = shlex.split(command)
        except ValueError:
            return Line(command)
        if quoted & set(command) or (words and "=" in words[0]):
            return Line(command)
    else:
        raise BadArguments("A command is a list of words: the program and its arguments.")
    if not words or not words[0].strip():
        raise BadArguments("The command is empty.")
    return words


def _words(command: object) -> object:
    """For pydantic, which then checks that it is a list: a line for a shell is the list of its three words."""
    try:
        found = parsed(command)
    except BadArguments as error:
        raise ValueError(error.message) from error
    return ["sh", "-c", str(found)] if isinstance(found, Line) else found


Command = Annotated[list[str], pydantic.BeforeValidator(_words)]


def command_tool(
    boxes: Boxes, workspace: Path | None, *, writable: bool = False, hidden: Callable[[], Sequence[str]] = tuple
) -> FunctionTool:
    """writable: may programs change files of the workspace? Then every call counts as a change. hidden: which files of
    it are as if they were empty."""

    async def run_command(command: Command) -> ToolOutcome:
        """Run a program in the folder.

        Args:
            command: the program and its arguments, for example ["wc", "-l", "notes.txt"]
        """
        sandbox = await boxes()
        job = Job(argv=tuple(command), workspace=workspace, writable=writable, hidden=tuple(hidden()), limits=LIMITS)
        return _outcome(await sandbox.run(job))

    def uses(arguments: Mapping[str, Any]) -> tuple[Use, ...]:
        try:
            found = parsed(arguments.get("command"))
        except BadArguments:
            return ()
        through_shell = isinstance(found, Line) or _is_shell(found)
        line = str(found) if isinstance(found, Line) else shlex.join(found)
        return (Use(verb="write" if writable or through_shell else "run", path=".", command=line),)

    def preview(arguments: Mapping[str, Any]) -> str:
        command = next((use.command for use in uses(arguments)), "")
        return f"run {command}{' (it may change files here)' if writable else ''}"

    return tool(name="run_command", effect="write" if writable else "read", uses=uses, preview=preview)(run_command)


def _is_shell(words: list[str]) -> bool:
    return Path(words[0]).name in {"sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "busybox", "env", "eval"}


def _outcome(finished: Finished) -> ToolOutcome:
    told = "\n".join(part for part in (finished.output.rstrip("\n"), finished.errors.rstrip("\n")) if part)
    if finished.stopped:
        told = f"{told}\n[stopped: {_STOPPED[finished.stopped]}]".strip()
    elif finished.status:
        told = f"{told}\n[exit status {finished.status}]".strip()
    text = told or "(nothing was printed)"
    value = {"output": finished.output, "errors": finished.errors, "status": finished.status}
    fault = "" if finished.ok else "arguments" if finished.status in (126, 127) else "world"
    return ToolOutcome(
        ok=finished.ok, value=value if finished.ok else text[:500], text=text, fault=fault, tier=finished.tier
    )
