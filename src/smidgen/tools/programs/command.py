"""The tool `run_command`: a program and its arguments, in the sandbox. A line for a shell is asked about first."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import pydantic

from smidgen.tools import ToolOutcome, Use
from smidgen.tools.function import BadArguments, FunctionTool, tool
from smidgen.tools.sandbox import Finished, Job, Limits
from smidgen.tools.sandbox.box import Boxes, OutOfSight

SHELL_SIGNS = frozenset("|&;<>()$`\\*?[]#~{}!\n")
"""What a shell gives a meaning to wherever it stands, beside quotes. Source: POSIX.1-2017, Shell Command Language, 2.2;
of its `=` and `%`, the first is one where words begin, and the second for the shell's own commands."""
_WORD = re.compile(r"""(?:[^ \t'"]++|'[^']*+'|"[^"]*+")++""")
_BLANKS = re.compile(r"[ \t]*+")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "rbash", "zsh", "ksh", "mksh", "yash", "csh", "tcsh"})
_FIRST = _SHELLS | {"fish", "nu", "elvish", "xonsh", "pwsh", "busybox", "toybox", "env", "eval"}
_VERSION = re.compile(r"(?<=[a-z])[-\d.]+$|\.exe$")
_REASONS = frozenset(map(os.strerror, errno.errorcode))
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
    together. Any other text is a `Line`. Raises BadArguments for what is neither, or empty, or no text."""
    if isinstance(command, list) and all(isinstance(word, str) for word in cast("list[object]", command)):
        words = cast("list[str]", command)
    elif isinstance(command, str):
        found = None if SHELL_SIGNS & set(command) else _split(command)
        words = [command] if found is None else found
        if command.strip() and (found is None or (words and "=" in words[0])) and _is_text(command):
            return Line(command)
    else:
        raise BadArguments("A command is a list of words: the program and its arguments.")
    if not words or not words[0].strip():
        raise BadArguments("The command is empty.")
    if not all(map(_is_text, words)):
        raise BadArguments("The command holds what can't be passed to a program: a zero byte, or half a character.")
    return words


def _split(text: str) -> list[str] | None:
    """At blanks, quotes taken off; None if one isn't closed. Of a text without other signs of a shell's."""
    words: list[str] = []
    at = _end(_BLANKS, text, 0)
    while at < len(text):
        end = _end(_WORD, text, at)
        word = text[at:end]
        at = _end(_BLANKS, text, end)
        if at == end < len(text):
            return None
        words.append(re.sub(r"""'([^']*)'|"([^"]*)\"""", r"\1\2", word))
    return words


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _is_text(word: str) -> bool:
    try:
        return b"\0" not in os.fsencode(word)
    except UnicodeEncodeError:
        return False


def _words(command: object) -> object:
    """For pydantic, which then checks that it is a list: a line for a shell is the list of its three words."""
    try:
        found = parsed(command)
    except BadArguments as error:
        raise ValueError(error.message) from error
    return ["sh", "-c", str(found)] if isinstance(found, Line) else found


Command = Annotated[list[str], pydantic.BeforeValidator(_words)]


def command_tool(
    boxes: Boxes, workspace: Path | None, *, writable: bool = False, hidden: OutOfSight | None = None
) -> FunctionTool:
    """writable: may programs change files of the workspace? Then every call counts as a change. hidden: which files of
    it they can't read."""

    async def run_command(command: Command) -> ToolOutcome:
        """Run a program in the folder.

        Args:
            command: the program and its arguments, for example ["wc", "-l", "notes.txt"]
        """
        sandbox = await boxes()
        out_of_sight = await hidden() if hidden is not None else ()
        job = Job(argv=tuple(command), workspace=workspace, writable=writable, hidden=out_of_sight, limits=LIMITS)
        finished = await sandbox.run(job)
        return _not_started(finished, command[0]) or _outcome(finished)

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
    """Or one that is started by another program. A script that calls itself otherwise isn't known."""
    names = [_VERSION.sub("", Path(word).name) for word in words]
    return names[0] in _FIRST or not _SHELLS.isdisjoint(names)


def _not_started(finished: Finished, program: str) -> ToolOutcome | None:
    """Of a program that wasn't found, or can't be run. The sandbox says so in the program's place (confine.py, and
    bubblewrap with a status of its own)."""
    status, prefix = (1, f"bwrap: execvp {program}: ") if finished.tier == "bubblewrap" else (127, f"{program}: ")
    said = finished.errors.removeprefix(prefix).removesuffix("\n")
    if finished.output or finished.status != status or said not in _REASONS:
        return None
    is_missing = said == os.strerror(errno.ENOENT)
    text = f"There is no program {program!r} here." if is_missing else f"{program!r} can't be run: {said}."
    return ToolOutcome(ok=False, value=text, text=text, fault="arguments", tier=finished.tier)


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
