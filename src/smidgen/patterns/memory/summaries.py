"""Older exchanges in the model's words: written while nobody waits, broken off by the next request, kept by digest.

A summary is made from the one before it and the exchanges since. It is for what a conversation was about; facts have
their own store, because a small model's summary loses and bends them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, cast

import msgspec

from smidgen.agent import AgentModel
from smidgen.errors import SmidgenError
from smidgen.events import Failed, Generated
from smidgen.messages import BACKGROUND, GenerateRequest, Message
from smidgen.patterns.memory.counting import Counting
from smidgen.patterns.memory.sentences import sentences
from smidgen.patterns.memory.turns import Exchange

log = logging.getLogger("smidgen.patterns.memory")

KEPT = 2_000
"""Summaries that are remembered."""

SYSTEM = "You summarise conversations briefly."
ASK = "In two short sentences, say what the user and the assistant have talked about so far. Leave out all details."
SENTENCES = 2
"""Of each message that are read for a summary."""


class Summaries(Mapping[str, str]):
    """By the digest of the last exchange that they cover."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._cleared = 0

    def __getitem__(self, digest: str) -> str:
        return self._texts[digest]

    def __iter__(self) -> Any:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def clear(self) -> None:
        """Also of what is being written now, nothing is kept. From any thread."""
        self._cleared += 1
        self._texts = OrderedDict()

    async def write(
        self, model: AgentModel, counting: Counting, exchanges: Sequence[Exchange], hidden: Collection[str]
    ) -> bool:
        """Of all these exchanges, from the latest summary of some of them on. hidden: sentences of the user that are
        not to be in it. False if the engine went away or failed, or all was cleared meanwhile: then there is none,
        which isn't an error."""
        cleared, texts = self._cleared, self._texts
        done = next((n for n in range(len(exchanges), 0, -1) if exchanges[n - 1].digest in texts), 0)
        text = texts.get(exchanges[done - 1].digest, "") if done else ""
        room = model.engine.context // 2 - self._tokens
        try:
            while done < len(exchanges):
                lines, done = await self._chunk(counting, exchanges, done, hidden, room)
                text = await self._written(model, text, lines)
                if not text or self._cleared != cleared:
                    return False
                _keep(texts, exchanges[done - 1].digest, text)
        except SmidgenError as error:
            log.debug("no summary: %s", error)
            return False
        return True

    async def _chunk(
        self, counting: Counting, exchanges: Sequence[Exchange], start: int, hidden: Collection[str], room: int
    ) -> tuple[str, int]:
        """As many exchanges from `start` on as can be read at once, at least one."""
        lines: list[str] = []
        end = start
        while end < len(exchanges):
            more = [told for message in exchanges[end].messages if (told := _shown(message, hidden))]
            size = await counting.text("\n".join(more))
            if size > room and end > start:
                break
            lines += more if size <= max(room, 1) else []
            room -= size
            end += 1
        return "\n".join(lines), end

    async def _written(self, model: AgentModel, earlier: str, lines: str) -> str:
        if not lines:
            return earlier or "Nothing of note was said."
        before = f"So far: {earlier}\n\n" if earlier else ""
        asked = Message(role="user", content=f"{before}{lines}\n\n{ASK}")
        request = GenerateRequest(
            prompt=model.template.render((Message(role="system", content=SYSTEM), asked)),
            sampling=msgspec.structs.replace(model.profile.sampling, temperature=0.0),
            max_tokens=self._tokens,
            stop=model.profile.stop,
            priority=BACKGROUND,
        )
        async with aclosing(cast(Any, model.engine.generate(request))) as events:
            async for event in events:
                if isinstance(event, Failed):
                    raise event.error.to_exception()
                if isinstance(event, Generated):
                    return _whole(event.text, cut=event.finish_reason == "length")
        return ""


def _keep(texts: OrderedDict[str, str], digest: str, text: str) -> None:
    with suppress(KeyError):  # other loops run in other threads
        texts[digest] = text
        texts.move_to_end(digest)
        while len(texts) > KEPT:
            texts.popitem(last=False)


def without(text: str, stale: Collection[str]) -> str:
    """A summary without the sentences that tell what holds no more."""
    return " ".join(sentence for sentence in sentences(text) if not any(value in sentence for value in stale))


def _whole(text: str, *, cut: bool) -> str:
    """Whole sentences of one paragraph."""
    found = sentences(" ".join(text.split()))
    if cut and found and not found[-1].endswith((".", "!", "?")):
        found.pop()
    return " ".join(found)


def _shown(message: Message, hidden: Collection[str]) -> str:
    """What tools return is left to who used it."""
    if message.role not in ("user", "assistant"):
        return ""
    who = "User" if message.role == "user" else "Assistant"
    said = [one for one in sentences(message.content) if message.role == "assistant" or one not in hidden]
    return f"{who}: {' '.join(said[:SENTENCES])}" if said else ""
