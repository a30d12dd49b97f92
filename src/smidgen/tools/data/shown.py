"""Rows as text for a model, and as an answer where they are one."""

from __future__ import annotations

from typing import Any

from smidgen.tools.data import Rows

MOST_SHOWN = 30
MOST_CHARACTERS = 6000
LONGEST_CELL = 120
"""In a table; a single value is shown as it came."""
NOTHING = "Nothing in the data fits that."
MOST_ANSWERED = 20
"""Lines of an answer that needs no model."""


def text_of(rows: Rows) -> str:
    """A single value as itself, a single column as lines, all else as a table with | between the columns."""
    if not rows.rows:
        return _noted("(no rows)", rows)
    if len(rows.columns) == 1 and len(rows.rows) == 1 and not rows.more:
        return _noted(said(rows.rows[0][0]), rows)
    lines = [] if len(rows.columns) == 1 else [" | ".join(_one_line(name) for name in rows.columns)]
    shown = 0
    size = len(lines[0]) if lines else 0
    for row in rows.rows[:MOST_SHOWN]:
        written = " | ".join(_one_line(said(value)) for value in row)
        size += len(written)
        if shown and size > MOST_CHARACTERS:
            break
        lines.append(written)
        shown += 1
    if shown < len(rows.rows) or rows.more:
        lines.append(f"[{shown} of {'more than ' if rows.more else ''}{len(rows.rows)} rows shown]")
    return _noted("\n".join(lines), rows)


def answer_of(rows: Rows) -> str:
    """A few rows, to be said to the user as they are: a small model that puts them into words mixes them up. "" for
    more."""
    if rows.more or rows.notes or len(rows.rows) > MOST_ANSWERED:
        return ""
    if all(value is None for row in rows.rows for value in row):
        return NOTHING
    if len(rows.columns) > 1:
        return text_of(rows)
    return "\n".join(said(row[0]) for row in rows.rows)


def said(value: Any) -> str:
    """42.0 as 42, and no more digits than were meant: 0.1 + 0.2 is 0.3."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    return str(value)


def _one_line(text: str) -> str:
    joined = " ".join(text.split()).replace("|", "\\|")
    return joined if len(joined) <= LONGEST_CELL else joined[: LONGEST_CELL - 1] + "…"


def _noted(text: str, rows: Rows) -> str:
    return "\n".join([text, *(f"[{note}]" for note in rows.notes)])
