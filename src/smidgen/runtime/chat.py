"""`Chat`: a conversation with an agent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

import msgspec

from smidgen.events import AgentEvent, Finished
from smidgen.messages import Message, ToolCall
from smidgen.runtime.answers import Answer, Collector
from smidgen.tools.conversation import new_conversation
from smidgen.tools.results import Results

if TYPE_CHECKING:
    from smidgen.runtime.agent import Agent, AgentOptions


class Chat:
    """A conversation with an agent. `messages` keeps what was said, but no answer that failed or was cancelled."""

    def __init__(self, agent: Agent, messages: tuple[Message, ...] = ()) -> None:
        self.agent = agent
        self._messages = messages
        self._given = len(messages)
        self._number = new_conversation()
        self._results = Results()

    @property
    def messages(self) -> tuple[Message, ...]:
        return self._messages

    def clear(self) -> None:
        """What tools kept for it goes too."""
        self.agent.forget(self._number)
        self._messages = ()
        self._given = 0
        self._number = new_conversation()
        self._results = Results()

    def send(self, text: str, **options: Unpack[AgentOptions]) -> Answer:
        return self.agent.runtime.bridge.call(lambda: self._send(text, options))

    async def asend(self, text: str, **options: Unpack[AgentOptions]) -> Answer:
        return await self.agent.runtime.bridge.await_(lambda: self._send(text, options))

    def stream(self, text: str, **options: Unpack[AgentOptions]) -> Generator[AgentEvent, None, None]:
        return self.agent.runtime.bridge.iterate(lambda: self._stream(text, options))

    def astream(self, text: str, **options: Unpack[AgentOptions]) -> AsyncGenerator[AgentEvent, None]:
        return self.agent.runtime.bridge.aiterate(lambda: self._stream(text, options))

    async def _send(self, text: str, options: AgentOptions) -> Answer:
        collector = Collector(self.agent.model)
        async for event in self._stream(text, options):
            collector.feed(event)
        return collector.answer()

    async def _stream(self, text: str, options: AgentOptions) -> AsyncGenerator[AgentEvent, None]:
        asked = Message(role="user", content=text)
        told, results = (*self._messages, asked), self._results
        results.texts.clear()
        async with aclosing(self.agent.events(told, options, self._number, results, self._given)) as events:
            async for event in events:
                if isinstance(event, Finished) and event.finish_reason != "cancelled":
                    self._messages = (*self._messages, asked, *_said(event, results.texts))
                yield event


def _said(finished: Finished, read: Sequence[str]) -> tuple[Message, ...]:
    """The turns that an answer adds: each tool call with what was read of its result, then the text."""
    turns: list[Message] = []
    for number, record in enumerate(finished.tool_calls, start=1):
        call = ToolCall(name=record.name, arguments=record.arguments, id=f"call_{number}")
        whole = record.result if isinstance(record.result, str) else msgspec.json.encode(record.result).decode()
        result = read[number - 1] if number <= len(read) else whole
        turns.append(Message(role="assistant", tool_calls=(call,)))
        turns.append(Message(role="tool", name=record.name, call_id=call.id, content=result))
    return (*turns, Message(role="assistant", content=finished.text))
