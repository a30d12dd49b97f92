"""A cheap first answer, a specialist where that isn't sure, and a refiner that is kept if it made nothing worse."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cached_property

import msgspec

from smidgen.agent.deadline import Deadline
from smidgen.errors import DeadlineExceeded, ErrorInfo, SmidgenError
from smidgen.events import AgentEvent, Failed, FellBack, Finished, Notice, Routed, StepStarted, TextDelta, Verified
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.fallback.attempt import GRACE_S, Attempt, Spent, cut_or_empty
from smidgen.patterns.fallback.checks import CheckLike, filled, not_worse, problem_of
from smidgen.patterns.fallback.confidence import Agreement, Confidence, Draft, Logprob, Sure
from smidgen.patterns.fallback.failures import Tried, failed, is_refusal, no_answer
from smidgen.patterns.fallback.health import Health
from smidgen.patterns.fallback.ways import title_of
from smidgen.patterns.fallback.within import Ear, Within
from smidgen.patterns.plain import Direct
from smidgen.patterns.run import Run, guarded

REFINE = "Question: {request}\n\nAnswer: {answer}\n\nSay this answer again in better words. Keep every fact."


class Cascade(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """first: the cheap answerer. then: the specialist, which may be a cascade itself. by: how sure the first is, a test
    of `confidence`; sure: the confidence, from 0 to 1, that is enough.

    first_s: seconds that the first gets at most, 0 for what is left. refiner: rewrites an accepted answer; refine: what
    it is asked, with `{request}` and `{answer}` in it. What it writes is kept only if it holds the same numbers, is at
    most twice as long, and passes `check`. check: what an answer of the first must pass too to be sure.
    keep_unsure: if the specialist fails, the first's answer is given after all, with a warning; else the run fails.
    """

    name: str = "cascade"
    first: Pattern
    then: Pattern
    by: Confidence = Logprob()
    sure: float = 0.8
    first_s: float = 0.0
    check: CheckLike | None = None
    refiner: Pattern | None = None
    refine: str = REFINE
    keep_unsure: bool = True

    def __post_init__(self) -> None:
        if self.first_s < 0:
            raise ValueError("first_s can't be below 0")
        if isinstance(self.by, Agreement) and isinstance(self.first, Direct) and self.first.temperature == 0:
            raise ValueError("a first answerer at temperature 0 always agrees with itself: leave its temperature out")

    @cached_property
    def healths(self) -> dict[str, Health]:
        """How long each part usually takes; none of them rests."""
        return {part: Health(0, 0.0) for part in ("first", "then", "refiner")}

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: _Steps(self, task, resources).events())


class _Steps:
    """One request through a cascade. draft: the first's answer, if it gave one; better: the specialist's; refusal: that
    instead, which is told if there is no answer at all."""

    def __init__(self, cascade: Cascade, task: Task, resources: Resources) -> None:
        self._cascade, self._task, self._resources = cascade, task, resources
        self._names = title_of(cascade.first), title_of(cascade.then)
        self._spent = Spent()
        self._tried: list[Tried] = []
        self._warnings: list[str] = []
        self._draft: Finished | None = None
        self._better: Finished | None = None
        self._refusal: Finished | None = None
        self._overflow: ErrorInfo | None = None
        self._sure = Sure(confidence=0.0, reason="")

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        cascade = self._cascade
        if cascade.by.before:
            async with self._resources.scope() as held:
                self._sure = await self._measured(Within(held, self._deadline()), "", Ear())
            enough = self._sure.confidence >= cascade.sure
            yield Routed(strategy=self._names[0 if enough else 1], reason=self._told())
        begins = not cascade.by.before or self._sure.confidence >= cascade.sure
        if begins:
            async with aclosing(self._first()) as events:
                async for event in events:
                    yield event
        accepted, by = self._draft if self._sure.confidence >= cascade.sure else None, cascade.first
        if accepted is None:
            async with aclosing(self._then()) as events:
                async for event in events:
                    yield event
            accepted, by = self._better, cascade.then
        if accepted is None and cascade.keep_unsure:
            why = f"This answer isn't sure ({self._told()}). {self._tried[-1]}."
            if not begins:
                async with aclosing(self._first(last=True)) as events:
                    async for event in events:
                        yield event
            accepted, by = self._draft, cascade.first
            if accepted is not None:
                self._warnings.append(why)
        if accepted is None:
            accepted, by = self._refusal, cascade.then
        if accepted is None:
            yield Failed(error=no_answer(self._tried, self._overflow))
            return
        async with aclosing(self._refined(accepted)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    accepted = event
                else:
                    yield event
        for message in self._warnings:
            yield Notice(code="fell_back", message=message)
        if accepted.text:
            yield TextDelta(text=accepted.text)
        inner = "" if by.name == accepted.strategy else f", {accepted.strategy}"
        yield self._spent.finished(accepted, f"{cascade.name}: {title_of(by)}{inner}", self._warnings)

    # --- its steps ----------------------------------------------------------------------------------------------------

    async def _first(self, *, last: bool = False) -> AsyncGenerator[AgentEvent, None]:
        """last: the specialist has failed already, and this is judged no more."""
        cascade, ear = self._cascade, Ear()
        yield StepStarted(number=1, action="try", detail=self._names[0])
        async with self._resources.scope() as held:
            within = Within(held, self._deadline(cascade.first_s), ear=ear)
            attempt = Attempt(cascade.first, self._task, within)
            async with aclosing(attempt.events()) as events:
                async for event in events:
                    yield event
            self._draft = end = self._ended("first", attempt)
            if last:
                return
            if end is None:
                self._sure = Sure(confidence=0.0, reason=self._tried[-1].reason)
                self._warnings.append(f"{self._names[1]} was asked, as the first gave no answer. {self._tried[-1]}.")
                yield FellBack(
                    from_strategy=self._names[0],
                    to_strategy=self._names[1],
                    reason=self._tried[-1].told,
                )
                return
            if not cascade.by.before:
                self._sure = await self._measured(within, end.text, ear)
            if cascade.check is not None:
                self._sure = await self._checked(cascade.check, within, end.text)
        enough = self._sure.confidence >= cascade.sure
        yield Verified(check=cascade.by.name, ok=enough, reason=self._told())
        if not enough:
            told = f"{self._told()} ({attempt.seconds:.1f} s)"
            yield FellBack(from_strategy=self._names[0], to_strategy=self._names[1], reason=told)

    async def _then(self) -> AsyncGenerator[AgentEvent, None]:
        """Asks the specialist, if there is time for that."""
        cascade, health = self._cascade, self._cascade.healths["then"]
        left, usual = self._left(), health.usual_s
        if left is not None and (left <= 0 or (self._draft is not None and health.is_too_slow(left))):
            health.skipped()
            reason = (
                f"not tried: it usually takes {usual:.1f} s, and {left:.1f} s are left"
                if left and usual
                else "not tried: no time is left"
            )
            self._tried.append(Tried(name=self._names[1], kind="time", reason=reason))
            yield FellBack(from_strategy=self._names[1], to_strategy=self._names[0], reason=reason)
            return
        yield StepStarted(number=2, action="escalate", detail=self._names[1])
        async with self._resources.scope() as held:
            attempt = Attempt(cascade.then, self._task, Within(held, self._deadline(), self._tried))
            async with aclosing(attempt.events()) as events:
                async for event in events:
                    yield event
        self._better = self._ended("then", attempt)
        if self._better is None:
            back = self._names[0] if cascade.keep_unsure else "nothing"
            yield FellBack(from_strategy=self._names[1], to_strategy=back, reason=self._tried[-1].told)

    async def _refined(self, accepted: Finished) -> AsyncGenerator[AgentEvent, None]:
        """Ends in a better `Finished`, or in none."""
        cascade, health, refiner = self._cascade, self._cascade.healths["refiner"], self._cascade.refiner
        if refiner is None or accepted.wanted or accepted.finish_reason != "stop" or is_refusal(accepted.strategy):
            return
        left, usual = self._left(), health.usual_s
        if left is not None and left < (usual or 0.0) + GRACE_S:
            health.skipped()
            yield Verified(check="refiner", ok=False, reason=f"not tried: {left:.1f} s are left")
            return
        yield StepStarted(number=3, action="refine", detail=title_of(refiner))
        asked = filled(cascade.refine, request=self._task.request, answer=accepted.text)
        async with self._resources.scope() as held:
            within = Within(held, self._deadline())
            attempt = Attempt(refiner, self._task.asking(asked), within)
            async with aclosing(attempt.events()) as events:
                async for event in events:
                    yield event
            end = self._ended("refiner", attempt)
            reason = self._tried.pop().reason if end is None else not_worse(accepted.text, end.text)
            if end is not None and end.finish_reason != "stop":
                reason = f"it did not come to its end ({end.finish_reason})"
            if not reason and end is not None and cascade.check is not None:
                passed = await self._checked(cascade.check, within, end.text)
                reason = "" if passed is self._sure else passed.reason
        yield Verified(check="refiner", ok=not reason, reason=reason)
        if not reason and end is not None:
            yield msgspec.structs.replace(accepted, text=end.text, model=end.model)

    # --- time and confidence ------------------------------------------------------------------------------------------

    def _left(self) -> float | None:
        try:
            return self._resources.deadline.remaining()
        except DeadlineExceeded:
            return 0.0

    def _deadline(self, most: float = 0.0) -> Deadline:
        limits = [limit for limit in (self._left(), most or None) if limit is not None]
        return Deadline(min(limits) if limits else None)

    def _ended(self, part: str, attempt: Attempt) -> Finished | None:
        """The answer of a part, None if it gave none, which is then the last of what was tried."""
        end, health = attempt.end, self._cascade.healths[part]
        self._spent.add(end)
        pattern = {"first": self._cascade.first, "then": self._cascade.then}.get(part, self._cascade.refiner)
        name = part if pattern is None else title_of(pattern)
        if isinstance(end, Failed):
            self._tried.append(failed(name, end.error, attempt.seconds))
            if self._tried[-1].kind == "request":
                raise end.error.to_exception()
            if self._tried[-1].kind == "context":
                self._overflow = end.error
            if self._tried[-1].kind == "time":
                health.took_longer(attempt.least_s)
            return None
        reason = "it did not end" if end is None else cut_or_empty(end)
        if reason:
            kind = "time" if end is not None and end.finish_reason == "deadline" else "check"
            if kind == "time":
                health.took_longer(attempt.least_s)
            self._tried.append(Tried(name=name, kind=kind, reason=reason, seconds=attempt.seconds))
            return None
        health.took(attempt.busy_s)
        if end is not None and is_refusal(end.strategy):
            if part == "then":
                self._refusal = end
            told = f"it gave no answer: {end.text}"
            self._tried.append(Tried(name=name, kind="refused", reason=told, seconds=attempt.seconds))
            return None
        return end

    async def _measured(self, within: Within, text: str, ear: Ear) -> Sure:
        run = Run(self._task, within)

        async def again(seed: int) -> str:
            task = msgspec.structs.replace(self._task, seed=self._task.seed + seed)
            attempt = Attempt(self._cascade.first, task, Within(within, within.deadline))
            async with aclosing(attempt.events()) as events:
                async for _ in events:
                    pass
            self._spent.add(attempt.end)
            return attempt.end.text if isinstance(attempt.end, Finished) else ""

        draft = Draft(task=self._task, run=run, text=text, logprobs=tuple(ear.heard), again=again)
        try:
            found = await within.deadline.wait(lambda: self._cascade.by.sure(draft), GRACE_S)
        except Exception as error:
            told = error.message if isinstance(error, SmidgenError) else f"{type(error).__name__}: {error}"
            found = Sure(confidence=0.0, reason=f"it could not be told: {told}")
        self._spent.add_run(run)
        return found

    async def _checked(self, check: CheckLike, within: Within, text: str) -> Sure:
        """Not sure at all of what doesn't pass; as sure as before of what does."""
        run = Run(self._task, within)
        problem = await problem_of(check, text, run)
        self._spent.add_run(run)
        return Sure(confidence=0.0, reason=problem) if problem else self._sure

    def _told(self) -> str:
        return f"{self._sure.confidence:.2f} sure, {self._cascade.sure:.2f} is enough: {self._sure.reason}"
