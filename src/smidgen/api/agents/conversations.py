"""Sessions' conversations in memory: what tools keep for them, interpreters or writes to undo, lasts between runs."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext

import msgspec

from smidgen.api.admission import current_turn
from smidgen.api.agents.live import Live
from smidgen.api.agents.named import Choices, agent_for
from smidgen.api.service import Service
from smidgen.messages import Message, ToolCall
from smidgen.runtime.chat import Chat

MOST = 64
"""Conversations kept besides those that are being answered; the least recently used go first."""


class Held(msgspec.Struct):
    """A conversation, for as long as nothing about its agent changes. live: the run that answers it now."""

    agent_name: str
    choices: Choices
    chat: Chat
    live: Live | None = None


class Conversations:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._held: OrderedDict[str, Held] = OrderedDict()

    def find(self, name: str, choices: Choices, session: str, before: tuple[Message, ...]) -> Held:
        """The session's as it is in memory, or one made from its messages, which `keep` keeps. Raises what making an
        agent raises."""
        held = self._held.get(session) if session else None
        if held is not None and (held.agent_name, held.choices) == (name, choices) and held.chat.messages == before:
            return held
        made: list[Held] = []

        async def ask(call: ToolCall, preview: str) -> bool:
            live = made[0].live
            if live is None or not live.asks:
                return False
            turn = current_turn.get()
            # Whoever waits for a person keeps nobody else waiting.
            async with nullcontext() if turn is None else turn.given_back():
                return await live.ask(call, preview)

        agent = agent_for(self._service, name, choices, ask)
        made.append(Held(agent_name=name, choices=choices, chat=agent.chat(before)))
        return made[0]

    def keep(self, session: str, held: Held) -> None:
        before = self._held.get(session)
        if before is not None and before is not held:
            before.chat.clear()
        self._held[session] = held
        self._held.move_to_end(session)
        for old in [name for name, other in self._held.items() if other.live is None and name != session]:
            if len(self._held) <= MOST:
                break
            self.drop(old)

    def drop(self, session: str) -> None:
        held = self._held.pop(session, None)
        if held is not None:
            held.chat.clear()
