"""Search for a text in the files of a workspace folder. Files are streamed; whatever was cut or left out is told."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Iterator
from typing import BinaryIO

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.confined import Workspace, problem

MAX_SCANNED = 64 * 1024 * 1024
"""Bytes that one search reads at most, over all files."""
MAX_MATCHES = 50
MAX_LINE = 300
SEARCH_SECONDS = 5.0
SEARCH_DEPTH = 12
PIECE = 64 * 1024
"""Bytes of a line that are looked at together; longer lines are read in overlapping pieces."""
MAX_NAMED = 5
"""Names in one note; of the others the number is told."""

Match = dict[str, object]


class Search:
    """One search. `run` finds the matches, `notes` then says in words what was not looked at, or not all of it."""

    def __init__(self, workspace: Workspace, wanted: str) -> None:
        """wanted: text in lower case."""
        self._workspace = workspace
        self._wanted = wanted
        self._end = time.monotonic() + SEARCH_SECONDS
        self._scanned = 0
        self._stopped = ""
        self._left_out: dict[str, list[str]] = {}

    def run(self, start: tuple[str, ...]) -> list[Match]:
        """Raises ToolFailed if the folder to start in can't be read; what fails below it is left out and noted."""
        matches: list[Match] = []
        for match in self._matches(start):
            if len(matches) == MAX_MATCHES:
                self._stopped = f"stopped after {MAX_MATCHES} matches; there are more"
                break
            matches.append(match)
        return matches

    @property
    def notes(self) -> list[str]:
        notes = [f"{reason}: {_named(paths)}" for reason, paths in self._left_out.items()]
        return [*notes, self._stopped] if self._stopped else notes

    def _leave_out(self, reason: str, path: str) -> None:
        self._left_out.setdefault(reason, []).append(shown(path))

    def _matches(self, start: tuple[str, ...]) -> Iterator[Match]:
        pending = [start]
        while pending:
            parts = pending.pop(0)
            try:
                entries = self._workspace.entries(parts)
            except ToolFailed:
                if parts == start:
                    raise
                self._leave_out("folders that could not be read", "/".join(parts))
                continue
            for name, is_folder, is_file in entries:
                if self._is_spent("/".join((*parts, name))):
                    return
                if is_folder:
                    self._descend(pending, parts, name)
                elif is_file:
                    yield from self._in_file("/".join((*parts, name)))
                else:
                    self._leave_out("links and special files are not searched", "/".join((*parts, name)))

    def _is_spent(self, path: str) -> bool:
        if not self._stopped and self._scanned >= MAX_SCANNED:
            self._stopped = f"stopped at {shown(path)} after {MAX_SCANNED} bytes; name a folder to search less"
        if not self._stopped and time.monotonic() > self._end:
            self._stopped = f"stopped at {shown(path)} after {SEARCH_SECONDS:g} s; name a folder to search less"
        return bool(self._stopped)

    def _descend(self, pending: list[tuple[str, ...]], parts: tuple[str, ...], name: str) -> None:
        path = "/".join((*parts, name))
        if name.startswith("."):
            self._leave_out("hidden folders are searched only when named", path)
        elif len(parts) >= SEARCH_DEPTH:
            self._leave_out(f"folders more than {SEARCH_DEPTH} deep are searched only when named", path)
        else:
            pending.append((*parts, name))

    def _in_file(self, path: str) -> Iterator[Match]:
        try:
            with self._workspace.file(path) as handle, os.fdopen(os.dup(handle), "rb") as stream:
                if b"\0" in stream.peek(4096)[:4096]:
                    self._leave_out("binary files are not searched", path)
                    return
                yield from self._in_lines(stream, path)
        except ToolFailed:
            self._leave_out("files that could not be read", path)
        except OSError as error:
            self._leave_out(f"files that could not be read to their end ({problem(error, '').message})", path)

    def _in_lines(self, stream: BinaryIO, path: str) -> Iterator[Match]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        overlap = 2 * len(self._wanted)
        number, before, found = 1, "", False
        while data := stream.readline(min(PIECE, max(1, MAX_SCANNED - self._scanned))):
            self._scanned += len(data)
            ends = data.endswith(b"\n")
            text = before + decoder.decode(data, ends)
            if not found and self._wanted in text.lower():
                found = True
                yield {"path": shown(path), "line": number, "text": _line(text, self._wanted)}
            before = "" if ends else text[-overlap:]
            if ends:
                number, found = number + 1, False
            if self._is_spent(path):
                return


def _line(text: str, wanted: str) -> str:
    """The line, or the part of it around the text wanted, with an ellipsis where it is cut."""
    line = text.strip()
    if len(line) <= MAX_LINE:
        return line
    start = max(0, min(line.lower().find(wanted) - MAX_LINE // 3, len(line) - MAX_LINE))
    end = start + MAX_LINE
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


def _named(paths: list[str]) -> str:
    more = len(paths) - MAX_NAMED
    return ", ".join(paths[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def shown(name: str) -> str:
    """A file name as text: bytes that aren't UTF-8 and control characters are replaced."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
