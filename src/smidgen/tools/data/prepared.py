"""The tool `query` as it is before each run: described by the tables that there are now."""

from __future__ import annotations

from pathlib import Path

from smidgen.errors import ToolFailed
from smidgen.tools import Tool
from smidgen.tools.builtin.confined import Hidden, Workspace
from smidgen.tools.data.engine import Boxes
from smidgen.tools.data.query import described, query_tool
from smidgen.tools.data.sources import find_sources
from smidgen.tools.wrappers import Wrapped


class Query(Wrapped):
    """Knows no tables until it is prepared. Reads them again when a data file has come, gone or changed."""

    def __init__(self, workspace: Path, sandbox: Boxes, hidden: Hidden | None = None) -> None:
        super().__init__(query_tool(workspace, sandbox, hidden=hidden))
        self._workspace, self._sandbox, self._hidden = workspace, sandbox, hidden
        self._seen: object = None
        self._described: Tool | None = None

    async def prepared(self) -> Tool:
        """Where there are no data, or nothing that could read them, a call says so."""
        try:
            seen = self._state()
            if self._described is None or seen != self._seen:
                self._described = await described(self._workspace, self._sandbox, hidden=self._hidden)
                self._seen = seen
        except (ToolFailed, OSError):
            self._described = None
        return self._described or self.inner

    def _state(self) -> object:
        sources, _ = find_sources(Workspace(self._workspace, self._hidden))
        paths = [self._workspace / source.path for source in sources]
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
