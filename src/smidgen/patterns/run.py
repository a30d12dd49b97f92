"""One run of a pattern: what it asks of models, what that took, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent.account import Account
from smidgen.agent.answer_checks import is_looping
from smidgen.agent.asking import Asking
from smidgen.agent.context import fit
from smidgen.errors import ErrorInfo, SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, FinishReason, Generated, Notice, TextDelta, ToolRecord
from smidgen.messages import Constraint, GenerateRequest, Message, Prompt, SamplingChange, Timings, Usage
from smidgen.patterns import Pattern, Resources, Task


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a model wrote. logprob: the mean of its tokens' (natural log), if they were asked for."""

    text: str
    finish_reason: FinishReason = "stop"
    logprob: float | None = None


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is to write. temperature: None leaves the model's own sampling, 0 is greedy. seed: added to the
    task's. model: "" for the task's. logprobs: also tell how likely it was. raw: a prompt to be continued as it
    stands, instead of messages. Under a constraint nothing is penalised for being there already, whatever the model's
    profile has for chats: keys, brackets and digits must come again."""

    max_tokens: int = 256
    temperature: float | None = None
    seed: int = 0
    constraint: Constraint | None = None
    stop: tuple[str, ...] = ()
    model: str = ""
    logprobs: bool = False
    raw: Prompt | None = None


class Run:
    """Make one at the beginning of `Pattern.answer`, and end with what `finished` gives. Texts may be written at the
    same time: the engine batches them."""

    def __init__(self, task: Task, resources: Resources) -> None:
        self.task = task
        self.resources = resources
        self.warnings: list[str] = []
        self.tool_calls: list[ToolRecord] = []
        self._accounts: list[Account] = []
        self._usage, self._timings = Usage(), Timings()
        self._model = ""

    # --- models -----------------------------------------------------------------------------------------------------

    def asking(self, model: str = "") -> Asking:
        """For one thing at a time. Raises UnknownModel."""
        supply = self.resources.supply(model or self.task.model)
        asking = Asking(supply, self.resources.deadline)
        self._accounts.append(asking.account)
        self._model = asking.name
        return asking

    async def write(self, messages: Sequence[Message] | str, how: Writing | None = None) -> Written:
        """A text in answer to messages, or to one of the user's. The oldest turns are left out where not all fit,
        which is a warning. Raises ContextOverflow, and what the engine raises."""
        events = self.stream(messages, how)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Written):
                    return event
        raise RuntimeError("a model's stream ended without an end")

    async def stream(
        self, messages: Sequence[Message] | str, how: Writing | None = None
    ) -> AsyncGenerator[AgentEvent | Written, None]:
        """The same piece by piece: the engine's events, then what was written."""
        how = how or Writing()
        asking = self.asking(how.model)
        for notice in await asking.load():
            self.warn(notice.message)
            yield notice
        request, dropped = await self._request(asking, messages, how)
        if dropped:
            told = f"{dropped} older messages were left out: the context of {asking.name} is full."
            self.warn(told)
            yield Notice(code="history_dropped", message=told)
        text, logprobs = "", list[float]()
        async with aclosing(cast(Any, asking.stream(request))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    logprobs += [token.logprob for token in event.logprobs]
                    text += event.text
                if isinstance(event, Generated):
                    yield Written(text=event.text, finish_reason=event.finish_reason, logprob=_mean(logprobs))
                    return
                yield event
                if isinstance(event, TextDelta) and how.constraint is None and is_looping(text):
                    break
        self.warn("The model began to repeat itself and was stopped.")
        await asking.settle(text)
        yield Written(text=text, finish_reason="length", logprob=_mean(logprobs))

    async def _request(
        self, asking: Asking, messages: Sequence[Message] | str, how: Writing
    ) -> tuple[GenerateRequest, int]:
        model = asking.model
        free = None if how.constraint is None else 0.0
        change = SamplingChange(
            temperature=how.temperature,
            seed=self.task.seed + how.seed,
            repeat_penalty=None if how.constraint is None else 1.0,
            frequency_penalty=free,
            presence_penalty=free,
        )
        prompt, dropped, room, stop = how.raw, 0, how.max_tokens, how.stop
        if prompt is None:
            turns = (Message(role="user", content=messages),) if isinstance(messages, str) else tuple(messages)
            fitted = await asking.deadline.wait(lambda: fit(model, turns, how.max_tokens))
            prompt, dropped, room = fitted.prompt, fitted.dropped, fitted.room
            stop = (*model.profile.stop, *how.stop)
        request = GenerateRequest(
            prompt=prompt,
            sampling=change.applied(model.profile.sampling),
            constraint=how.constraint,
            max_tokens=min(how.max_tokens, room),
            stop=stop,
            timeout_s=asking.deadline.remaining(),
            logprobs=1 if how.logprobs else 0,
        )
        return request, dropped

    async def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]] | None:
        """A vector of length 1 for each text; None without an embedder. Raises what the embedder raises."""
        embedder = self.resources.embedder()
        if embedder is None:
            return None
        asking = Asking(embedder, self.resources.deadline, embedder)
        found = await asking.vectors(texts)
        return None if found is None else [found[text] for text in texts]

    # --- other patterns ---------------------------------------------------------------------------------------------

    def nested(self, pattern: Pattern, task: Task | None = None) -> Nested:
        """Another pattern's answer within this one's."""
        return Nested(self, pattern, task or self.task)

    def include(self, end: Finished) -> None:
        """What another run used and told counts here too."""
        self._usage += end.usage
        self._timings += end.timings
        self._model = end.model or self._model
        self.tool_calls += end.tool_calls
        for warning in end.warnings:
            self.warn(warning)

    # --- its end ----------------------------------------------------------------------------------------------------

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    @property
    def usage(self) -> Usage:
        return sum((account.usage for account in self._accounts), self._usage)

    @property
    def timings(self) -> Timings:
        return sum((account.timings for account in self._accounts), self._timings)

    def finished(self, text: str, strategy: str, finish_reason: FinishReason = "stop") -> Finished:
        """strategy: what led to the answer, as it is shown to people ("router: refund by template")."""
        for account in self._accounts:
            account.settle()
        return Finished(
            text=text,
            model=self._model or self.resources.supply(self.task.model).name,
            finish_reason=finish_reason,
            tool_calls=tuple(self.tool_calls),
            usage=self.usage,
            timings=self.timings,
            warnings=tuple(self.warnings),
            strategy=strategy,
        )


class Nested:
    """end: how it ended, once `events` have. Nothing of it is final for the outer stream."""

    def __init__(self, run: Run, pattern: Pattern, task: Task) -> None:
        self._run, self._pattern, self._task = run, pattern, task
        self.end: Finished | Failed | None = None

    async def events(self, *, show: bool) -> AsyncGenerator[AgentEvent, None]:
        """All but the end. show: its text goes straight to the user; else none of it does, and it is the outer
        pattern's to say. What it used is accounted."""
        async with aclosing(self._pattern.answer(self._task, self._run.resources)) as events:
            async for event in events:
                if isinstance(event, (Finished, Failed)):
                    self.end = event
                    if isinstance(event, Finished):
                        self._run.include(event)
                elif show or not isinstance(event, TextDelta):
                    yield event

    @property
    def finished(self) -> Finished:
        """Raises the typed error of one that failed."""
        if isinstance(self.end, Failed):
            raise self.end.error.to_exception()
        if self.end is None:
            raise RuntimeError(f"{self._pattern.name} ended without a terminal event")
        return self.end


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


async def guarded(
    work: Callable[[], AsyncGenerator[AgentEvent, None]],
) -> AsyncGenerator[AgentEvent, None]:
    """A pattern's own events, with typed errors, and mistakes in it, as its terminal `Failed`."""
    try:
        async with aclosing(work()) as events:
            async for event in events:
                yield event
    except SmidgenError as error:
        yield Failed(error=error.info())
    except Exception as error:
        first = _first(error)
        yield Failed(error=first.info() if isinstance(first, SmidgenError) else bug(first))


def _first(error: Exception) -> Exception:
    """Of what went wrong in a task group; a mistake in code goes before typed errors."""
    if not isinstance(error, ExceptionGroup):
        return error
    found = [_first(cast(Exception, one)) for one in cast("ExceptionGroup[Exception]", error).exceptions]
    return next((one for one in found if not isinstance(one, SmidgenError)), found[0])


def bug(error: Exception) -> ErrorInfo:
    return ErrorInfo(
        code="internal",
        message=f"{type(error).__name__}: {error}",
        hint="This is a mistake in smidgen or in a function that was given to it; please report it.",
        fault="bug",
        details={"type": type(error).__name__},
    )
