"""File tools over one workspace folder: list, read, search, write, edit, undo. Sizes are bounded and every cut is
told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen.errors import ToolFailed
from smidgen.tools import ToolOutcome, Use, Verb
from smidgen.tools.builtin.confined import Hidden, OutsideWorkspace, Workspace, components
from smidgen.tools.builtin.difference import line_count
from smidgen.tools.builtin.edit import MAX_WRITE, edited, text_of
from smidgen.tools.builtin.passage import PassageNotFound, nearest_lines
from smidgen.tools.builtin.preview import edit_preview, undo_preview, write_preview
from smidgen.tools.builtin.search import MAX_SCANNED, Search, shown
from smidgen.tools.builtin.undo import Journal
from smidgen.tools.function import BadArguments, FunctionTool, Uses, tool
from smidgen.tools.visible import visible

MAX_READ = 64 * 1024
MAX_LISTED = 200


def file_tools(root: str | Path, hidden: Hidden | None = None) -> tuple[FunctionTool, ...]:
    """The tools share one journal: undo_write takes back what this set wrote in the same conversation, and no other.

    hidden: files and folders that are as if they weren't there.
    """
    workspace = Workspace(root, hidden)
    return (*_reading_tools(workspace), *_writing_tools(workspace))


def _reading_tools(workspace: Workspace) -> tuple[FunctionTool, ...]:
    @tool(uses=_use("read", "folder", "."))
    def list_files(folder: str = ".") -> ToolOutcome:
        """List the files in a folder.

        Args:
            folder: for example "." for the folder here, or "docs"
        """
        entries = workspace.entries(components(folder))
        names = [shown(name) + ("/" if is_folder else "") for name, is_folder, _ in entries]
        names.sort(key=str.lower)
        where = "here" if not components(folder) else f"in {folder}"
        if not names:
            return ToolOutcome(ok=True, value=[], text="(empty)", answer=f"There are no files {where}.")
        cut = len(names) - MAX_LISTED
        text = "\n".join(names[:MAX_LISTED]) + (f"\n[cut: {cut} more]" if cut > 0 else "")
        return ToolOutcome(ok=True, value=names[:MAX_LISTED], text=text, answer=text)

    @tool(uses=_use("read", "path"))
    def read_file(path: str, first_line: int = 1, last_line: int | None = None) -> ToolOutcome:
        """Read the text of a file.

        Args:
            path: for example "notes.txt" or "docs/plan.md"
            first_line: the line to start at
            last_line: the line to end at; left out, the end of the file
        """
        if first_line < 1 or (last_line is not None and last_line < first_line):
            raise BadArguments("Lines count from 1, and the last can't come before the first.")
        text, cut = _read_lines(workspace, path, first_line, last_line)
        if not text:
            text = "(empty)" if first_line == 1 else f"(the file ends before line {first_line})"
        return ToolOutcome(ok=True, value=text, text=text + cut, material=True)

    @tool(uses=_use("read", "folder", "."))
    def search_files(text: str, folder: str = ".") -> ToolOutcome:
        """Find the lines in files that contain some text.

        Args:
            text: the words to look for, capitals ignored
            folder: where to look, for example "."
        """
        wanted = text.strip().lower()
        if not wanted:
            raise BadArguments("Say which text to look for.")
        search = Search(workspace, wanted)
        matches = search.run(components(folder))
        lines = [f"{match['path']}:{match['line']}: {match['text']}" for match in matches]
        lines = lines or [f"No file {'that was searched ' if search.notes else ''}contains {text!r}."]
        lines += [f"[{note}]" for note in search.notes]
        said = "\n".join(lines)
        return ToolOutcome(ok=True, value=matches, text=said, answer=said, material=True)

    return list_files, read_file, search_files


def _writing_tools(workspace: Workspace) -> tuple[FunctionTool, ...]:
    journal = Journal(workspace)

    @tool(effect="write", uses=_use("write", "path"), preview=lambda given: write_preview(workspace, given))
    def write_file(path: str, content: str) -> ToolOutcome:
        """Write text to a file; an older file of that name is replaced.

        Args:
            path: for example "notes.txt"
            content: the whole text of the file
        """
        data = content.encode("utf-8", "surrogatepass")
        if len(data) > MAX_WRITE:
            raise ToolFailed(f"The text has {len(data)} bytes; {MAX_WRITE} are allowed.")
        written = journal.write(path, data)
        said = f"{'Wrote' if written.new else 'Replaced'} {path} ({len(data)} bytes)."
        value = {"path": path, "bytes": len(data), "new": written.new}
        return ToolOutcome(ok=True, value=value, text=_noted(said, written.note), answer=_noted(said, written.note))

    @tool(effect="write", uses=_use("write", "path"), preview=lambda given: edit_preview(workspace, given))
    def edit_file(path: str, old: str, new: str) -> ToolOutcome:
        """Change one passage of a file; the rest stays as it is.

        Args:
            path: for example "notes.txt"
            old: the passage as it stands in the file, where it occurs once
            new: what it is replaced by
        """
        with journal.alone:
            try:
                change = edited(workspace, path, old, new)
            except PassageNotFound as error:
                near = nearest_lines(text_of(workspace, path)[1], old)
                raise BadArguments(f"{error.message} {_hint(near)}") from None
            written = journal.write(path, change.data)
        name = visible("/".join(components(path)))
        how = f" (found {change.how})" if change.how else ""
        said = _noted(f"Changed {name}, {change.lines}{how}.", written.note)
        shown = change.difference.shown(keep="\t")
        value = {"path": path, "line": change.difference.line}
        return ToolOutcome(ok=True, value=value, text=f"{said}\n{shown}", answer=said)

    def undo_use(_: Mapping[str, Any]) -> tuple[Use, ...]:
        step = journal.asked()
        return (Use(verb="write", path=step.path),) if step else ()

    @tool(effect="write", uses=undo_use, preview=lambda _: undo_preview(journal))
    def undo_write() -> ToolOutcome:
        """Take back the last write or change of a file."""
        step = journal.undo()
        name = visible(step.path)
        if step.former is None:
            said = f"Took back the last write: removed {name}, which was new."
        else:
            lines = line_count(step.former.decode("utf-8", "replace"))
            said = f"Took back the last write: {name} is as before ({lines} line{'' if lines == 1 else 's'})."
        said = _noted(said, journal.rest)
        return ToolOutcome(ok=True, value={"path": step.path, "removed": step.former is None}, text=said, answer=said)

    return write_file, edit_file, undo_write


def _use(verb: Verb, name: str, usual: str = "") -> Uses:
    """What a call uses is the path in its argument `name`; `usual` if that is left out. A folder's ends in "/"."""

    def uses(arguments: Mapping[str, Any]) -> tuple[Use, ...]:
        given = arguments.get(name, usual)
        text = given.decode("utf-8", "replace") if isinstance(given, bytes | bytearray) else given
        path = _normal(text) if isinstance(text, str) else ""
        return (Use(verb=verb, path=f"{path}/" if name == "folder" and path not in ("", ".") else path),)

    return uses


def _normal(path: str) -> str:
    """Components joined by "/", "." for the folder itself; what is no path in it, as it stands."""
    try:
        return "/".join(components(path)) or "."
    except OutsideWorkspace:
        return path


def _noted(said: str, note: str) -> str:
    return f"{said} {note}" if note else said


def _hint(near: str) -> str:
    return f"Alike are:\n{near}" if near else "Read the file first, and give the passage as it stands there."


def _read_lines(workspace: Workspace, path: str, first: int, last: int | None) -> tuple[str, str]:
    """The lines, and what to say of a cut ("" if there was none)."""
    kept: list[bytes] = []
    size = scanned = 0
    with workspace.file(path) as handle, os.fdopen(os.dup(handle), "rb") as stream:
        total = os.fstat(handle).st_size
        if b"\0" in stream.peek(4096)[:4096]:
            raise ToolFailed(f"{path!r} is a binary file of {total} bytes, not text.")
        number = 1
        while last is None or number <= last:
            line = stream.readline(MAX_READ + 1)
            scanned += len(line)
            if not line or scanned > MAX_SCANNED:
                break
            if number >= first:
                room = MAX_READ - size
                kept.append(line[:room])
                size += len(line)
                if size > MAX_READ:
                    break
            if line.endswith(b"\n"):
                number += 1
    text = b"".join(kept).decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    if size > MAX_READ:
        return text, f"\n[cut: {MAX_READ} bytes shown, the file has {total}; ask for later lines by number]"
    if scanned > MAX_SCANNED:
        return text, f"\n[cut: only the first {MAX_SCANNED} bytes were looked at]"
    return text, ""
