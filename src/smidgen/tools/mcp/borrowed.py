"""One tool of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from smidgen.messages import ToolSpec
from smidgen.tools import Effect, ToolOutcome, Use
from smidgen.tools.mcp.connection import Connection
from smidgen.tools.mcp.offer import Offer
from smidgen.tools.permissions.audit import as_text


class Borrowed:
    """name: what it is called here."""

    def __init__(self, connection: Connection, offer: Offer, name: str) -> None:
        self._connection = connection
        self._offer = offer
        self._spec = ToolSpec(name=name, description=offer.description, parameters=offer.parameters)

    def __repr__(self) -> str:
        return f"Borrowed({self._connection.name}: {self._offer.tool})"

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    @property
    def effect(self) -> Effect:
        return "read" if self._offer.reads else "write"

    def preview(self, arguments: Mapping[str, Any]) -> str:
        return f"{self._spec.name}({as_text(dict(arguments))}), by the MCP server {self._connection.name}"

    def uses(self, arguments: Mapping[str, Any]) -> Sequence[Use]:
        return self._offer.uses(self._connection.server.host)

    async def call(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        return await self._connection.call(self._offer.tool, msgspec.to_builtins(dict(arguments)))
