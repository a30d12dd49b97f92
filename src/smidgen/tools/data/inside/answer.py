"""One request answered: `main` is what the sandbox runs."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from typing import Any

from smidgen.tools.data.inside.cells import Refused
from smidgen.tools.data.inside.duck import Duck
from smidgen.tools.data.inside.sqlite import Sqlite


def answer(request: dict[str, Any]) -> dict[str, Any]:
    files: list[dict[str, str]] = request["files"]
    seconds = float(request["seconds"])
    databases = [file["path"] for file in files if file["kind"] == "sqlite"]
    others = [file for file in files if file["kind"] != "sqlite"]
    if request["do"] == "schema":
        return schema(databases, others, seconds)
    opened: Sqlite | Duck | None = None
    try:
        opened = Sqlite(databases[0], seconds) if databases else Duck(others, seconds)
        return opened.query(request)
    except Refused as error:
        tables = opened.tables() if opened and error.kind == "sql" else {}
        return {"ok": False, "kind": error.kind, "message": str(error), "tables": tables}


def schema(databases: list[str], others: list[dict[str, str]], seconds: float) -> dict[str, Any]:
    end = time.monotonic() + seconds
    tables: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    notes: list[str] = []
    for path in databases:
        try:
            database = Sqlite(path, seconds)
            tables += database.schema(end)
            notes += database.notes
        except (Refused, sqlite3.Error) as error:
            problems[path] = str(error) if isinstance(error, Refused) else f"{path} can't be read: {error}."
    if others:
        try:
            duck = Duck(others, seconds)
            tables += duck.schema(end)
            notes += duck.notes.values()
            why = duck.problems
        except Refused as error:
            why = {file["table"]: str(error) for file in others}
        problems.update({file["path"]: why[file["table"]] for file in others if file["table"] in why})
    return {"ok": True, "tables": tables, "problems": problems, "notes": notes}


def main(request: dict[str, Any]) -> None:
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # native code prints there, a bar of progress for one
    try:
        reply = answer(request)
    except MemoryError:
        reply = {"ok": False, "kind": "memory", "message": "The query takes too much memory."}
    except sqlite3.Error as error:
        reply = {"ok": False, "kind": "file", "message": f"The database can't be read: {error}."}
    except Exception as error:
        reply = {"ok": False, "kind": "failed", "message": f"{type(error).__name__}: {error}"[:300]}
    replies.write(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace"))
    replies.flush()
    os._exit(0)  # whatever a query that was given up still does
