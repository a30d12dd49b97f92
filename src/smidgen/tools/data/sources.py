"""The data files of a workspace: by what they begin with, else by their names' endings. No links, nothing hidden."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from smidgen.errors import ToolFailed
from smidgen.tools.builtin.confined import Workspace
from smidgen.tools.data import Kind, Source

MOST_SOURCES = 50
MOST_DEPTH = 3
"""Folders below the workspace that are looked into."""
MOST_SEEN = 2000
"""Files that are looked at."""
_ENDINGS: dict[str, Kind] = {
    ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".db3": "sqlite", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
_BEGINNINGS: dict[bytes, Kind] = {b"SQLite format 3\0": "sqlite", b"PAR1": "parquet"}
_BESIDE = ("-wal", "-shm", "-journal")
"""Files that SQLite makes beside a database."""
_WORDS = """
    all and any array as asc between both by case cast check collate column constraint create cross default delete
    desc describe distinct drop else end except exists false for foreign from full group having in inner insert
    intersect into is join lateral left like limit natural not null offset on or order outer primary qualify
    references right select set show summarize table then to true union unique update using values when where window
    with
"""
_RESERVED = frozenset(_WORDS.split())


def find_sources(workspace: Workspace) -> tuple[tuple[Source, ...], bool]:
    """What there is, the outermost folders first, and whether more was left out. Raises ToolFailed for a folder that
    can't be opened."""
    found: list[tuple[str, Kind]] = []
    cut = False
    for number, path in enumerate(_files(workspace)):
        if number >= MOST_SEEN or len(found) > MOST_SOURCES:
            cut = True
            break
        if kind := kind_of(workspace, path):
            found.append((path, kind))
    cut = cut or len(found) > MOST_SOURCES
    return named(found[:MOST_SOURCES]), cut


def kind_of(workspace: Workspace, path: str) -> Kind | None:
    """None for a file that holds no data, or can't be opened."""
    if path.endswith(_BESIDE):
        return None
    try:
        with workspace.file(path) as handle:
            head = os.read(handle, 16)
    except (ToolFailed, OSError):
        return None
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    return _ENDINGS.get(PurePosixPath(path).suffix.lower())


def named(files: Sequence[tuple[str, Kind]]) -> tuple[Source, ...]:
    """Gives every file that is a single table a name of its own."""
    taken: set[str] = set()
    sources: list[Source] = []
    for path, kind in files:
        if kind == "sqlite":
            sources.append(Source(path=path, kind=kind))
            continue
        place = PurePosixPath(path)
        own = table_name(place.stem)
        options = [own, table_name(f"{place.stem}_{kind}"), table_name("_".join((*place.parts[:-1], place.stem)))]
        options += [f"{own}_{number}" for number in range(2, MOST_SOURCES + 2)]
        name = next(option for option in options if option.lower() not in taken)
        taken.add(name.lower())
        sources.append(Source(path=path, kind=kind, table=name))
    return tuple(sources)


def table_name(stem: str) -> str:
    """A name that SQL takes without quotes: "sales 2024" is sales_2024."""
    name = re.sub(r"\W+", "_", stem).strip("_") or "data"
    if name[0].isdigit():
        name = f"data_{name}"
    return f"{name}_data" if name.lower() in _RESERVED else name


def needs_quotes(name: str) -> bool:
    return not re.fullmatch(r"[^\W\d]\w*", name) or name.lower() in _RESERVED


def _files(workspace: Workspace) -> Iterator[str]:
    folders: list[tuple[str, ...]] = [()]
    while folders:
        deeper: list[tuple[str, ...]] = []
        for folder in folders:
            try:
                entries = workspace.entries(folder)
            except ToolFailed:
                if not folder:
                    raise
                continue
            for name, is_folder, is_file in entries:
                if name.startswith(".") or not _is_text(name):
                    continue
                if is_folder and len(folder) < MOST_DEPTH:
                    deeper.append((*folder, name))
                elif is_file:
                    yield "/".join((*folder, name))
        folders = deeper


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\\" not in name
