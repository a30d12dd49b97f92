"""Tools that come with smidgen: few, short names, one line of description, examples in the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.tools import Tool

if TYPE_CHECKING:
    from smidgen.tools.builtin.confined import Hidden

NAMES = (
    "calculator",
    "current_time",
    "weekday",
    "days_between",
    "date_add",
    "list_files",
    "read_file",
    "search_files",
    "write_file",
    "edit_file",
    "undo_write",
)
"""Those of this folder: they need no program, no network and no index. `smidgen.runtime.toolbox.NAMES` are these and
look_up, query, run_python, run_command, web_search and fetch. In the order in which a model is told of them."""

_FILE_TOOLS = frozenset({"list_files", "read_file", "search_files", "write_file", "edit_file", "undo_write"})


def builtin_tools(
    workspace: str | Path | None = None, names: Sequence[str] | None = None, *, hidden: Hidden | None = None
) -> tuple[Tool, ...]:
    """The named tools, or all that can be had; the file tools are confined to the folder `workspace` and need it.

    hidden: files and folders in it that are as if they weren't there. undo_write takes back what the tools of the same
    call wrote in the same conversation.

    Raises UnknownTool for a name that isn't built in, InvalidRequest for a file tool without a workspace.
    """
    from smidgen.errors import InvalidRequest
    from smidgen.tools.builtin.calculator import calculator
    from smidgen.tools.builtin.dates import date_tools
    from smidgen.tools.builtin.files import file_tools
    from smidgen.tools.registry import Registry

    if workspace is None and names is not None and (needing := _FILE_TOOLS.intersection(names)):
        raise InvalidRequest(f"{', '.join(sorted(needing))} needs a workspace folder.")
    available: list[Tool] = [calculator(), *date_tools()]
    if workspace is not None:
        available.extend(file_tools(workspace, hidden))
    registry = Registry(available)
    return tuple(registry) if names is None else tuple(registry.get(name) for name in names)
