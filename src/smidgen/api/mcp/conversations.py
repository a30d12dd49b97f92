"""Which conversation a call of a tool belongs to, for tools that keep something between calls."""

from __future__ import annotations

from smidgen.api.mcp.asking import Context
from smidgen.runtime.toolbox import Toolbox
from smidgen.tools.conversation import new_conversation

MOST = 64
"""Clients whose tools' own state (interpreters, writes that can be undone) is kept in memory."""


class Conversations:
    """Standard input has one client. Over HTTP a session tells clients apart, and a call without one is a conversation
    by itself."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._numbers: dict[str, int] = {}

    async def number(self, context: Context) -> tuple[int, bool]:
        """And whether it is over with this call: then `forget` it."""
        session = ""
        if context.request is not None:
            session = context.request.headers.get("mcp-session-id", "")
            if not session:
                return new_conversation(), True
        number = self._numbers.pop(session, 0) or new_conversation()
        self._numbers[session] = number  # the latest at the end
        while len(self._numbers) > MOST:
            await self.forget(self._numbers.pop(next(iter(self._numbers))))
        return number, False

    async def forget(self, number: int) -> None:
        await self._toolbox.forget(number)

    async def aclose(self) -> None:
        for number in self._numbers.values():
            await self.forget(number)
