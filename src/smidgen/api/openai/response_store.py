"""Answers of the responses API that a later request may refer to: in memory only, the latest ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.messages import Message

KEPT = 256
KEPT_CHARACTERS = 32_000_000
"""Of their conversations together."""


class UnknownResponse(InvalidRequest):
    """No answer of that id is kept (any more)."""

    code = "unknown_response"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """body: the answer as it was sent. conversation: all that was said up to it and with it, but for instructions.
    size: of both in bytes of JSON."""

    body: dict[str, Any]
    conversation: tuple[Message, ...]

    size: int

    @staticmethod
    def of(body: dict[str, Any], conversation: tuple[Message, ...]) -> Kept:
        size = len(msgspec.json.encode(body)) + len(msgspec.json.encode(conversation))
        return Kept(body=body, conversation=conversation, size=size)


class ResponseStore:
    def __init__(self, kept: int = KEPT, characters: int = KEPT_CHARACTERS) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._most, self._most_characters = kept, characters
        self._characters = 0

    def keep(self, identifier: str, answer: Kept) -> None:
        self._kept[identifier] = answer
        self._characters += answer.size
        while len(self._kept) > self._most or (len(self._kept) > 1 and self._characters > self._most_characters):
            self._characters -= self._kept.popitem(last=False)[1].size

    def get(self, identifier: str) -> Kept:
        """Raises UnknownResponse."""
        found = self._kept.get(identifier)
        if found is None:
            raise UnknownResponse(
                f"There is no response {identifier[:80]!r} here.",
                hint=f"The latest {self._most} are kept, until the server stops. Send the whole conversation as input.",
                param="previous_response_id",
            )
        return found

    def forget(self, identifier: str) -> None:
        """Raises UnknownResponse."""
        self._characters -= self.get(identifier).size
        del self._kept[identifier]
