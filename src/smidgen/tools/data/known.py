"""Is a request about these tables? By the words of their names, and by the texts that stand in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from smidgen.tools.data import Schema
from smidgen.tools.data.schema import name, quoted
from smidgen.tools.words import stems

MOST_TOLD = 4
SHORTEST_VALUE = 3
"""Letters of a text in the data that a request is found to name."""
ASKS_FOR_ROWS = re.compile(
    r"\b(?:how many|how much|most|least|more|less|fewer|fewest|average|mean|total|sum|count|number of|largest|biggest"
    r"|smallest|highest|lowest|longest|shortest|oldest|newest|latest|first|last|top|list|which|each|every|per|rows?"
    r"|table|database|columns?)\b",
    re.IGNORECASE,
)
"""What is said where rows are counted, compared or picked."""


SCALED = re.compile(r"\b(\d[\d.,]*) (thousand|million|billion)\b", re.IGNORECASE)
HOW_MANY = re.compile(r"\bhow many (?:of (?:the )?|different )?(?P<what>\w+)", re.IGNORECASE)


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """tables, columns: stems of their names. values: by a text in the data, in lower case, where it stands and how it
    is written there, as "table.column = 'text'". scaled: by "million" and such, columns whose names say that they count
    those."""

    tables: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    values: dict[str, str] = {}
    scaled: dict[str, tuple[str, ...]] = {}


def vocabulary(schema: Schema) -> Vocabulary:
    columns = [column for table in schema.tables for column in table.columns]
    return Vocabulary(
        tables=_named_by(table.name for table in schema.tables),
        columns=_named_by(column.name for column in columns),
        values={
            str(value).lower(): f"{name(table.name)}.{name(column.name)} = {quoted(str(value))}"
            for table in schema.tables
            for column in table.columns
            for value in column.values
            if _tells(value)
        },
        scaled={
            scale: found
            for scale in ("thousand", "million", "billion")
            if (found := tuple(column.name for column in columns if scale in column.name.lower()))
        },
    )


def note(request: str, words: Vocabulary) -> str:
    """Where the texts stand that a request names, and that rows are to be counted where it asks how many there are."""
    said: list[str] = []
    for value in sorted(_named(request, words.values), key=len, reverse=True):
        if not any(value in longer for longer in said):  # of "new delhi" and "delhi" only the first is meant
            said.append(value)
    told = [words.values[value] for value in said]
    told += [
        f"{column} counts {scale}s, so {amount} {scale} is {amount} there"
        for amount, scale in SCALED.findall(request)
        for column in words.scaled.get(scale.lower(), ())
    ]
    counted = HOW_MANY.search(request)
    if counted and stems(counted["what"]) & words.tables:
        told.append(f"the {counted['what']} are counted with count(*)")
    return "; ".join(told[:MOST_TOLD])


def share_known(request: str, words: Vocabulary) -> float:
    """0.9 where a value or a table is named together with a column or another of them, or where rows of a named table
    are asked for; less for less."""
    said = stems(request)
    tables, columns = said & words.tables, said & words.columns - words.tables
    values = set(_named(request, words.values))
    kinds = bool(tables) + bool(columns) + bool(values)
    if kinds >= 2 or (len(columns) >= 2 and ASKS_FOR_ROWS.search(request)):
        return 0.9
    if tables and ASKS_FOR_ROWS.search(request):
        return 0.8
    return 0.5 if values or tables else 0.2 if columns else 0.0


def _named_by(names: Iterable[str]) -> frozenset[str]:
    """Of "country" the stem of "countries" too."""
    found = {stem for name in names for stem in stems(name)}
    return frozenset(found | {stem.removesuffix("y") for stem in found if len(stem) > 4})


def _tells(value: object) -> bool:
    return isinstance(value, str) and len(value) >= SHORTEST_VALUE and not value.isdigit()


def _named(request: str, values: Iterable[str]) -> Iterator[str]:
    said = request.lower()
    for value in values:
        if value in said and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", said):
            yield value
