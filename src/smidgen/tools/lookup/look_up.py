"""The tool `look_up`: a question in, the passages of the workspace's text files that are about it out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from smidgen.errors import ToolFailed
from smidgen.tools import Tool, ToolOutcome, Use
from smidgen.tools.builtin.confined import Workspace
from smidgen.tools.function import BadArguments, FunctionTool, tool
from smidgen.tools.lookup import Passage
from smidgen.tools.lookup.index import Index
from smidgen.tools.lookup.passages import passages
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.visible import visible
from smidgen.tools.wrappers import Wrapped

MOST_FILES = 300
MOST_BYTES = 256 * 1024
"""Of one file; what is behind that isn't read, which is told."""
MOST_TOTAL = 4 * 1024 * 1024
MOST_DEPTH = 6
MOST_SECONDS = 3.0
SHOWN = 3
"""Passages of a result: what a small model reads without losing the thread."""
LONGEST_QUOTE = 200
_NOT_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson", ".db", ".sqlite", ".sqlite3", ".parquet", ".svg", ".lock", ".gguf")
"""Data that `query` asks, or that nobody asks in words."""

Parts = tuple[str, ...]
"""The components of a path."""


class LookUp(Wrapped):
    """Reads the files when it is prepared, and again once one has changed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._index = Index(())
        self._notes: tuple[str, ...] = ()
        self._seen: object = None
        super().__init__(self._tool())

    async def prepared(self) -> Tool:
        await in_daemon_thread(self._read)
        return self

    def knows(self, request: str) -> float:
        return self._index.share(request, SHOWN)

    def arguments_for(self, request: str) -> dict[str, Any] | None:
        return {"question": request}

    def note_for(self, request: str) -> str:
        return ""

    @property
    def told(self) -> str:
        return ""

    def _tool(self) -> FunctionTool:
        def uses(arguments: Mapping[str, Any]) -> tuple[Use, ...]:
            return (Use(verb="read", path="."),)

        @tool(uses=uses)
        def look_up(question: str) -> ToolOutcome:
            """Find what the files here say about something.

            Args:
                question: what is asked, for example "when is the rent due?"
            """
            if not question.strip():
                raise BadArguments("Say what to look for.")
            if self._seen is None:
                self._read()
            found = self._index.best(question, SHOWN)
            value = [{"path": one.path, "line": one.line, "text": one.text} for one in found]
            text = "\n\n".join(_shown(one) for one in found)
            if not found:
                text = answer = "The files here say nothing about that."
                return ToolOutcome(ok=True, value=value, text=self._noted(text), answer=self._noted(answer))
            quotes = tuple(quote for passage in found for quote in _quotes(passage))
            return ToolOutcome(ok=True, value=value, text=self._noted(text), material=True, quotes=quotes)

        return look_up

    def _noted(self, text: str) -> str:
        return "\n".join([text, *(f"[{note}]" for note in self._notes)])

    def _read(self) -> None:
        """Files that can't be read are as if they weren't there; `read_file` says why."""
        try:
            files, cut = self._files()
        except ToolFailed:
            files, cut = [], False
        if files == self._seen:
            return
        found: list[Passage] = []
        notes = [f"only {len(files)} files were looked at"] if cut else []
        total = 0
        for parts, size, _ in files:
            path = "/".join(parts)
            if total > MOST_TOTAL:
                notes.append(f"nothing from {visible(path)} on was looked at: there are more than {MOST_TOTAL} bytes")
                break
            if (text := self._text(parts)) is not None:
                total += len(text)
                found += passages(path, text)
                if size > MOST_BYTES:
                    notes.append(f"of {visible(path)} only the first {MOST_BYTES} bytes were looked at")
        self._index, self._notes, self._seen = Index(found), tuple(notes), files

    def _files(self) -> tuple[list[tuple[Parts, int, int]], bool]:
        """(the file, its size, when it was changed), and whether there are more."""
        found: list[tuple[Parts, int, int]] = []
        end = time.monotonic() + MOST_SECONDS
        for parts in self._paths(()):
            if len(found) >= MOST_FILES or time.monotonic() > end:
                return found, True
            try:
                with self._workspace.file(parts) as handle:
                    status = os.fstat(handle)
            except (ToolFailed, OSError):
                continue
            found.append((parts, status.st_size, status.st_mtime_ns))
        return found, False

    def _paths(self, parts: Parts) -> Iterator[Parts]:
        deeper: list[Parts] = []
        for name, is_folder, is_file in self._workspace.entries(parts):
            if name.startswith("."):
                continue
            if is_folder and len(parts) < MOST_DEPTH:
                deeper.append((*parts, name))
            elif is_file and not name.lower().endswith(_NOT_TEXT):
                yield (*parts, name)
        for folder in deeper:
            try:
                yield from self._paths(folder)
            except ToolFailed:
                continue

    def _text(self, parts: Parts) -> str | None:
        """None for what is no text."""
        try:
            with self._workspace.file(parts) as handle:
                data = os.read(handle, MOST_BYTES)
        except (ToolFailed, OSError):
            return None
        return None if b"\0" in data else data.decode("utf-8", "replace")


def _quotes(passage: Passage) -> Iterator[str]:
    for number, line in enumerate(passage.text.split("\n"), start=passage.line):
        if line.strip():
            yield f"{visible(passage.path)}, line {number}: {line.strip()[:LONGEST_QUOTE]}"


def _shown(passage: Passage) -> str:
    under = f" ({passage.heading})" if passage.heading else ""
    return f"{visible(passage.path)}, line {passage.line}{under}:\n{passage.text}"
