"""What a file tool would change, in a few lines for an approval. Nothing in them can hide from who reads them: each
character that isn't printed as itself is shown as an escape."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.confined import Workspace
from smidgen.tools.builtin.difference import Difference, difference, line_count
from smidgen.tools.builtin.edit import MAX_WRITE, edited
from smidgen.tools.builtin.undo import Journal
from smidgen.tools.visible import visible

MAX_PREVIEW = 600
MAX_NAME = 100
MAX_REASON = 200
LINES, WIDTH, CONTEXT = 6, 60, 1


def write_preview(workspace: Workspace, arguments: Mapping[str, Any]) -> str:
    path, content = _texts(arguments, "path", "content")
    if path is None or content is None:
        return "write: not possible, path and content have to be texts"
    if len(content) > MAX_WRITE:
        return f"write {_name(path)}: not possible, the text has more than {MAX_WRITE} bytes"
    try:
        before = workspace.read(path, MAX_WRITE)
    except ToolFailed as error:
        number = error.details.get("errno")
        if number is None:
            return f"write {_name(path)}: not possible. {_reason(error)}"
        kind = "new file" if number == errno.ENOENT else f"what is there can't be read: {_reason(error)}"
        return _cut(f"write {_name(path)} ({_lines(content)}; {kind})", difference("", content))
    former = _decoded(before)
    if former is None:
        kind = f"a file of more than {MAX_WRITE} bytes" if before is None else f"{len(before)} bytes that are no text"
        return _cut(f"write {_name(path)} ({_lines(content)}; replaces {kind})", difference("", content))
    if former == content:
        return f"write {_name(path)} ({_lines(content)}; it holds the same already)"
    told = f"write {_name(path)} ({_lines(content)}; replaces {_lines(former)})"
    return _cut(told, difference(former, content))


def edit_preview(workspace: Workspace, arguments: Mapping[str, Any]) -> str:
    path, old, new = _texts(arguments, "path", "old", "new")
    if path is None or old is None or new is None:
        return "edit: not possible, path, old and new have to be texts"
    try:
        found = edited(workspace, path, old, new)
    except ToolFailed as error:
        return f"edit {_name(path)}: not possible. {_reason(error)}"
    how = f" (found {found.how})" if found.how else ""
    return _cut(f"edit {_name(path)}, {found.lines}{how}", found.difference)


def undo_preview(journal: Journal) -> str:
    step = journal.asked()
    if step is None:
        return "undo: there is no write to take back"
    name = _name(step.path)
    try:
        data = journal.current(step)
    except ToolFailed as error:
        return f"undo the last write, of {name}: not possible. {_reason(error)}"
    if data is None:
        return f"undo the last write, of {name}: not possible, the file was changed since"
    now, former = _decoded(data), _decoded(step.former)
    if step.former is None:
        return f"undo the last write: remove {name} ({_lines(now or '')}), which was new"
    if now is None or former is None:
        return f"undo the last write: restore {name} ({len(step.former)} bytes)"
    told = f"undo the last write: restore {name} ({_lines(former)}; replaces {_lines(now)})"
    return _cut(told, difference(now, former))


def _texts(arguments: Mapping[str, Any], *names: str) -> tuple[str | None, ...]:
    values = (arguments.get(name) for name in names)
    return tuple(value if isinstance(value, str) else None for value in values)


def _decoded(data: bytes | None) -> str | None:
    """None for what is no text."""
    if data is None or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _cut(told: str, differs: Difference | None) -> str:
    shown = differs.shown(lines=LINES, width=WIDTH, context=CONTEXT) if differs else ""
    whole = f"{told}\n{shown}" if shown else told
    return whole if len(whole) <= MAX_PREVIEW else f"{whole[: MAX_PREVIEW - 1]}…"


def _name(path: str) -> str:
    """With the end in sight where it is cut: that names the file."""
    text = visible(path)
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME // 2]}…{text[-MAX_NAME // 2 :]}"


def _reason(error: ToolFailed) -> str:
    text = visible(error.message)
    return text if len(text) <= MAX_REASON else f"{text[: MAX_REASON - 1]}…"


def _lines(text: str) -> str:
    count = line_count(text)
    return f"{count} line{'' if count == 1 else 's'}"
