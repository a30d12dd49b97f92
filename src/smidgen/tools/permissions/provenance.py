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
_FILE = r"(?:file|list|notes?|document|page|folder|directory)"
_WHOSE = r"(?:my|the|our|his|her|their|this|that)"
_VERBS = re.compile(
    "add|change|check|copy|create|delete|do|edit|file|find|fix|get|go|list|look|make|move|note|open|page|print|read|"
    "remove|run|save|see|send|show|summari[sz]e|update|use|write"
)
"""What is often said of files, and names none."""
_ANY_WORDS = re.compile(r"[^\w.]*[^\W\d_]+(?:[^\w./-]+[^\W\d_]+)*[\W_]*")
"""A name that could stand in any request, so that by itself it names no file."""
_SEPARATED = re.compile(r"(?<=\d)[\s,._'’\-–]+(?=\d)")


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
                if not (use.command or use.host) and _names_file(_plain(target), words):
                    continue
                if use.command or not _is_number(target) or _is_told(target, heard):
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
        yield use.path, () if _ANY_WORDS.fullmatch(_plain(use.path)) else (use.path,)
    elif short := [leaf for leaf in leaves if len(leaf.split()) < PASSAGE]:
        yield from ((leaf, (leaf, _value(leaf)) if _is_number(leaf) else (leaf,)) for leaf in short)
    else:
        yield tool, (tool, spaced(tool))


def _names_file(path: str, words: str) -> bool:
    """Is it named other than as it is written? By its last part if each folder is named too; without its ending, or if
    that is any word, only at the top level and beside a word that makes it a file. Never if a part is hidden."""
    parts = [part for part in path.split("/") if part]
    if not parts or path.startswith(("/", "~")) or any(part.startswith(".") for part in parts):
        return False
    *folders, last = parts
    if folders:
        return (
            not _ANY_WORDS.fullmatch(last)
            and all(_says(part, words) for part in folders)
            and _stands_in(last, words, False)
        )
    stem = last.rsplit(".", 1)[0]
    if not _says(stem, words):
        return False
    before, after = rf"\b{_FILE} ['\"`]?", rf"['\"`]? {_FILE}\b"
    name = rf"(?<![\w./@-]){re.escape(stem)}(?![\w/@-]|\.\w)"
    if stem != last:
        before = rf"\b(?:{_WHOSE}|{_FILE}) ['\"`]?"
    return re.search(rf"{before}{name}|{name}{after}", words) is not None


def _says(name: str, words: str) -> bool:
    return bool(stems(name)) and not _VERBS.fullmatch(name) and _stands_in(name, words, False)


def _is_number(text: str) -> bool:
    """Which the user may have said in words; it is strange only where a tool has said it."""
    return re.fullmatch(r"-?\d+(?:\.\d+)?", text) is not None


def _is_told(number: str, heard: str) -> bool:
    """However it is written there, with signs between its digits or zeros behind."""
    value = _value(number.lstrip("-"))
    if any(value == _value(found) for found in re.findall(r"\d+(?:\.\d+)?", heard)):
        return True
    amounts = re.sub(r"(?<=\d)[\s,_'’](?=\d)", "", heard)
    if any(value == _value(found) for found in re.findall(r"\d+(?:\.\d+)?", amounts)):
        return True
    digits = re.findall(r"\d+", _SEPARATED.sub("", heard))
    wanted = re.sub(r"\D", "", value)
    return wanted in digits or (len(wanted) > 4 and any(wanted in found for found in digits))


def _value(number: str) -> str:
    """Without zeros that say nothing."""
    whole, _, decimals = number.partition(".")
    sign = "-" if whole.startswith("-") else ""
    rest = decimals.rstrip("0")
    return f"{sign}{whole.lstrip('-0') or '0'}{'.' if rest else ''}{rest}"


def _stands_in(form: str, words: str, is_host: bool) -> bool:
    """Not as a part of a longer name: of "my-notes.txt" neither "notes.txt" nor "my" is named."""
    before, after = (r"[\w.@-]", r"[\w@-]|\.\w") if is_host else (r"[\w./@-]", r"[\w/@-]|\.\w")
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
