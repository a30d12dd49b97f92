"""A model asked for short versions of a text, at once where they don't need one another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from smidgen.agent.prompts import with_system
from smidgen.errors import Cancelled, ContextOverflow, DeadlineExceeded
from smidgen.messages import Constraint, Message, Segment
from smidgen.patterns.chain import fidelity, terms
from smidgen.patterns.chain.perform import system_of
from smidgen.patterns.chain.sentences import parts, sentences, word_count
from smidgen.patterns.chain.steps import alternatives
from smidgen.patterns.chain.templates import fence
from smidgen.patterns.chain.together import AT_ONCE, together
from smidgen.patterns.run import Run, Writing

T = TypeVar("T")
TOKENS_PER_WORD = 2
"""Of the text to be written; one that ends at the limit loses its unfinished sentence and nothing else."""
ADDED = 3
"""Missing terms that a version is asked to add, at most: asked for all at once, small models list them."""
INSTRUCTIONS = 220
"""Tokens of a prompt beside the text, the short version so far and the terms."""
LONG = 20_000
"""Characters of a text that code looks at in a thread: from some 10 ms on."""
DRAWN = 0.7
"""Temperature of all samples but the first, which is greedy."""


class Short(msgspec.Struct, frozen=True, kw_only=True):
    """A short version. kept: the key terms in it. wrong: why it can't be taken, "" if it can."""

    text: str
    kept: tuple[str, ...] = ()
    wrong: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """Of two that stand the checks the higher one is better: it says more key terms within the words that are
        allowed, or as many in fewer words."""
        return len(self.kept), self.density

    @property
    def density(self) -> float:
        """Key terms for each word."""
        return len(self.kept) / max(1, word_count(self.text))


class Condenser:
    """words: of a short version, at most. most_tokens: of a text that the user sees, 0 for what the words need. The
    task's system message stands in front of every prompt."""

    def __init__(self, run: Run, model: str, words: int, most_tokens: int = 0) -> None:
        self._run, self._model, self.words = run, model, words
        wanted = words * TOKENS_PER_WORD + 16
        self._most_tokens = most_tokens
        self._room = min(wanted, most_tokens) if most_tokens else wanted
        self._system = system_of(run.task)
        self._places = asyncio.Semaphore(AT_ONCE)

    async def tokens(self, text: str) -> int:
        asking = self._run.asking(self._model)
        await asking.load()
        engine = asking.model.engine
        async with self._places:
            return len(await asking.deadline.wait(lambda: engine.tokenize((Segment(text, special=False),))))

    async def is_within(self, text: str) -> bool:
        """Has it no more tokens than the user allowed? A token is a byte at least."""
        most = self._most_tokens
        return not most or len(text.encode()) <= most or await self.tokens(text) <= most

    async def budget(self, key_terms: int) -> int:
        """Tokens that a text may have in a prompt. Raises ContextOverflow where that is less than short versions of two
        parts need, so that no number of parts would do."""
        asking = self._run.asking(self._model)
        await asking.load()
        context = asking.model.engine.context
        system = await self.tokens(self._system) if self._system else 0
        left = context - INSTRUCTIONS - system - 8 * key_terms - 2 * self._room
        if left < 2 * self._room:
            raise ContextOverflow(
                f"A context of {context} tokens is too small for short versions of {self.words} words.",
                hint="Ask for fewer words, shorten the system message, or open the model with a larger context.",
                context_tokens=context,
                part="system" if system > self._room else "request",
            )
        return left

    async def split(self, text: str, most: int) -> tuple[str, ...]:
        """The text, or parts of it that end where sentences do and have `most` tokens at most."""
        if len(text.encode()) <= most or await self.tokens(text) <= most:
            return (text,)
        pieces = await off_loop(lambda: sentences(text), text)
        counts = await together([self.tokens(f" {piece}") for piece in pieces])
        return parts(pieces, counts, most)

    async def extracted(self, text: str, key_terms: Sequence[str]) -> str:
        """Sentences of the text itself, as many as the words and tokens allow; "" where not even one is short."""
        words = self.words
        while words:
            found = await off_loop(lambda most=words: fidelity.extract(text, key_terms, words=most), text)
            if not found or await self.is_within(found):
                return found
            words = word_count(found) - 1
        return ""

    async def choose(self, text: str, offered: Sequence[str], count: int) -> tuple[str, ...]:
        """Of the terms offered, which all stand in the text, those that the model names."""
        if len(offered) <= count:
            return tuple(offered)
        one = alternatives(tuple(offered))
        asked = f"List the {count} most important of these terms, a line each: {', '.join(offered)}."
        constraint = Constraint(kind="regex", source=rf"{one}(?:\n{one}){{{count - 1}}}")
        written = await self._write(text, asked, max_tokens=16 * count, constraint=constraint)
        return tuple(dict.fromkeys(line for line in written.splitlines() if line in offered))

    async def plain(self, text: str) -> str:
        return fidelity.tidied(await self._write(text, plain_instruction(self.words)))

    async def denser(self, text: str, so_far: Short, missing: Sequence[str], draws: Sequence[int]) -> list[str]:
        """Other versions of the short one, written at once. draws: a seed for each, 0 for the greedy one."""
        keep = f" Keep: {', '.join(so_far.kept)}." if so_far.kept else ""
        more = f" Add: {', '.join(missing[:ADDED])}." if missing else ""
        asked = (
            f"This is a summary of it:\n{fence(so_far.text)}\nWrite it again in at most {self.words} words, with fewer "
            f"filler words and more facts of the text.{keep}{more} Write only the summary, in full sentences."
        )
        written = await together(
            [self._write(text, asked, temperature=DRAWN if seed else 0.0, seed=seed) for seed in draws]
        )
        return [fidelity.tidied(one) for one in written]

    def judged(self, short: str, source: fidelity.Source, key_terms: Sequence[str], keep: Sequence[str] = ()) -> Short:
        wrong = fidelity.problems(short, source, words=self.words, keep=keep)
        return Short(text=short, kept=terms.kept(key_terms, short), wrong="; ".join(wrong))

    async def _write(
        self,
        text: str,
        asked: str,
        *,
        max_tokens: int = 0,
        constraint: Constraint | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """The text comes first in every prompt, so that it is read by the model only once."""
        prompt = Message(role="user", content=f"{fence(text)}\n\n{asked}")
        how = Writing(
            max_tokens=max_tokens or self._room,
            temperature=temperature,
            seed=seed,
            constraint=constraint,
            model=self._model,
        )
        async with self._places:
            written = await self._run.write(with_system([prompt], self._system), how)
        if written.finish_reason == "deadline":
            raise DeadlineExceeded("The time limit was reached before the text was condensed.")
        if written.finish_reason == "cancelled":
            raise Cancelled("The run was cancelled.")
        return written.text


async def off_loop(work: Callable[[], T], text: str) -> T:
    """What code makes of a text: of a long one in a thread, so that nothing else waits for it."""
    return await asyncio.to_thread(work) if len(text) > LONG else work()


def plain_instruction(words: int) -> str:
    return f"Summarise this text in at most {words} words, in full sentences. Write only the summary."
