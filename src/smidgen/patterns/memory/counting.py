"""Tokens of messages in the model's own tokenizer. Each text is counted once; what a chat template writes around
messages is measured once for each model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from smidgen.agent import AgentModel
from smidgen.agent.deadline import Deadline
from smidgen.messages import Message, Segment
from smidgen.patterns.memory.turns import digest_of

KEPT = 20_000
"""Texts whose counts are remembered, by their digests: the texts themselves may be long, and a user's."""


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that the template writes. base: of a prompt that is one user message. turn: for each further message.
    system: for a system message."""

    base: int
    turn: int
    system: int


class Counts:
    """What was counted before, for any number of models."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._around: dict[str, Around] = {}

    def by(self, model: AgentModel, deadline: Deadline) -> Counting:
        return Counting(self, model, deadline)

    def get(self, key: tuple[str, str]) -> int | None:
        with suppress(KeyError):  # other loops run in other threads
            self._texts.move_to_end(key)
        return self._texts.get(key)

    def put(self, key: tuple[str, str], count: int) -> None:
        self._texts[key] = count
        with suppress(KeyError):
            while len(self._texts) > KEPT:
                self._texts.popitem(last=False)

    def around(self, name: str) -> Around | None:
        return self._around.get(name)

    def keep_around(self, name: str, around: Around) -> None:
        self._around[name] = around


class Counting:
    """For one run. Methods raise DeadlineExceeded and what the engine raises."""

    def __init__(self, counts: Counts, model: AgentModel, deadline: Deadline) -> None:
        self._counts, self._model, self._deadline = counts, model, deadline

    @property
    def context(self) -> int:
        return self._model.engine.context

    async def text(self, text: str) -> int:
        key = (self._model.name, digest_of(text))
        known = self._counts.get(key)
        if known is None:
            known = await self._tokens((Segment(text, special=False),)) if text else 0
            self._counts.put(key, known)
        return known

    async def messages(self, messages: Sequence[Message]) -> int:
        """With what the template writes for each."""
        around = await self.around()
        total = 0
        for message in messages:
            calls = msgspec.json.encode(message.tool_calls).decode() if message.tool_calls else ""
            total += await self.text(message.content + calls) + around.turn
        return total

    async def prompt(self, messages: Sequence[Message]) -> int:
        """Of the whole, exactly, as the model will read it. Raises InvalidRequest for what it can't be given."""
        return await self._tokens(self._model.template.render(messages))

    async def around(self) -> Around:
        found = self._counts.around(self._model.name)
        if found is None:
            word = Message(role="user", content="x")
            reply = Message(role="assistant", content="x")
            one = await self._tokens((Segment("x", special=False),))
            alone = await self.prompt([word])
            longer = await self.prompt([word, reply, word])
            told = await self.prompt([Message(role="system", content="x"), word])
            found = Around(
                base=alone - one,
                turn=max(1, (longer - alone - 2 * one + 1) // 2),
                system=max(0, told - alone - one),
            )
            self._counts.keep_around(self._model.name, found)
        return found

    async def _tokens(self, prompt: tuple[Segment, ...]) -> int:
        return len(await self._deadline.wait(lambda: self._model.engine.tokenize(prompt)))
