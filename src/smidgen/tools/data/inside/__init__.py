"""OPENS: what the sandbox runs, data files to SQL. Standard library and DuckDB only, and nothing else of smidgen.

There smidgen can't be imported: the text of these modules is sent along (engine.py), in the order of `MODULES`. What
must never happen is forbidden here, statements, functions and files; the sandbox holds what gets past that.

Request: {"do": "schema" | "query", "files": [{"path", "kind", "table"}], "sql", "seconds", "rows", "cell", "total"}.
Reply: {"ok": true, ...}, as `Rows` or `Schema`, or {"ok": false, ...}, as `Refused`.
"""

MODULES = ("cells", "statistics", "ragged", "sqlite", "duck", "answer")
