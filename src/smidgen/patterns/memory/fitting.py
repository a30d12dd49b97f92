"""A conversation rewritten to fit: the last exchanges as they were said, recalled facts, and the rest in short."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec

from smidgen.errors import ContextOverflow
from smidgen.messages import Message
from smidgen.patterns.memory.budget import Parts
from smidgen.patterns.memory.counting import Counting
from smidgen.patterns.memory.sentences import sentences
from smidgen.patterns.memory.turns import Conversation, Exchange
from smidgen.patterns.memory.wording import looks_up
from smidgen.sessions.facts import Fact

STEP = 0.67
"""Share of the room to which the history is cut when it is full. So the prompt's beginning stays the same for some
turns, and the model needn't read all of it again each time."""

INSTRUCTIONS = "You are a helpful assistant."
"""Where the conversation has none: many templates put something of the kind there, which these blocks replace."""

Place = Literal["request", "system"]
"""Where facts are told. In front of the request, small models heed them, and the prompt's beginning stays as it was and
needn't be read again. In the system message, the request stays as the user wrote it: for patterns that look at it."""

FACTS = {"request": "I told you earlier:", "system": "Known facts, in the user's words:"}
LOOKUP = "Answer from that, in a sentence: "
"""In front of a short question for what is so. Without it, SmolLM2-135M goes on in the manner of the last exchanges."""

SUMMARY = "Earlier in this conversation:"
SAID = "Earlier the user said:"
CUT = " […]"


class Older(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of exchanges that aren't in the prompt. text: what a model wrote of the first `covered` of them, ""
    if it wrote nothing yet. hidden: sentences that aren't repeated, because facts hold what they say."""

    text: str = ""
    covered: int = 0
    hidden: frozenset[str] = frozenset()


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """recalled: facts in the prompt. summarised, shortened: older messages of which a model's summary tells, or their
    first sentences; dropped: of which nothing does. tokens: of the prompt, exactly."""

    messages: tuple[Message, ...]
    recalled: tuple[Fact, ...]
    summarised: int
    shortened: int
    dropped: int
    tokens: int


def first_kept(sizes: Sequence[int], room: int) -> int:
    """The first exchange that stays: all until they don't fit, then only as many as fill a part of the room, until
    they don't fit again. sizes, room: tokens."""
    start = total = 0
    for index, size in enumerate(sizes):
        total += size
        if total > room:
            while start <= index and total > room * STEP:
                total -= sizes[start]
                start += 1
    return start


class Fitting:
    """parts: the budget in tokens of `window`. reserve: tokens that the inner pattern adds, its own instructions.
    sources: of the conversation's user messages, as facts name them. instructions: in front of facts and what is told
    of older exchanges, where the conversation has none; "" where the inner pattern has its own."""

    def __init__(
        self,
        counting: Counting,
        conversation: Conversation,
        parts: Parts,
        window: int,
        reserve: int = 0,
        sources: Sequence[str] = (),
        place: Place = "request",
        instructions: str = INSTRUCTIONS,
    ) -> None:
        self._counting, self._said, self._parts, self._window = counting, conversation, parts, window
        self._room = window - parts.answer - parts.tools - reserve
        self._sources, self._place, self._instructions = sources, place, instructions

    async def sizes(self) -> list[int]:
        return [await self._counting.messages(exchange.messages) for exchange in self._said.exchanges]

    async def history_room(self) -> int:
        """Tokens that exchanges may have, whatever is asked."""
        system = await self._counting.text(self._said.system or self._instructions)
        around = await self._counting.around()
        left = self._room - around.base - around.system - system - self._parts.memory - self._parts.request
        return max(0, min(left, self._parts.history or left))

    async def fit(self, facts: Sequence[Fact], olders: Mapping[str, str], hidden: Collection[str] = ()) -> Fitted:
        """facts: to be told, the likeliest first, but for those that stand in what stays. olders: summaries by the
        digest of the last exchange that they cover. hidden: sentences not to be repeated.

        Raises ContextOverflow for a request that can't be answered in this window."""
        await self._refuse_long_instructions()
        exchanges = self._said.exchanges
        sizes, room = await self.sizes(), await self.history_room()
        start = first_kept(sizes, room)
        squeezed: tuple[Message, ...] = ()
        if start == len(exchanges) and exchanges:
            squeezed = await self._squeezed(exchanges[-1], room)
        memory = self._parts.memory
        while True:
            older = await self._older(start, olders, frozenset(hidden), memory // 2)
            kept = [message for exchange in exchanges[start:] for message in exchange.messages] or list(squeezed)
            here = self._sources[max(0, exchanges[start].turn - 1) if start < len(exchanges) else -1 :]
            recalled, block = await self._facts([fact for fact in facts if fact.source not in here], memory // 2)
            lines, shortened = await self._lines(older, start - bool(squeezed), memory // 2)
            messages = self._written(block, lines, kept)
            tokens = await self._counting.prompt(messages)
            if tokens <= self._room:
                summarised = _count(exchanges[: older.covered]) if older.text else 0
                gone = _count(exchanges[:start]) - (_count(exchanges[-1:]) if squeezed else 0)
                return Fitted(
                    messages=messages,
                    recalled=tuple(recalled),
                    summarised=summarised,
                    shortened=shortened + len(squeezed),
                    dropped=max(0, gone - summarised - shortened),
                    tokens=tokens,
                )
            if start < len(exchanges):
                start += 1
            elif squeezed:
                squeezed = ()
            elif memory > 0:
                memory = memory // 2 if memory > 32 else 0
            else:
                raise self._overflow(tokens)

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _older(self, start: int, olders: Mapping[str, str], hidden: frozenset[str], room: int) -> Older:
        """The latest summary that fits."""
        for covered in range(start, 0, -1):
            text = olders.get(self._said.exchanges[covered - 1].digest)
            if text and await self._counting.text(f"{SUMMARY} {text}") <= room:
                return Older(text=text, covered=covered, hidden=hidden)
        return Older(hidden=hidden)

    async def _facts(self, facts: Sequence[Fact], room: int) -> tuple[list[Fact], str]:
        told: list[Fact] = []
        block = ""
        for fact in facts:
            longer = _listed(FACTS[self._place], [one.text for one in (*told, fact)])
            if await self._counting.text(longer) <= room:
                told.append(fact)
                block = longer
        return told, block

    async def _lines(self, older: Older, start: int, room: int) -> tuple[str, int]:
        """What is told of exchanges up to `start`, and how many messages their first sentences stand for."""
        summary = f"{SUMMARY} {older.text}" if older.text else ""
        room -= await self._counting.text(summary)
        firsts: list[str] = []
        count = 0
        for exchange in reversed(self._said.exchanges[older.covered : start]):
            said = exchange.messages[0]
            shown = [one for one in sentences(said.content) if one not in older.hidden] if said.role == "user" else []
            if not shown:
                continue
            text = _listed(SAID, [shown[0], *firsts])
            if await self._counting.text(text) > room:
                break
            firsts.insert(0, shown[0])
            count += len(exchange.messages)
        return "\n\n".join(text for text in (summary, _listed(SAID, firsts)) if text), count

    async def _squeezed(self, exchange: Exchange, room: int) -> tuple[Message, ...]:
        """An exchange that is too long by itself: the first sentences of what both said. Nothing where tools were
        called, whose results would be without them."""
        if len(exchange.messages) != 2 or [one.role for one in exchange.messages] != ["user", "assistant"]:
            return ()
        around = await self._counting.around()
        left = room - 2 * (around.turn + 4)
        short: list[Message] = []
        for number, message in enumerate(exchange.messages):
            text = await self._beginning(message.content, left // 2 if number == 0 else left)
            if not text:
                return ()
            left -= await self._counting.text(text)
            short.append(msgspec.structs.replace(message, content=text))
        return tuple(short)

    async def _beginning(self, text: str, room: int) -> str:
        if await self._counting.text(text) <= room:
            return text
        shown = ""
        for sentence in sentences(text):
            longer = f"{shown} {sentence}".strip()
            if await self._counting.text(longer + CUT) > room:
                break
            shown = longer
        return shown and shown + CUT

    def _written(self, block: str, lines: str, kept: Sequence[Message]) -> tuple[Message, ...]:
        system, request = self._said.system, self._said.request
        if block and self._place == "request":
            lead = LOOKUP if looks_up(request[0].content) else ""
            first = msgspec.structs.replace(request[0], content=f"{block}\n\n{lead}{request[0].content}")
            request, block = (first, *request[1:]), ""
        if block or lines:
            system = "\n\n".join(text for text in (system or self._instructions, block, lines) if text)
        head = (Message(role="system", content=system),) if system else ()
        return (*head, *kept, *request)

    # --- refusals -----------------------------------------------------------------------------------------------------

    async def _refuse_long_instructions(self) -> None:
        most = self._parts.system
        tokens = await self._counting.text(self._said.system)
        if most and tokens > most:
            raise ContextOverflow(
                f"The instructions are too long: {tokens} tokens, of which the budget allows {most}.",
                hint=f"Shorten them by {tokens - most} tokens, or raise `system` in the budget.",
                prompt_tokens=tokens,
                context_tokens=self._window,
                over_by=tokens - most,
                part="system",
            )

    def _overflow(self, tokens: int) -> ContextOverflow:
        over = tokens - self._room
        kept = self._window - self._room
        if self._room <= 0:
            return ContextOverflow(
                f"Nothing can be asked in a window of {self._window} tokens: {kept} of them are kept free for the "
                "answer, tools and the inner pattern's own instructions.",
                hint="Lower `answer` and `tools` in the budget, or use a larger window.",
                prompt_tokens=tokens,
                context_tokens=self._window,
                over_by=over,
                part="budget",
            )
        return ContextOverflow(
            f"The request is too long even without any history: {tokens} tokens with the instructions, and {kept} are "
            f"kept for the answer and what is added, in a window of {self._window}.",
            hint=f"Shorten it by {over} tokens, or use a larger window.",
            prompt_tokens=tokens,
            context_tokens=self._window,
            over_by=over,
            part="request",
        )


def _listed(heading: str, lines: Sequence[str]) -> str:
    return "\n".join((heading, *(f"- {' '.join(line.split())}" for line in lines))) if lines else ""


def _count(exchanges: Sequence[Exchange]) -> int:
    return sum(len(exchange.messages) for exchange in exchanges)
