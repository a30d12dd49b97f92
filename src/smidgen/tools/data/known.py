"""Is a request about these tables? By the words of their names, and by the texts that stand in them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from smidgen.tools.data import Schema
from smidgen.tools.words import stems

SHORTEST_VALUE = 3
"""Letters of a text in the data that a request is found to name."""
ASKS_FOR_ROWS = re.compile(
    r"\b(?:how many|how much|most|least|more|less|fewer|fewest|average|mean|total|sum|count|number of|largest|biggest"
    r"|smallest|highest|lowest|longest|shortest|oldest|newest|latest|first|last|top|list|which|each|every|per|rows?"
    r"|table|database|columns?)\b",
    re.IGNORECASE,
)
"""What is said where rows are counted, compared or picked."""


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """tables, columns: stems of their names. values: texts in the data, in lower case."""

    tables: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()


def vocabulary(schema: Schema) -> Vocabulary:
    columns = [column for table in schema.tables for column in table.columns]
    return Vocabulary(
        tables=frozenset(stem for table in schema.tables for stem in stems(table.name)),
        columns=frozenset(stem for column in columns for stem in stems(column.name)),
        values=frozenset(value.lower() for column in columns for value in column.values if _tells(value)),
    )


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


def _tells(value: object) -> bool:
    return isinstance(value, str) and len(value) >= SHORTEST_VALUE and not value.isdigit()


def _named(request: str, values: frozenset[str]) -> Iterator[str]:
    said = request.lower()
    for value in values:
        if value in said and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", said):
            yield value
