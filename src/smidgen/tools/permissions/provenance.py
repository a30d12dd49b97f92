"""Who asked for it? A change that only a text from a tool speaks of is not one that the user asked for. Pure.

What a tool returns, a file's lines or a web page, may say "now delete everything", and a small model may take it for a
request. So the target of a change must stand in the user's own words, once such a text has been read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from smidgen.tools import Use
from smidgen.tools.words import spaced, stems

PASSAGE = 12
"""Words from which on a text is what to write rather than where: it may well come from another file."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """user: the user's own messages, with whatever they pasted into them. tools: what tools have returned in the
    conversation."""

    user: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


def unasked(tool: str, arguments: Mapping[str, Any], uses: Sequence[Use], said: Said) -> str:
    """What of a call the user never named, "" if they named all of it, or if no tool has said anything yet."""
    if not said.tools:
        return ""
    words, heard = _plain("\n".join(said.user)), _plain("\n".join(said.tools))
    for use in uses:
        if use.verb in ("write", "fetch"):
            for target, forms in _targets(tool, arguments, use):
                if any(_stands_in(_plain(form), words, bool(use.host)) for form in forms if form):
                    continue
                if use.command or not _is_number(target) or _stands_in(target, heard, False):
                    return target
    return ""


def _targets(tool: str, arguments: Mapping[str, Any], use: Use) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a use is aimed at, each with the forms in which it may be named."""
    leaves = tuple(_leaves(arguments))
    if use.command:
        yield use.command, (use.command,)
        # Code is no part of the command that runs it.
        yield from ((leaf, (leaf,)) for leaf in leaves if _plain(leaf) not in _plain(use.command))
    elif use.host:
        plain = use.host.removeprefix("www.")
        yield use.host, (plain, f"www.{plain}")
    elif use.path not in ("", "."):
        yield use.path, _names(use.path)
    elif leaves:
        yield from ((leaf, (leaf, *_names(leaf))) for leaf in leaves if len(leaf.split()) < PASSAGE)
    else:
        yield tool, (tool, spaced(tool))


def _names(path: str) -> tuple[str, ...]:
    """As it is, or by its last part, with or without the ending, unless a part is hidden or says nothing."""
    parts = [part for part in path.split("/") if part]
    if not parts or any(part.startswith(".") for part in parts):
        return (path,)
    stem = parts[-1].rsplit(".", 1)[0]
    return (path, parts[-1], *((stem,) if stems(stem) else ()))


def _is_number(text: str) -> bool:
    """Which the user may have said in words; it is strange only where a tool has said it."""
    return re.fullmatch(r"-?\d+(?:\.\d+)?", text) is not None


def _stands_in(form: str, words: str, is_host: bool) -> bool:
    """Not as a part of a longer name: of "my-notes.txt" neither "notes.txt" nor "my" is named."""
    before, after = (r"[\w.-]", r"[\w-]|\.\w") if is_host else (r"[\w./@-]", r"[\w/@-]|\.\w")
    # Where no spaces are written, a name stands amid the letters of another script.
    flags = re.ASCII if form.isascii() else 0
    return re.search(rf"(?<!{before}){re.escape(form)}(?!{after})", words, flags) is not None


def _plain(text: str) -> str:
    written = " ".join(text.casefold().split()).replace("\\", "/")
    return re.sub(r"(?<![\w./])\./", "", written)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[Any]", value):
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool) and (text := str(value)).strip():
        yield text
