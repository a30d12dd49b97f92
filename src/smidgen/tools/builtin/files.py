"""File tools over one workspace folder: list, read, search, write. Sizes are bounded and every cut is told."""

from __future__ import annotations

import os
from pathlib import Path

from smidgen.errors import ToolFailed
from smidgen.tools import ToolOutcome
from smidgen.tools.builtin.confined import Workspace, components
from smidgen.tools.builtin.search import MAX_SCANNED, Search, shown
from smidgen.tools.function import BadArguments, FunctionTool, tool

MAX_READ = 64 * 1024
MAX_WRITE = 1024 * 1024
MAX_LISTED = 200


def file_tools(root: str | Path) -> tuple[FunctionTool, ...]:
    workspace = Workspace(root)

    @tool
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

    @tool
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
        return ToolOutcome(ok=True, value=text, text=text + cut)

    @tool
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
        return ToolOutcome(ok=True, value=matches, text=said, answer=said)

    @tool(effect="write")
    def write_file(path: str, content: str) -> ToolOutcome:
        """Write text to a file; an older file of that name is replaced.

        Args:
            path: for example "notes.txt"
            content: the whole text of the file
        """
        data = content.encode("utf-8", "surrogatepass")
        if len(data) > MAX_WRITE:
            raise ToolFailed(f"The text has {len(data)} bytes; {MAX_WRITE} are allowed.")
        new = workspace.write(path, data)
        said = f"{'Wrote' if new else 'Replaced'} {path} ({len(data)} bytes)."
        return ToolOutcome(ok=True, value={"path": path, "bytes": len(data), "new": new}, text=said, answer=said)

    return list_files, read_file, search_files, write_file


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
