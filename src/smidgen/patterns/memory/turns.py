"""What a conversation is made of: instructions, exchanges, the request; and by which digests its messages are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from smidgen.messages import Message


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What a user said and all that followed it. digest: of the conversation up to its end, instructions aside.
    turn: which of the user's messages begins it, from 1 on; 0 for what stands before the first."""

    messages: tuple[Message, ...]
    digest: str
    turn: int


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """system: instructions, "" if there are none. exchanges: before the request. request: the last user message and
    what follows it, calls of tools and their results."""

    system: str
    exchanges: tuple[Exchange, ...]
    request: tuple[Message, ...]


def parted(messages: Sequence[Message]) -> Conversation:
    system = "\n\n".join(message.content for message in messages if message.role == "system" and message.content)
    groups: list[list[Message]] = []
    for message in messages:
        if message.role == "system":
            continue
        if message.role == "user" or not groups:
            groups.append([])
        groups[-1].append(message)
    digest, turn = "", 0
    exchanges: list[Exchange] = []
    for group in groups[:-1]:
        digest = digest_of(digest, *(part for message in group for part in _identity(message)))
        turn += group[0].role == "user"
        exchanges.append(Exchange(messages=tuple(group), digest=digest, turn=turn))
    return Conversation(system=system, exchanges=tuple(exchanges), request=tuple(groups[-1]) if groups else ())


def sources(messages: Iterable[Message]) -> list[tuple[str, str]]:
    """Of each user message, the digest of all user messages up to it, and its text. Only who sends the same messages
    knows a digest, so what is kept under it tells nobody anything new."""
    digest = ""
    found: list[tuple[str, str]] = []
    for message in messages:
        if message.role == "user":
            digest = digest_of(digest, message.content)
            found.append((digest, message.content))
    return found


def digest_of(*parts: str) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def _identity(message: Message) -> tuple[str, str, str]:
    calls = msgspec.json.encode(message.tool_calls).decode() if message.tool_calls else ""
    return message.role, message.content, calls
