"""What was begun: a request that a question for slots is answered by, and whether the last words do answer it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from smidgen.messages import Message
from smidgen.patterns.router.intents import Intent
from smidgen.patterns.router.slots import Filled, fill, filled_further, is_question

_WORD = re.compile(r"\w+")


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """intent: whose question the last words answer. first: the request that it was asked about. request: all that was
    said about it, in lines. slots: of these. aside: what the last words hold beside values and words of the question;
    if that is another request, they are no answer."""

    intent: Intent
    first: str
    request: str
    slots: Filled
    aside: str


def begun(intents: Sequence[Intent], messages: Sequence[Message]) -> tuple[Begun, ...]:
    """Of each intent that may have asked the last question, if the last words hold a slot that it asked for, or one
    that can't be used. More than one where intents ask the same question."""
    if messages[-1].role != "user":
        return ()
    found: list[Begun] = []
    for intent in intents:
        said, place = [messages[-1].content], len(messages) - 2
        while place >= 1 and _asks(intent, messages[place]) and messages[place - 1].role == "user":
            said.insert(0, messages[place - 1].content)
            place -= 2
        start, slots = 0, fill(intent.slots, said[0])
        for number, text in enumerate(said[1:], 1):
            now = filled_further(intent.slots, slots, text)
            if len(now.missing) < len(slots.missing) or any(name in now.reasons for name in now.missing):
                slots = now
            else:  # it was taken for a request of its own
                start, slots = number, fill(intent.slots, text)
        if start < len(said) - 1:
            aside = _aside(said[-1], messages[-2].content, slots)
            request = "\n".join(said[start:])
            found.append(Begun(intent=intent, first=said[start], request=request, slots=slots, aside=aside))
    return tuple(found)


def _asks(intent: Intent, message: Message) -> bool:
    return message.role == "assistant" and bool(intent.slots) and is_question(intent.slots, message.content)


def _aside(text: str, question: str, slots: Filled) -> str:
    """Words with digits count as values."""
    for value in slots.values.values():
        if isinstance(value, str) and value:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", " ", text, flags=re.IGNORECASE)
    asked = {word.casefold() for word in _WORD.findall(question)}
    words = [word for word in _WORD.findall(text) if not any(map(str.isdigit, word))]
    return " ".join(word for word in words if word.casefold() not in asked)
