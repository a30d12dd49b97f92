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

PASSAGE = 12
"""Words from which on a text is what to write rather than where: it may well come from another file."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """user: the user's own messages. tools: what tools have returned in the conversation."""

    user: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


def unasked(arguments: Mapping[str, Any], uses: Sequence[Use], said: Said) -> str:
    """What of a call the user never named, "" if they named all of it, or if no tool has said anything yet."""
    if not said.tools:
        return ""
    words = _plain("\n".join(said.user))
    for target in _targets(arguments, uses):
        if not _is_named(target, words):
            return target
    return ""


def _targets(arguments: Mapping[str, Any], uses: Sequence[Use]) -> Iterator[str]:
    named = [target for use in uses if use.verb in ("write", "fetch") for target in _of(use)]
    if named:
        yield from named
    elif any(use.verb in ("write", "fetch") for use in uses):
        yield from (leaf for leaf in _leaves(arguments) if leaf.strip() and len(leaf.split()) < PASSAGE)


def _of(use: Use) -> Iterator[str]:
    if use.command:
        yield use.command
    elif use.host:
        yield use.host
    elif use.path not in ("", "."):
        yield use.path


def _is_named(target: str, words: str) -> bool:
    """As it is, or as a path's last part, with or without its ending."""
    plain = _plain(target)
    last = plain.rsplit("/", 1)[-1]
    stem = last.rsplit(".", 1)[0] if "." in last[1:] else last
    host = plain.removeprefix("www.")
    return any(_stands_in(form, words) for form in {plain, last, stem, host} if form)


def _stands_in(form: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(form)}(?!\w)", words) is not None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[Any]", value):
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
