"""Memory: another pattern's answers in conversations that are longer than its model's context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec

from smidgen.agent import AgentModel
from smidgen.agent.deadline import Deadline
from smidgen.errors import DeadlineExceeded, InvalidRequest, SessionsUnavailable, SmidgenError
from smidgen.events import AgentEvent, Finished, Notice
from smidgen.messages import Message
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.memory.budget import Budget
from smidgen.patterns.memory.counting import Counting, Counts
from smidgen.patterns.memory.fitting import INSTRUCTIONS, Fitted, Fitting, Place, first_kept
from smidgen.patterns.memory.keeping import Keeper, Known
from smidgen.patterns.memory.recall import recall
from smidgen.patterns.memory.summaries import Summaries, without
from smidgen.patterns.memory.turns import Conversation, parted
from smidgen.patterns.plain import Direct, WithTools
from smidgen.patterns.run import Run, guarded
from smidgen.sessions.facts import Fact

MOST_FACTS = 6
LEAST_SHARE = 0.5
"""Of the best fact's score that another needs."""

SUMMARY_TOKENS = 80
NARROWEST = 256
"""Tokens of a window, at least."""


class Memory:
    """pattern: who answers, asked with the conversation rewritten to fit. window: tokens of prompt and answer, at most
    the model's context; 0 for all of it. budget: what each part may have. store: a file of facts, None to keep them in
    memory. user: whose facts they are, over all conversations; "" for each conversation's own. summaries: also have
    the model sum up older exchanges in idle time. place: where facts are told; None: in front of the request where the
    model reads it, in the system message where a pattern does. model: whose tokens are counted, "" for the inner
    pattern's.

    May be shared by any number of conversations, runtimes and loops. Raises InvalidRequest."""

    def __init__(
        self,
        *,
        pattern: Pattern | None = None,
        window: int = 2048,
        budget: Budget | None = None,
        store: str | Path | None = None,
        user: str = "",
        summaries: bool = True,
        place: Place | None = None,
        model: str = "",
        name: str = "memory",
    ) -> None:
        if window and window < NARROWEST:
            raise InvalidRequest(f"A window of {window} tokens is too narrow.", hint=f"Give {NARROWEST} or more.")
        self.pattern: Pattern = Direct() if pattern is None else pattern
        self.window, self.budget, self.user, self.model, self.name = window, budget or Budget(), user, model, name
        self.place: Place = place or ("request" if isinstance(self.pattern, Direct) else "system")
        self._keeper = Keeper(None if store is None else Path(store).expanduser(), user)
        self._counts = Counts()
        self._summaries = Summaries(SUMMARY_TOKENS) if summaries else None
        self._idle: asyncio.Task[None] | None = None

    # --- facts --------------------------------------------------------------------------------------------------------

    def facts(self, messages: Sequence[Message] = (), *, replaced: bool = False) -> list[Fact]:
        """Those that hold, in the order in which they were said: of the user, or without one of this conversation.
        replaced: also those that later ones replaced. Reads the file. Raises SessionsUnavailable."""
        known = self._keeper.learn(messages)
        return known.said if replaced else known.current

    def forget(self, about: str = "", messages: Sequence[Message] = ()) -> list[Fact]:
        """Deletes what was said about it, replaced facts included: those whose words hold all of these; "" for all. It
        doesn't come back with its conversation; all summaries go too. The last exchanges stay as they are.
        Returns what was deleted. Raises SessionsUnavailable."""
        forgotten = self._keeper.forget(about, messages)
        if self._summaries is not None and forgotten:
            self._pause()
            self._summaries.clear()
        return forgotten

    def close(self) -> None:
        """The file of facts; the next request opens it again."""
        self._pause()
        self._keeper.store.close()

    async def idle(self) -> None:
        """Waits until what is done in idle time is over. On the loop of the last request only."""
        if self._idle is not None:
            await asyncio.wait([self._idle])

    # --- answers ------------------------------------------------------------------------------------------------------

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        self._pause()
        run = Run(task, resources)
        asking = run.asking(self.model or _model_of(self.pattern))
        for notice in await asking.load():
            run.warn(notice.message)
            yield notice
        counting = self._counts.by(asking.model, resources.deadline)
        said = parted(task.messages)
        known, notice = await self._known(task, resources.deadline)
        if notice is not None:
            run.warn(notice.message)
            yield notice
        ranked, notice = await self._ranked(run, task.request, known)
        if notice is not None:
            run.warn(notice.message)
            yield notice
        fitting = await self._fitting(counting, said, known, task.max_tokens)
        fitted = await fitting.fit(ranked, self._told(said, known), known.sentences)
        for notice in _notices(fitted):
            if notice.code == "history_dropped":
                run.warn(notice.message)
            yield notice
        inner = run.nested(self.pattern, msgspec.structs.replace(task, messages=fitted.messages))
        async with aclosing(inner.events(show=True)) as events:
            async for event in events:
                yield event
        end = inner.finished
        if end.finish_reason in ("stop", "length"):
            self._begin_idle(asking.model, task, end, known)
        yield msgspec.structs.replace(
            end, warnings=tuple(run.warnings), strategy=f"{self.name}: {end.strategy}" if end.strategy else self.name
        )

    async def _known(self, task: Task, deadline: Deadline) -> tuple[Known, Notice | None]:
        try:
            return await deadline.wait(lambda: asyncio.to_thread(self._keeper.learn, task.messages)), None
        except SessionsUnavailable as error:
            told = f"Facts of earlier conversations can't be used: {error.message}"
            alone = await deadline.wait(lambda: asyncio.to_thread(self._keeper.alone, task.messages))
            return alone, Notice(code="memory_unavailable", message=told)

    async def _ranked(self, run: Run, request: str, known: Known) -> tuple[list[Fact], Notice | None]:
        """Facts that the request is about, the likeliest first."""
        facts, notice = known.current, None
        asked: Sequence[float] | None = None
        vectors: dict[int, tuple[float, ...]] = {}
        embedder = run.resources.embedder()
        if facts and embedder is not None:
            try:
                vectors = await asyncio.to_thread(self._keeper.vectors, embedder.name, known)
                missing = [fact for fact in facts if fact.number not in vectors]
                found = await run.embed([request, *(fact.text for fact in missing)]) or []
                asked = found[0]
                new = {fact.number: vector for fact, vector in zip(missing, found[1:], strict=True)}
                vectors |= new
                if new and known.kept:
                    await asyncio.to_thread(self._keeper.store.keep_vectors, embedder.name, new)
            except DeadlineExceeded:
                raise
            except SessionsUnavailable as error:
                told = f"What facts mean can't be kept: {error.message}"
                notice = Notice(code="memory_unavailable", message=told)
            except SmidgenError as error:
                told = f"Facts were recalled by their words alone: {error.message}"
                asked, notice = None, Notice(code="embedder_failed", message=told)
        scored = await asyncio.to_thread(recall, request, facts, asked, vectors)  # of a user's facts there may be many
        best = scored[:MOST_FACTS]
        return [one.fact for one in best if one.score >= best[0].score * LEAST_SHARE], notice

    async def _fitting(self, counting: Counting, said: Conversation, known: Known, max_tokens: int) -> Fitting:
        window = min(self.window or counting.context, counting.context)
        parts = self.budget.of(window)
        if max_tokens:
            parts = msgspec.structs.replace(parts, answer=min(parts.answer, max_tokens))
        added = await counting.text(_added_by(self.pattern))
        instructions = "" if _system_of(self.pattern) else INSTRUCTIONS
        return Fitting(counting, said, parts, window, added, known.sources, self.place, instructions)

    def _told(self, said: Conversation, known: Known) -> dict[str, str]:
        """Summaries of the conversation's beginnings, without what holds no more."""
        if self._summaries is None:
            return {}
        found = ((exchange.digest, self._summaries.get(exchange.digest, "")) for exchange in said.exchanges)
        return {digest: without(text, known.stale) for digest, text in found if text}

    # --- idle time ----------------------------------------------------------------------------------------------------

    def _begin_idle(self, model: AgentModel, task: Task, end: Finished, known: Known) -> None:
        if self._summaries is None:
            return
        self._pause()  # of another conversation: one at a time
        following = (Message(role="assistant", content=end.text), Message(role="user"))
        said = parted((*task.messages, *following))
        self._idle = asyncio.get_running_loop().create_task(self._summarise(model, said, known, self._summaries))

    async def _summarise(self, model: AgentModel, said: Conversation, known: Known, summaries: Summaries) -> None:
        """Of what is out of the prompt at the next request, and then of what is going to be."""
        try:
            counting = self._counts.by(model, Deadline(None))
            fitting = await self._fitting(counting, said, known, 0)
            sizes, room = await fitting.sizes(), await fitting.history_room()
            for sized in (sizes, [*sizes, room]):
                start = min(first_kept(sized, room), len(sizes))
                if start and not await summaries.write(model, counting, said.exchanges[:start], known.sentences):
                    return
        except SmidgenError:
            return  # the engine was closed meanwhile: the next request cuts by sentences

    def _pause(self) -> None:
        """What is done in idle time ends within a decode step; whole summaries are kept."""
        idle, self._idle = self._idle, None
        if idle is None or idle.done() or idle.get_loop().is_closed():
            return
        idle.get_loop().call_soon_threadsafe(idle.cancel)


def _model_of(pattern: Pattern) -> str:
    return pattern.model if isinstance(pattern, (Direct, WithTools)) else ""


def _added_by(pattern: Pattern) -> str:
    """Text that a pattern puts around the conversation, as far as it can be known; `tools` of a budget is for the
    rest."""
    if isinstance(pattern, Direct):
        return f"{pattern.system}\n{pattern.prompt.replace('{request}', '')}".strip()
    return _system_of(pattern)


def _system_of(pattern: Pattern) -> str:
    return pattern.system if isinstance(pattern, (Direct, WithTools)) else ""


def _notices(fitted: Fitted) -> list[Notice]:
    told: list[Notice] = []
    if fitted.recalled:
        facts = " ".join(fact.text for fact in fitted.recalled)
        told.append(Notice(code="facts_recalled", message=f"Recalled, {len(fitted.recalled)}: {facts}"))
    if fitted.summarised or fitted.shortened:
        ways = ((fitted.summarised, "the model's summary"), (fitted.shortened, "their first sentences"))
        parts = " and ".join(f"{count} by {way}" for count, way in ways if count)
        told.append(Notice(code="history_summarised", message=f"Older messages are told in short: {parts}."))
    if fitted.dropped:
        message = f"{fitted.dropped} older messages were left out: they don't fit in the window."
        told.append(Notice(code="history_dropped", message=message))
    return told


__all__ = ["Memory"]
