"""Replacing one passage of a file in the workspace. The byte order mark, the line endings and all around it stay."""

from __future__ import annotations

import codecs

import msgspec

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.confined import Workspace
from smidgen.tools.builtin.difference import Difference, difference
from smidgen.tools.builtin.passage import find_edit
from smidgen.tools.function import BadArguments

MAX_WRITE = 1024 * 1024
"""Bytes of a file that is written or edited."""


class Edited(msgspec.Struct, frozen=True):
    """What a file becomes. how: what didn't count when the passage was found, "" if all did."""

    data: bytes
    difference: Difference
    how: str

    @property
    def lines(self) -> str:
        """The lines changed, by their numbers in the new text."""
        first, last = self.difference.line, self.difference.line + len(self.difference.added) - 1
        return f"lines {first} to {last}" if last > first else f"line {first}"


def edited(workspace: Workspace, path: str, old: str, new: str) -> Edited:
    """The file with `old` replaced; nothing is written. Raises ToolFailed, PassageNotFound, BadArguments."""
    mark, text = text_of(workspace, path)
    edit = find_edit(text, old.removeprefix("\ufeff"), new.removeprefix("\ufeff"))
    changed = edit.apply(text)
    differs = difference(text, changed)
    assert differs is not None, "find_edit refuses to change nothing"
    try:
        data = mark + changed.encode()
    except UnicodeEncodeError:
        raise BadArguments("`new` isn't valid text: it holds half a surrogate pair.") from None
    if len(data) > MAX_WRITE:
        raise ToolFailed(f"The file would have {len(data)} bytes; {MAX_WRITE} are allowed.")
    return Edited(data, differs, edit.how)


def text_of(workspace: Workspace, path: str) -> tuple[bytes, str]:
    """The byte order mark, if there is one, and the text. Raises ToolFailed for what is too large or isn't UTF-8."""
    data = workspace.read(path, MAX_WRITE)
    if data is None:
        raise ToolFailed(f"{path!r} has more than {MAX_WRITE} bytes and can't be edited.")
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    if b"\0" in data:
        raise ToolFailed(f"{path!r} is a binary file and can't be edited.")
    try:
        return mark, data[len(mark) :].decode()
    except UnicodeDecodeError:
        raise ToolFailed(f"{path!r} is not UTF-8 text and can't be edited.") from None
