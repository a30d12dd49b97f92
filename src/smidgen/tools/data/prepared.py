"""The tool `query` as it is before each run: described by the tables that there are now."""

from __future__ import annotations

from pathlib import Path

from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.tools import Tool
from smidgen.tools.builtin.confined import Hidden, Workspace
from smidgen.tools.data.query import Found, described, query_tool
from smidgen.tools.sandbox.box import Boxes, OutOfSight
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.wrappers import Wrapped


class Query(Wrapped):
    """Knows no tables until it is prepared. Reads them again when a data file has come, gone or changed.

    out_of_sight: which files the program that opens the data can't read; none if left out.
    """

    def __init__(
        self,
        workspace: Path,
        sandbox: Boxes,
        hidden: Hidden | None = None,
        *,
        out_of_sight: OutOfSight | None = None,
    ) -> None:
        found = Found(Workspace(workspace, hidden))
        super().__init__(query_tool(workspace, sandbox, out_of_sight=out_of_sight, found=found))
        self._workspace, self._sandbox, self._out_of_sight = workspace, sandbox, out_of_sight
        self._found = found
        self._seen: object = None
        self._described: Tool | None = None

    async def prepared(self) -> Tool:
        """Where there are no data, nothing that could read them, or too many files to hide, a call says so."""
        try:
            seen = await in_daemon_thread(self._state)
            if self._described is None or seen != self._seen:
                self._described = await described(
                    self._workspace, self._sandbox, out_of_sight=self._out_of_sight, found=self._found
                )
                self._seen = seen
        except (ToolFailed, InvalidRequest, OSError):
            self._described = None
        return self._described or self.inner

    def _state(self) -> object:
        paths = [self._workspace / source.path for source in self._found.look()]
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
