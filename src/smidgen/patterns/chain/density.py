"""`Density`: key terms, a simple answer, then rounds that say more of them in as many words, each checked by code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from smidgen.errors import ConfigError, NoAnswer
from smidgen.events import AgentEvent, FellBack, Notice, StepStarted, TextDelta, Verified
from smidgen.patterns import Resources, Task
from smidgen.patterns.chain import fidelity
from smidgen.patterns.chain.condense import Condenser, Short, off_loop
from smidgen.patterns.chain.sentences import word_count
from smidgen.patterns.chain.terms import candidates, chosen
from smidgen.patterns.chain.together import both, together
from smidgen.patterns.run import Run, Writing, guarded

OFFERED = 3
"""Terms by code for each term that is wanted, from which the model chooses."""
SHRINKS = 3
"""Tokens of a part for each word of its short version, at least: it would not be shorter else."""
SENTENCES = "sentences of the text"
INSTEAD = "sentences of the part instead"
LEVELS = 8
"""Of short versions of short versions, at most."""


class Density(msgspec.Struct, frozen=True, kw_only=True):
    """A short version of the request's text; a text that doesn't fit in the context is condensed in parts first.

    words: of the answer, at most. rounds: of making it denser, 0 for the checked simple answer. terms: key terms.
    samples: versions that are written at once in every round, of which the best is taken. extract: sentences of the
    text itself that code chose are what the rounds begin with where they say more than the model's simple answer;
    without it they are only taken where nothing of that answer can be. explain: the request isn't the text but what is
    to be explained: the model's own answer to it, of `max_tokens`, is the text. part_tokens: of a part, at most; 0 for
    what the context holds. Raises ConfigError."""

    name: str = "density"
    words: int = 60
    rounds: int = 2
    terms: int = 8
    samples: int = 3
    extract: bool = True
    explain: bool = False
    max_tokens: int = 400
    part_tokens: int = 0
    model: str = ""

    def __post_init__(self) -> None:
        for key, least, most in (("words", 10, 1000), ("rounds", 0, 10), ("terms", 1, 40), ("samples", 1, 16)):
            if not least <= getattr(self, key) <= most:
                raise ConfigError(f"{key} = {getattr(self, key)} is out of range.", hint=f"{least} to {most}.")
        if self.part_tokens and self.part_tokens < SHRINKS * self.words:
            hint = f"At least {SHRINKS} tokens for each of the {self.words} words, or parts don't get shorter."
            raise ConfigError(f"part_tokens = {self.part_tokens} is too few.", hint=hint)
        if self.max_tokens < 16:
            raise ConfigError(f"max_tokens = {self.max_tokens} is out of range.", hint="16 or more.")

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        source = task.request
        if self.explain:
            yield StepStarted(number=0, action="explain", detail="the model's own answer is the text")
            source = await self._explained(run, task)
        condenser = Condenser(run, self.model, self.words, task.max_tokens)
        if word_count(source) <= self.words and not self.explain and await condenser.is_within(source):
            message = f"The text has no more than {self.words} words already, so it is left as it is."
            run.warn(message)
            yield Notice(code="short_already", message=message)
            yield TextDelta(text=source)
            yield run.finished(source, f"{self.name}: short already")
            return
        condensing = Condensing(self, run, condenser)
        async with aclosing(condensing.events(source)) as events:
            async for event in events:
                yield event
        best = condensing.best
        yield TextDelta(text=best.text)
        told = f"{len(best.kept)} of {len(condensing.terms)} key terms in {word_count(best.text)} words"
        yield run.finished(best.text, f"{self.name}: {condensing.by}, {told}")

    async def _explained(self, run: Run, task: Task) -> str:
        how = Writing(max_tokens=self.max_tokens, temperature=0.0, model=self.model)
        written = await run.write(task.messages, how)
        if written.finish_reason == "length":
            run.warn(f"The explanation that was condensed was cut off after {self.max_tokens} tokens.")
        if not written.text.strip():
            raise NoAnswer("The model wrote nothing that could be condensed.", hint="Ask otherwise, or another model.")
        return written.text


class Condensing:
    """One run. best: the short version; by: what it came of; terms: the key terms."""

    def __init__(self, density: Density, run: Run, condenser: Condenser) -> None:
        self._density, self._run, self._condenser = density, run, condenser
        self._number = 0
        self._source = fidelity.Source("")
        self.best = Short(text="")
        self.by = ""
        self.terms: tuple[str, ...] = ()

    async def events(self, source: str) -> AsyncGenerator[AgentEvent, None]:
        text, self._source = source, await off_loop(lambda: fidelity.Source(source), source)
        async with aclosing(self._fitting(source)) as events:
            async for event in events:
                if isinstance(event, str):
                    text = event
                else:
                    yield event
        density, condenser = self._density, self._condenser
        by_code = await off_loop(lambda: candidates(source, density.terms * OFFERED), source)
        yield self._step("terms", f"{len(by_code)} by code, the model chooses")
        yield self._step("answer", f"in at most {density.words} words")
        picking = condenser.choose(text, by_code, -(-density.terms // 2))
        by_model, first = await both(picking, condenser.plain(text))
        self.terms = chosen(by_code, by_model, density.terms)
        yield Verified(check="terms", ok=bool(self.terms), reason=", ".join(self.terms))
        extract = await condenser.extracted(source, self.terms)
        for event in self._first(first, extract):
            yield event
        asked: Short | None = None
        for number in range(1, density.rounds + 1):
            missing = [term for term in self.terms if term not in self.best.kept]
            yield self._step(f"round {number}", f"missing: {', '.join(missing) or 'nothing'}")
            draws = [number * density.samples + at for at in range(density.samples)]
            if asked is not self.best:
                draws[0] = 0  # greedy, which says the same every time
            asked = self.best
            found = await condenser.denser(text, self.best, missing, draws)
            yield self._round(number, found)

    def _step(self, action: str, detail: str) -> StepStarted:
        self._number += 1
        return StepStarted(number=self._number, action=action, detail=detail)

    def _judged(self, short: str, keep: Sequence[str] = ()) -> Short:
        return self._condenser.judged(short, self._source, self.terms, keep)

    async def _fitting(self, source: str) -> AsyncGenerator[AgentEvent | str, None]:
        """What of a text fits in a prompt: itself, or short versions of its parts, and theirs, which comes last."""
        condenser = self._condenser
        budget = await condenser.budget(self._density.terms)
        most = min(budget, self._density.part_tokens or budget)
        text = source
        for _ in range(LEVELS):
            found = await condenser.split(text, most)
            if len(found) == 1:
                break
            yield self._step("parts", f"{len(found)} of at most {most} tokens")
            texts = await together([condenser.plain(part) for part in found])
            shorts: list[str] = []
            for number, (part, short) in enumerate(zip(found, texts, strict=True)):
                made, told = await off_loop(partial(_of_part, part, short, condenser.words), part)
                yield Verified(check=f"part {number + 1}", ok=told != INSTEAD, reason=told)
                shorts += [made] if made else []
                if not made:
                    self._run.warn(f"Nothing of part {number + 1} of {len(found)} could be condensed; it is left out.")
            text = "\n\n".join(shorts)
            if not text:
                raise NoAnswer("No part of the text could be condensed.", hint="Allow more words, or another model.")
        else:
            raise NoAnswer(f"After {LEVELS} levels of parts the text is still too long.", hint="Allow longer parts.")
        yield text

    def _first(self, text: str, extract: str) -> Iterator[AgentEvent]:
        """What the rounds begin with: the simple answer, what of it stands the checks, or else sentences of the text
        itself, as also where these are better."""
        answer = self._judged(text)
        wrong = answer.wrong
        yield Verified(check="answer", ok=not wrong, reason=wrong)
        self.best, self.by = answer, "simple answer"
        if wrong:
            mended = fidelity.mended(text, self._source, words=self._condenser.words)
            self.best, self.by = self._judged(mended), "simple answer, sentences dropped"
        taken = self._judged(extract)
        if self.best.wrong:
            self.best, self.by = taken, SENTENCES
            if not extract:
                raise NoAnswer(
                    "Nothing short enough could be written, and no sentence of the text has "
                    f"{self._condenser.words} words.",
                    hint="Allow more words.",
                    reason=wrong,
                )
        elif self._density.extract:
            is_better = not taken.wrong and taken.rank > self.best.rank
            told = taken.wrong or f"{_measured(taken)}; the {self.by}: {_measured(self.best)}"
            yield Verified(check=SENTENCES, ok=is_better, reason=told)
            if is_better:
                self.best, self.by = taken, SENTENCES
                return
        if wrong:
            self._run.warn(f"The simple answer could not be taken as it was ({wrong}): {self.by}.")
            yield FellBack(from_strategy="simple answer", to_strategy=self.by, reason=wrong)

    def _round(self, number: int, found: Sequence[str]) -> Verified:
        """The best of those that stand the checks and have lost no term, if it is better than what there is."""
        words = self._condenser.words
        tried = [
            self._judged(fidelity.mended(text, self._source, words=words) or text, self.best.kept) for text in found
        ]
        good = [one for one in tried if not one.wrong]
        best = max(good, key=lambda one: one.rank, default=None)
        if best is None:
            return Verified(check=f"round {number}", ok=False, reason=f"the text before stays: {tried[0].wrong}")
        if best.rank <= self.best.rank:
            return Verified(
                check=f"round {number}",
                ok=False,
                reason="the text before stays: none says more, nor as much in fewer words",
            )
        was, self.best, self.by = self.best, best, f"round {number}"
        told = f"{len(was.kept)} -> {len(best.kept)} terms, {word_count(was.text)} -> {word_count(best.text)} words"
        return Verified(check=f"round {number}", ok=True, reason=told)


def _of_part(part: str, short: str, words: int) -> tuple[str, str]:
    """What of its short version stands the checks, or else sentences of the part, "" if none is short enough; and what
    was done, in words. Pure."""
    mended = fidelity.mended(short, fidelity.Source(part), words=words)
    if mended:
        return mended, "" if mended == short else "sentences were dropped"
    return fidelity.extract(part, candidates(part), words=words), INSTEAD


def _measured(short: Short) -> str:
    return f"{len(short.kept)} terms in {word_count(short.text)} words"
