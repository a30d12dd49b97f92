"""Any text so that a terminal shows all of it: nothing in it can hide, move or recolour what is read."""

from __future__ import annotations

import re

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def visible(text: str, *, keep: str = "") -> str:
    """The text with an escape for each character that isn't printed as itself: control characters, terminal sequences,
    overrides of the direction of writing, invisible and unassigned ones. keep: those that stay all the same."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else _escape(character) for character in text
    )


def without_commands(text: str) -> str:
    """The text with escapes for what a terminal would take for commands, or for a turn of the direction of writing.
    Line breaks and tabs stay, and so does all that is only unusual, as emoji are."""
    return _COMMANDS.sub(lambda found: _escape(found.group()), text)


_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _escape(character: str) -> str:
    code = ord(character)
    return _NAMED.get(character) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )
