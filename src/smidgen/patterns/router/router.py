"""`Router`: which intent, by the trained head; then that intent's ways; and what is out of scope goes elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from weakref import WeakKeyDictionary

from smidgen.agent.relevance import MAX_TEXT
from smidgen.errors import Cancelled, DeadlineExceeded, SmidgenError
from smidgen.events import AgentEvent, FellBack, Notice, Routed, StepStarted, TextDelta
from smidgen.messages import Message
from smidgen.patterns import Pattern, Resources, Task, task_of
from smidgen.patterns.plain import Direct
from smidgen.patterns.router.classifier import Classified, Scope, Trained, Vectors, examples
from smidgen.patterns.router.intents import Intent, checked
from smidgen.patterns.router.slots import Filled, fill, fill_all, is_question
from smidgen.patterns.router.ways import Left, Ways
from smidgen.patterns.run import Run, guarded

BATCH = 64
"""Texts that are embedded at a time, so that what was done is kept when a run ends."""
BY_WORDS = "There is no sentence embedder here, so requests are sorted by their words alone."


class Router:
    """intents: at least one. otherwise: what answers what is out of scope, and what no way of an intent could answer; a
    text is that answer; by default the model is asked directly. outside: examples of what is out of scope, if you have
    some; they sharpen its bound but aren't needed. rejects, threshold: see `Scope`. embeds = False: texts are compared
    by their words alone. Raises ConfigError.

    Trained at the first request, once for each embedder; `prepare` does it sooner. Where the request before was
    answered with a question for a slot, and this one holds it, it counts as part of that one.
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
        self._preparing: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    # --- classifying ------------------------------------------------------------------------------------------------

    async def classify(self, texts: Sequence[str], resources: Resources) -> tuple[Classified, ...]:
        """Raises what the embedder raises."""
        run = Run(task_of("classify"), resources)
        trained = await self._prepared(run)
        return trained.classify(texts, None if trained.by_words else await _embedded(run, texts))

    async def prepare(self, resources: Resources) -> None:
        """Embeds the examples and trains, unless that was done."""
        await self._prepared(Run(task_of("prepare"), resources))

    async def _prepared(self, run: Run) -> Trained:
        embedder = run.resources.embedder() if self.embeds else None
        name = "" if embedder is None else embedder.name
        if name not in self._trained:
            lock = self._preparing.setdefault(asyncio.get_running_loop(), asyncio.Lock())
            async with lock:
                if name not in self._trained:
                    vectors = await _embedded(run, self._texts) if name else None
                    self._trained[name] = await asyncio.to_thread(self._train, vectors)
        return self._trained[name]

    def _train(self, vectors: Vectors | None) -> Trained:
        return Trained(self.intents, vectors, outside=self.outside, scope=self.scope)

    # --- answering --------------------------------------------------------------------------------------------------

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        yield StepStarted(number=1, action="classify")
        begun = continued(self.intents, task.messages)
        if begun is not None:
            intent, request, slots = begun
            reason = f"the request answers what {intent.name} asked for"
        else:
            found, notices = await self._found(run)
            for notice in notices:
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

    async def _found(self, run: Run) -> tuple[Classified, tuple[Notice, ...]]:
        """Raises DeadlineExceeded, Cancelled. Any other failure of the embedder leaves the words to go by."""
        texts, notices = (run.task.request,), ()
        try:
            trained = await self._prepared(run)
            vectors = None if trained.by_words else await _embedded(run, texts)
        except (DeadlineExceeded, Cancelled):
            raise
        except SmidgenError as error:
            told = f"The embedder failed, so the request was sorted by its words alone: {error.message}"
            notices = (Notice(code="embedder_failed", message=told),)
            trained, vectors = await self._by_words(), None
        if trained.by_words and self.embeds and not notices:
            notices = (Notice(code="embedder_missing", message=BY_WORDS),)
        return trained.classify(texts, vectors)[0], notices

    async def _by_words(self) -> Trained:
        if "" not in self._trained:
            self._trained[""] = await asyncio.to_thread(self._train, None)
        return self._trained[""]

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


def continued(intents: Sequence[Intent], messages: Sequence[Message]) -> tuple[Intent, str, Filled] | None:
    """The intent that asked for slots just now, all that was said about it, and its slots, if the last words hold one
    that it asked for. Pure."""
    for intent in intents:
        said, place = [messages[-1].content], len(messages) - 2
        while place >= 1 and _asks(intent, messages[place]) and messages[place - 1].role == "user":
            said.insert(0, messages[place - 1].content)
            place -= 2
        if len(said) == 1 or messages[-1].role != "user":
            continue
        before = fill_all(intent.slots, said[:-1])
        now = fill_all(intent.slots, said)
        if len(now.missing) < len(before.missing):
            return intent, "\n".join(said), now
    return None


def _asks(intent: Intent, message: Message) -> bool:
    return message.role == "assistant" and bool(intent.slots) and is_question(intent.slots, message.content)


async def _embedded(run: Run, texts: Sequence[str]) -> list[tuple[float, ...]] | None:
    """A batch at a time; texts that are longer than the embedder reads by their beginning."""
    found: list[tuple[float, ...]] = []
    cut = [text[:MAX_TEXT] or " " for text in texts]
    for start in range(0, len(cut), BATCH):
        some = await run.embed(cut[start : start + BATCH])
        if some is None:
            return None
        found += some
    return found
