"""`Router`: which intent, by the trained head; then that intent's ways; and what is out of scope goes elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from weakref import WeakKeyDictionary

from smidgen.agent.relevance import MAX_TEXT
from smidgen.errors import Cancelled, DeadlineExceeded, SmidgenError
from smidgen.events import AgentEvent, FellBack, Notice, Routed, StepStarted, TextDelta
from smidgen.patterns import Pattern, Resources, Task, task_of
from smidgen.patterns.plain import Direct
from smidgen.patterns.router.begun import Begun, begun
from smidgen.patterns.router.classifier import Classified, Scope, Trained, Vectors, examples
from smidgen.patterns.router.intents import Intent, checked
from smidgen.patterns.router.slots import fill
from smidgen.patterns.router.ways import Left, Ways
from smidgen.patterns.run import Run, guarded

BATCH = 64
"""Texts that are embedded at a time, so that what was done is kept when a run ends."""
ANOTHER = 0.5
"""How typical of another intent words must be that also answer a question, to be a request of their own."""
BY_WORDS = "There is no sentence embedder here, so requests are sorted by their words alone."


class Router:
    """intents: at least one. otherwise: what answers what is out of scope, and what no way of an intent could answer; a
    text is that answer; by default the model is asked directly. outside: examples of what is out of scope, if you have
    some; they sharpen its bound but aren't needed. rejects, threshold: see `Scope`. embeds = False: texts are compared
    by their words alone. Raises ConfigError.

    Trained at the first request, once for each embedder; `prepare` does it sooner. Where the request before was
    answered with a question for a slot, and this one holds it, it counts as part of that one, unless what it says
    beside that is a request of another intent.
    """

    def __init__(
        self,
        intents: Sequence[Intent],
        *,
        otherwise: Pattern | str | None = None,
        outside: Sequence[str] = (),
        rejects: float = Scope().rejects,
        threshold: float = 0.0,
        embeds: bool = True,
        name: str = "router",
    ) -> None:
        self.name = name
        self.intents = checked(intents)
        self.otherwise: Pattern | str = Direct() if otherwise is None else otherwise
        self.outside = tuple(outside)
        self.scope = Scope(rejects=rejects, threshold=threshold)
        self.embeds = embeds
        self._texts = examples(self.intents, self.outside)
        self._named = {intent.name: intent for intent in self.intents}
        self._trained: dict[str, Trained] = {}
        self._preparing: WeakKeyDictionary[asyncio.AbstractEventLoop, _Preparing] = WeakKeyDictionary()

    # --- classifying ------------------------------------------------------------------------------------------------

    async def classify(self, texts: Sequence[str], resources: Resources) -> tuple[Classified, ...]:
        """Raises what the embedder raises."""
        found, _ = await self._classified(Run(task_of("classify"), resources), texts)
        return found

    async def prepare(self, resources: Resources) -> None:
        """Embeds the examples and trains, unless that was done."""
        await self._prepared(Run(task_of("prepare"), resources))

    async def _classified(
        self, run: Run, texts: Sequence[str], *, embeds: bool = True
    ) -> tuple[tuple[Classified, ...], Trained]:
        """By their beginnings."""
        trained = await self._prepared(run, embeds=embeds)
        cut = [text[:MAX_TEXT] for text in texts]
        vectors = None if trained.by_words else await _embedded(run, cut, [])
        return trained.classify(cut, vectors), trained

    async def _prepared(self, run: Run, *, embeds: bool = True) -> Trained:
        """Within the run's time limit. What was embedded, and a training that has begun, are there for the next run
        if this one is cancelled."""
        embedder = run.resources.embedder() if self.embeds and embeds else None
        name, deadline = "" if embedder is None else embedder.name, run.resources.deadline
        if name in self._trained:
            return self._trained[name]
        preparing = self._preparing.setdefault(asyncio.get_running_loop(), _Preparing())
        await deadline.wait(preparing.lock.acquire)
        try:
            if name not in self._trained:
                training = preparing.training.get(name)
                if training is None or (training.done() and (training.cancelled() or training.exception())):
                    vectors = (
                        await _embedded(run, self._texts, preparing.vectors.setdefault(name, [])) if name else None
                    )
                    training = asyncio.get_running_loop().run_in_executor(None, self._train, vectors)
                    preparing.training[name] = training
                self._trained[name] = await deadline.wait(lambda: asyncio.shield(training))
                preparing.forget(name)
        finally:
            preparing.lock.release()
        return self._trained[name]

    def _train(self, vectors: Vectors | None) -> Trained:
        return Trained(self.intents, vectors, outside=self.outside, scope=self.scope)

    # --- answering --------------------------------------------------------------------------------------------------

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        yield StepStarted(number=1, action="classify")
        candidates = begun(self.intents, task.messages)
        held, notices = await self._held(run, candidates)
        for notice in notices:
            run.warn(notice.message)
            yield notice
        if held is not None:
            intent, request, slots = held.intent, held.request, held.slots
            reason = f"the request answers what {intent.name} asked for"
        else:
            (found,), more = await self._found(run, [task.request])
            for notice in more:
                if notice not in notices:
                    run.warn(notice.message)
                    yield notice
            if not found.in_scope:
                yield Routed(strategy=f"{self.name}: otherwise", reason=found.reason)
                async with aclosing(self._otherwise(run, "out of scope")) as events:
                    async for event in events:
                        yield event
                return
            intent, request, reason = self._named[found.intent], task.request, found.reason
            slots = fill(intent.slots, request)
        yield Routed(strategy=f"{self.name}: {intent.name}", reason=reason)
        left: Left | None = None
        async with aclosing(Ways(intent, request, slots, run, self.name).events()) as events:
            async for event in events:
                if isinstance(event, Left):
                    left = event
                else:
                    yield event
        if left is None:
            return
        yield FellBack(from_strategy=left.way, to_strategy="otherwise", reason=left.reason)
        run.warn(f"{intent.name} could not be answered by {left.way} ({left.reason}).")
        async with aclosing(self._otherwise(run, f"{intent.name} left over")) as events:
            async for event in events:
                yield event

    async def _held(self, run: Run, candidates: Sequence[Begun]) -> tuple[Begun | None, tuple[Notice, ...]]:
        """The one whose question is answered by the last words; None if these are a request of another intent."""
        if not candidates:
            return None, ()
        asides = dict.fromkeys(one.aside for one in candidates if one.aside)
        firsts = dict.fromkeys(one.first for one in candidates) if len(candidates) > 1 else {}
        texts = [*asides, *firsts]
        found, notices = await self._found(run, texts) if texts else ((), ())
        by_text = dict(zip(texts, found, strict=True))
        asked = [one for one in candidates if one.first in firsts and by_text[one.first].intent == one.intent.name]
        held = (asked or candidates)[0]
        other = by_text.get(held.aside)
        if other is None or other.intent == held.intent.name or not other.in_scope or other.typical < ANOTHER:
            return held, notices
        return None, notices

    async def _found(self, run: Run, texts: Sequence[str]) -> tuple[tuple[Classified, ...], tuple[Notice, ...]]:
        """Raises DeadlineExceeded, Cancelled. Any other failure of the embedder leaves the words to go by."""
        try:
            found, trained = await self._classified(run, texts)
        except (DeadlineExceeded, Cancelled):
            raise
        except SmidgenError as error:
            told = f"The embedder failed, so the request was sorted by its words alone: {error.message}"
            found, _ = await self._classified(run, texts, embeds=False)
            return found, (Notice(code="embedder_failed", message=told),)
        missing = trained.by_words and self.embeds
        return found, (Notice(code="embedder_missing", message=BY_WORDS),) if missing else ()

    async def _otherwise(self, run: Run, why: str) -> AsyncGenerator[AgentEvent, None]:
        if isinstance(self.otherwise, str):
            yield TextDelta(text=self.otherwise)
            yield run.finished(self.otherwise, f"{self.name}: {why}, by template")
            return
        yield StepStarted(number=2, action=self.otherwise.name, detail=why)
        nested = run.nested(self.otherwise)
        async with aclosing(nested.events(show=True)) as events:
            async for event in events:
                yield event
        end = nested.finished
        yield run.finished(end.text, f"{self.name}: {why}, by {end.strategy}", end.finish_reason)


async def _embedded(run: Run, texts: Sequence[str], done: list[tuple[float, ...]]) -> Vectors | None:
    """By their beginnings. done: the vectors that are there already, to which the others are added."""
    while len(done) < len(texts):
        some = await run.embed([text[:MAX_TEXT] or " " for text in texts[len(done) : len(done) + BATCH]])
        if some is None:
            return None
        done += some
    return done


class _Preparing:
    """What is under way on one event loop, by the embedder's name."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.vectors: dict[str, list[tuple[float, ...]]] = {}
        self.training: dict[str, asyncio.Future[Trained]] = {}

    def forget(self, name: str) -> None:
        self.vectors.pop(name, None)
        self.training.pop(name, None)
