"""What tools of servers are called here: as the server calls them, or with the server's name before it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

RESERVED = frozenset(
    {
        *("calculator", "current_time", "weekday", "days_between", "date_add"),
        *("list_files", "read_file", "search_files", "look_up", "write_file", "edit_file", "undo_write"),
        *("query", "run_python", "run_command", "web_search", "fetch", "read_more"),
    }
)
"""Names of built-in tools, given or not. Rules that a user wrote for them, and commands such as "fetch: …", mean those
and no server's."""


def identifier(name: str) -> str:
    """The name in letters, digits and underscores, as all dialects can write it."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def given(wanted: Sequence[tuple[str, str]], taken: Collection[str] = ()) -> tuple[str, ...]:
    """For each (server, tool) the name it gets. The plain one, if no other is called so; with the server's name before
    it otherwise. "" where that is taken as well."""
    plain = [identifier(tool) for _, tool in wanted]
    often, used = Counter(plain), {*taken, *RESERVED}
    names: list[str] = []
    for name, (server, _) in zip(plain, wanted, strict=True):
        clear = name.isidentifier() and often[name] == 1 and name not in used
        chosen = name if clear else f"{identifier(server)}_{name}"
        if chosen in used or not chosen.isidentifier():
            chosen = ""
        used.add(chosen)
        names.append(chosen)
    return tuple(names)
