"""The tool `query`: one SQL SELECT over the data files of a workspace."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from smidgen.errors import ToolFailed
from smidgen.tools import ToolOutcome, Use
from smidgen.tools.builtin.confined import Hidden, Workspace, components
from smidgen.tools.data import Caps, Refused, Rows, Schema, Source
from smidgen.tools.data.engine import Engine
from smidgen.tools.data.hints import explained, misplaced, misspelt, near
from smidgen.tools.data.known import Vocabulary, note, share_known, vocabulary
from smidgen.tools.data.patterns import patterns
from smidgen.tools.data.schema import compact
from smidgen.tools.data.shown import answer_of, text_of
from smidgen.tools.data.sources import find_sources, kind_of
from smidgen.tools.function import BadArguments, FunctionTool, failure, tool
from smidgen.tools.sandbox.box import Boxes, OutOfSight
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.wrappers import Wrapped

_STRING_OR_COMMENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_MOST_NAMED = 6


def query_tool(
    workspace: str | Path,
    sandbox: Boxes,
    *,
    caps: Caps | None = None,
    schema: str = "",
    tables: Sequence[str] = (),
    places: Mapping[str, Sequence[str]] | None = None,
    hidden: Hidden | None = None,
    out_of_sight: OutOfSight | None = None,
    found: Found | None = None,
) -> FunctionTool:
    """A tool that reads data files of the folder `workspace`.

    sandbox: gives what holds the program that opens them.
    schema: what the model is told of the tables, for the description of the parameter `sql`; `described` reads it.
    tables: those that the tool's description names. places: by texts in
    the data, as far as they are known, their columns. hidden: files that are as if they weren't there. out_of_sight:
    which of them the program can't read. found: the data files, where somebody has looked for them already.
    """
    from pydantic import Field

    caps = caps or Caps()
    found = found or Found(Workspace(workspace, hidden))
    files = _Files(found, Engine(found.workspace.root, sandbox, caps, out_of_sight))
    places = places or {}

    async def query(sql: str, file: str = "") -> ToolOutcome:
        if len(sql) > caps.sql:
            raise BadArguments(f"The statement has {len(sql)} characters; {caps.sql} are allowed.")
        sources = await files.chosen(sql, file)
        result, tier = await files.engine.query(sources, sql)
        if isinstance(result, Refused):
            message = result.message
            if result.kind == "sql":
                message = explained(message, sql, result.tables)
            return msgspec.structs.replace(failure(message, _FAULTS.get(result.kind, "world")), tier=tier)
        if _is_nothing(result) and (hint := misplaced(sql, places) or misspelt(sql, places)):
            return msgspec.structs.replace(failure(hint, "arguments"), tier=tier)
        value = {"columns": list(result.columns), "rows": [list(row) for row in result.rows], "more": result.more}
        return ToolOutcome(ok=True, value=value, text=text_of(result), answer=answer_of(result), tier=tier)

    told = f"one SELECT statement. Tables:\n{schema}" if schema else "one SELECT statement"
    query.__annotations__ = {
        "sql": Annotated[str, told, Field(max_length=caps.sql, json_schema_extra={"format": "sql"})],
        "file": Annotated[str, "the file to ask; left out if the tables tell it"],
    }
    about = f"about {_listed(tables)}" if tables else "about data files"
    return tool(name="query", description=f"Answer questions {about}, with one SQL SELECT.", uses=files.uses)(query)


class Described(Wrapped):
    """The tool with its tables told, which it also knows a request by."""

    def __init__(self, inner: FunctionTool, words: Vocabulary, told: str) -> None:
        super().__init__(inner)
        self._words, self._told = words, told

    def knows(self, request: str) -> float:
        return share_known(request, self._words)

    def arguments_for(self, request: str) -> None:
        """SQL is for a model to write."""

    def note_for(self, request: str) -> str:
        return note(request, self._words)

    @property
    def told(self) -> str:
        return self._told


async def described(
    workspace: str | Path,
    sandbox: Boxes,
    *,
    caps: Caps | None = None,
    hidden: Hidden | None = None,
    out_of_sight: OutOfSight | None = None,
    found: Found | None = None,
) -> Described:
    """The same, with what there is in its description. Raises ToolFailed where there are no data, or none that can be
    read, SandboxUnavailable where nothing holds the program that reads them."""
    caps = caps or Caps()
    found = found or Found(Workspace(workspace, hidden))
    schema = await _schema(found, Engine(found.workspace.root, sandbox, caps, out_of_sight))
    shown = "\n".join(part for part in (compact(schema, caps.schema), patterns(schema)) if part)
    tool_now = query_tool(
        workspace,
        sandbox,
        caps=caps,
        schema=shown,
        tables=[table.name for table in schema.tables],
        places=_places(schema),
        out_of_sight=out_of_sight,
        found=found,
    )
    return Described(tool_now, vocabulary(schema), shown)


async def _schema(found: Found, engine: Engine) -> Schema:
    sources = _some(await found.now() if found.last is None else found.last)
    schema, _ = await engine.schema(sources)
    if isinstance(schema, Refused):
        raise ToolFailed(schema.message)
    if not schema.tables:
        raise ToolFailed("; ".join(dict.fromkeys(schema.problems.values())) or "The databases have no tables.")
    return schema


def _places(schema: Schema) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table in schema.tables:
        for column in table.columns:
            for value in column.values:
                found.setdefault(str(value), []).append(column.name)
    return found


def _is_nothing(rows: Rows) -> bool:
    """No rows, or a count of none."""
    return all(not value for row in rows.rows for value in row)


_FAULTS: dict[str, Any] = {"sql": "arguments", "denied": "denied"}


class Found:
    """The data files of a workspace. last: as they were when they were looked for last, None if they never were."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.last: tuple[Source, ...] | None = None

    def look(self) -> tuple[Source, ...]:
        """Takes a while where there are many files. Raises ToolFailed for a folder that can't be opened."""
        self.last, _ = find_sources(self.workspace)
        return self.last

    async def now(self) -> tuple[Source, ...]:
        return await in_daemon_thread(self.look)

    async def has(self, source: Source) -> bool:
        """Is it there, and as it was?"""
        return await in_daemon_thread(kind_of, workspace=self.workspace, path=source.path) == source.kind


class _Files:
    """The data files as they are when they are asked."""

    def __init__(self, found: Found, engine: Engine) -> None:
        self.found = found
        self.engine = engine

    def uses(self, arguments: Mapping[str, Any]) -> tuple[Use, ...]:
        """The file that is named, else all of the folder: which of its files are read is told by the statement. The
        folder as well for a name that isn't known, which a new file may have."""
        paths = ["."]
        named = arguments.get("file")
        if isinstance(named, str) and named.strip():
            try:
                known = _named(named, self.found.look() if self.found.last is None else self.found.last)
                paths = [known[0].path] if known else list(dict.fromkeys(("/".join(components(named)) or ".", ".")))
            except (ToolFailed, OSError):
                pass
        return tuple(Use(verb="read", path=path) for path in paths)

    async def chosen(self, sql: str, file: str) -> tuple[Source, ...]:
        """What is to be asked: one database, or files of the other kinds. Raises BadArguments if that isn't clear."""
        # What `uses` told of a name is what is asked, or nothing is.
        known = _named(file, self.found.last or ()) if file.strip() else ()
        if known and await self.found.has(known[0]):
            return known
        sources = _some(await self.found.now())
        if file.strip():
            if not known and (found := _named(file, sources)):
                return found
            raise BadArguments(f"There is no data file {file!r}.{_meant(file, sources)}")
        databases = [source for source in sources if source.kind == "sqlite"]
        others = tuple(source for source in sources if source.kind != "sqlite")
        words = {word.lower() for word in re.findall(r"\w+", _STRING_OR_COMMENT.sub(" ", sql))}
        groups: list[tuple[Source, ...]] = [(database,) for database in databases]
        if others:
            # Only what is named need be opened; a name that isn't there is explained by all of them.
            groups.append(tuple(source for source in others if source.table.lower() in words) or others)
        if len(groups) == 1:
            return groups[0]
        return await self._with_tables(words, sources, groups)

    async def _with_tables(
        self, words: set[str], sources: tuple[Source, ...], groups: list[tuple[Source, ...]]
    ) -> tuple[Source, ...]:
        tables = {source.path: {source.table.lower()} for source in sources if source.kind != "sqlite"}
        databases = [source for source in sources if source.kind == "sqlite"]
        found, _ = await self.engine.schema(databases)
        if isinstance(found, Refused):
            raise BadArguments(f"Say which file: {_paths(sources)}.")
        for table in found.tables:
            tables.setdefault(table.file, set()).add(table.name.lower())
        hits = [
            len(words & set[str]().union(*(tables.get(source.path, set()) for source in group))) for group in groups
        ]
        best = max(hits)
        if best and hits.count(best) == 1:
            return groups[hits.index(best)]
        problem = "Several files have these tables" if best else "No file has these tables"
        raise BadArguments(f"{problem}. Say which file: {_paths(sources)}.")


def _some(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    if not sources:
        raise ToolFailed("There are no data files in the folder: no SQLite, CSV, TSV, Parquet or JSON lines.")
    return sources


def _named(file: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """The file of that path, name or table; () if there is none, or not one only."""
    wanted = "/".join(components(file)).lower()
    for spelling in (_path, _name, _stem, _table):
        found = tuple(source for source in sources if spelling(source).lower() == wanted)
        if len(found) == 1:
            return found
    return ()


def _path(source: Source) -> str:
    return source.path


def _name(source: Source) -> str:
    return PurePosixPath(source.path).name


def _stem(source: Source) -> str:
    return PurePosixPath(source.path).stem


def _table(source: Source) -> str:
    return source.table


def _meant(file: str, sources: Sequence[Source]) -> str:
    found = near(file, [source.path for source in sources])
    return f" Did you mean {' or '.join(found)}?" if found else f" There is {_paths(sources)}."


def _paths(sources: Sequence[Source]) -> str:
    return _listed([source.path for source in sources])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
