"""Rows as JSON, the names and literals of SQL, and why there is no answer."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

MIB = 1024 * 1024


class Refused(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Cells:
    """Values as JSON, cut where they are too long; `cut` counts."""

    def __init__(self, longest: int, total: int) -> None:
        self.longest, self.left, self.cut = longest, total, 0

    def row(self, values: Any) -> list[Any]:
        row = [self.cell(value) for value in values]
        self.left -= sum(len(value) if isinstance(value, str) else 8 for value in row)
        return row

    def cell(self, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if -(2**63) <= value < 2**64 else str(value)
        if isinstance(value, Decimal):
            value = float(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, bytes | bytearray):
            return f"<{len(value)} bytes>"
        if isinstance(value, list | tuple | dict):
            value = json.dumps(value, ensure_ascii=False, default=str)
        text = value if isinstance(value, str) else str(value)
        if len(text) <= self.longest:
            return text
        self.cut += 1
        return text[: self.longest] + "…"


def fetch(cursor: Any, request: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The rows of a query that has run, as many as are asked for."""
    cells = Cells(request["cell"], request["total"])
    rows: list[list[Any]] = []
    more = False
    while (found := cursor.fetchone()) is not None:
        if len(rows) >= request["rows"] or cells.left <= 0:
            more = True
            break
        rows.append(cells.row(found))
    if cells.left <= 0 and more:
        notes = [*notes, "the rows are long, so only the first are here"]
    if cells.cut:
        notes = [*notes, f"values cut at {cells.longest} characters: {cells.cut}"]
    columns = [str(part[0]) for part in cursor.description]
    return {"ok": True, "columns": columns, "rows": rows, "more": more, "notes": notes}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
