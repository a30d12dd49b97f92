"""What was wrong with a statement, said so that the next one can be right: what there is, not only what there isn't."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

from smidgen.tools.data.schema import name

MOST_NAMED = 12
LONGEST = 450
_COLUMN = (
    re.compile(r"no such column: (.+)"),
    re.compile(r'Referenced column "([^"]+)" not found'),
    re.compile(r'does not have a column named "([^"]+)"'),
)
_TABLE = (re.compile(r"no such table: (.+)"), re.compile(r"Table with name (.+?) does not exist"))
_ALIAS = (re.compile(r'Referenced table "([^"]+)" not found'),)
_FUNCTION = (re.compile(r"no such function: (.+)"), re.compile(r"Function with name (\S+) does not exist"))
_AMBIGUOUS = (re.compile(r"ambiguous column name: (.+)"), re.compile(r'Ambiguous reference to column name "([^"]+)"'))
_SYNTAX = (re.compile(r'near "(.+)": syntax error'), re.compile(r'syntax error at or near "(.+)"'))


def explained(message: str, sql: str, tables: Mapping[str, Sequence[str]]) -> str:
    """message: the engine's own. tables: the columns that there are, by table."""
    return _explained(message, sql, tables)[:LONGEST]


def _explained(message: str, sql: str, tables: Mapping[str, Sequence[str]]) -> str:
    if column := _first(_COLUMN, message):
        return _no_column(column, sql, tables)
    if table := _first(_TABLE, message):
        bare = table.strip('"').rsplit(".", 1)[-1]
        return f"There is no table {bare}{_instead(bare, list(tables))}{_list('The tables are', list(tables))}"
    if alias := _first(_ALIAS, message):
        return f"There is no table {alias} in this statement; name it after FROM or JOIN."
    if column := _first(_AMBIGUOUS, message):
        bare = column.rsplit(".", 1)[-1]
        owners = _owners(bare, tables)
        told = f" Write {owners[0]}.{bare}." if owners else " Write its table before it."
        return f"The column {bare} is in several tables.{told}"
    if function := _first(_FUNCTION, message):
        return f"There is no function {function.strip('!')} here. Use another way to write it."
    if near := _first(_SYNTAX, message):
        return f"The SQL is wrong near {near!r}. Write one SELECT statement."
    if "one statement at a time" in message:
        return "Write one statement, not several."
    if "incomplete input" in message or "unrecognized token" in message or "unterminated" in message:
        return f"The SQL ends too early or has an open quote: {message}."
    return message if message.endswith((".", "!", "?")) else f"{message}."


def misplaced(sql: str, places: Mapping[str, Sequence[str]]) -> str:
    """Of a statement that found nothing: a text in it that stands in another column than the one it is compared with;
    "" if there is none. places: by text, the columns in which it stands."""
    compared: list[tuple[str, str]] = re.findall(r"(\w+)\"?\s*=\s*'((?:[^']|'')*)'", sql)
    for column, literal in compared:
        there = places.get(literal.replace("''", "'"), ())
        if there and column.lower() not in (place.lower() for place in there):
            return f"{literal!r} is no {column}, but a {' or '.join(there)}."
    return ""


def misspelt(sql: str, values: Collection[str]) -> str:
    """Of a statement that found nothing: a text in it that isn't in the data though one much like it is; "" if there is
    none."""
    literals: list[str] = re.findall(r"'((?:[^']|'')*)'", sql)
    for literal in literals:
        wanted = literal.replace("''", "'").strip("%")
        if not wanted or wanted in values:
            continue
        found = [value for value in values if value.lower() == wanted.lower()]
        if found := found or difflib.get_close_matches(wanted, values, n=1, cutoff=0.8):
            return f"There is no {wanted!r} in the data, but {found[0]!r}."
    return ""


def near(wrong: str, there: Sequence[str], most: int = 2) -> list[str]:
    """The names that may have been meant, the likeliest first."""
    lower = {one.lower(): one for one in there}
    wanted = wrong.lower()
    parts = set(re.split(r"[\W_]+", wanted)) - {""}
    inside = [one for key, one in lower.items() if wanted in key or (key in wanted and len(key) > 2)]
    shared = [one for key, one in lower.items() if parts & {part.rstrip("s") for part in key.split("_")} and parts]
    alike = [lower[key] for key in difflib.get_close_matches(wanted, lower, n=most, cutoff=0.6)]
    return list(dict.fromkeys([*alike, *sorted(inside, key=len), *shared]))[:most]


def _no_column(column: str, sql: str, tables: Mapping[str, Sequence[str]]) -> str:
    bare = column.strip().strip('"').rsplit(".", 1)[-1].strip('"')
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    used = {table: columns for table, columns in tables.items() if table.lower() in words}
    said = f"There is no column {bare}"
    if owners := [table for table in _owners(bare, tables) if table not in used]:
        return f"{said} in {', '.join(used) or 'what is asked'}, but in {owners[0]}: join it."
    there = [one for columns in (used or tables).values() for one in columns]
    if not near(bare, there) and f'"{bare}"' in sql:
        return f"{said}. If that is a text, write it in single quotes: '{bare}'."
    instead = _instead(bare, there)
    if len(used) == 1:
        table, columns = next(iter(used.items()))
        return f"{said}{instead}{_list(f'The columns of {table} are', columns)}"
    if owners := _owners(bare, tables):
        return f"{said} by that name here; {owners[0]} has it."
    return f"{said}{instead}"


def _owners(column: str, tables: Mapping[str, Sequence[str]]) -> list[str]:
    return [table for table, columns in tables.items() if column.lower() in {one.lower() for one in columns}]


def _instead(wrong: str, there: Sequence[str]) -> str:
    found = near(wrong, there)
    return f"; did you mean {' or '.join(name(one) for one in found)}?" if found else "."


def _list(said: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f" {said} {', '.join(name(one) for one in names[:MOST_NAMED])}{more}."


def _first(patterns: Sequence[re.Pattern[str]], message: str) -> str:
    return next((found[1] for pattern in patterns if (found := pattern.search(message))), "")
