"""The chain: its ways in their order until one gives an answer that is accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cached_property

import msgspec

from smidgen.agent.deadline import Deadline
from smidgen.errors import DeadlineExceeded, ErrorInfo
from smidgen.events import AgentEvent, Failed, FellBack, Finished, Notice, StepStarted, TextDelta, Verified
from smidgen.patterns import Resources, Task
from smidgen.patterns.fallback.attempt import GRACE_S, Attempt, Spent, cut_or_empty
from smidgen.patterns.fallback.checks import as_check, problem_of
from smidgen.patterns.fallback.failures import QUIET, Kind, Tried, failed, is_its_own_fault, is_refusal, no_answer
from smidgen.patterns.fallback.health import Health
from smidgen.patterns.fallback.refusal import by_code
from smidgen.patterns.fallback.ways import Way
from smidgen.patterns.fallback.within import Within
from smidgen.patterns.run import Run, guarded

NEARLY = 0.9
"""Of its time limit: a way that ended after so much of it had all of it."""
PAUSE_S = 0.2
"""Before a way is tried again; twice as long each time."""


class Fallback(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """ways: the first that answers counts. What each failure means for the ways after it: `failures`.

    deadline_s: for all of them together, 0 for the run's own limit only. reserve_s: of that, so much is kept for the
    last way, or what that usually takes; half of what is left at most. rest_after, rest_s: a way that failed so often
    in a row by its own fault isn't tried for so many seconds; 0 for never.

    How long ways take, and which rest, is remembered by this object: use one for many requests.
    """

    name: str = "fallback"
    ways: tuple[Way, ...]
    deadline_s: float = 0.0
    reserve_s: float = 1.0
    rest_after: int = 3
    rest_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.ways:
            raise ValueError("a fallback needs at least one way")
        if min(self.deadline_s, self.reserve_s, self.rest_after, self.rest_s) < 0:
            raise ValueError("deadline_s, reserve_s, rest_after and rest_s can't be below 0")

    @cached_property
    def healths(self) -> tuple[Health, ...]:
        return tuple(Health(self.rest_after, self.rest_s) for _ in self.ways)

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """Of each way, told apart by numbers where they are called the same."""
        titles = [way.title for way in self.ways]
        return tuple(
            title if titles.count(title) == 1 else f"{title} {titles[:number].count(title) + 1}"
            for number, title in enumerate(titles)
        )

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: _Chain(self, task, resources).events())


class _Chain:
    """One request's way along the chain. ended: its terminal event was told."""

    def __init__(self, fallback: Fallback, task: Task, resources: Resources) -> None:
        self._fallback, self._task, self._resources = fallback, task, resources
        self._end_at = time.monotonic() + fallback.deadline_s if fallback.deadline_s else None
        self._tried: list[Tried] = []
        self._spent = Spent()
        self._overflow: ErrorInfo | None = None
        self._ended = False

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        titles = self._fallback.titles
        for number in range(len(titles)):
            health = self._fallback.healths[number]
            reason = self._passed_over(number)
            if reason is None:
                tries = health.begin()
                try:
                    async with aclosing(self._way(number)) as events:
                        async for event in events:
                            yield event
                finally:
                    health.end(tries)
                if self._ended:
                    return
            else:
                self._tried.append(reason)
            following = titles[number + 1] if number + 1 < len(titles) else "nothing"
            yield FellBack(from_strategy=titles[number], to_strategy=following, reason=self._tried[-1].told)
        yield Failed(error=no_answer(self._tried, self._overflow))

    # --- whether a way is tried, and for how long ---------------------------------------------------------------------

    def _left(self) -> float | None:
        """Seconds for the ways together; None for no limit."""
        try:
            left = self._resources.deadline.remaining()
        except DeadlineExceeded:
            return 0.0
        if self._end_at is None:
            return left
        own = max(0.0, self._end_at - time.monotonic())
        return own if left is None else min(own, left)

    def _limit(self, number: int) -> float | None:
        """Seconds that this way may take."""
        fallback, way, left = self._fallback, self._fallback.ways[number], self._left()
        last = number == len(fallback.ways) - 1
        if left is not None and way.quick:
            left = max(left, fallback.reserve_s, 0.1)
        elif left is not None and not last:
            usual = fallback.healths[-1].usual_s or 0.0
            left -= min(max(fallback.reserve_s, usual), left / 2) + GRACE_S
        limits = [limit for limit in (left, way.deadline_s or None) if limit is not None]
        return max(0.0, min(limits)) if limits else None

    def _passed_over(self, number: int) -> Tried | None:
        """Why a way isn't tried, None if it is."""
        way, health, title = self._fallback.ways[number], self._fallback.healths[number], self._fallback.titles[number]

        def over(kind: Kind, reason: str) -> Tried:
            return Tried(name=title, kind=kind, reason=f"not tried: {reason}")

        before = next((one.kind for one in reversed(self._tried) if one.kind not in QUIET), None)
        if way.when and before not in way.when:
            return over("passed", f"it is for failures of the kind {' or '.join(way.when)}")
        needed = 0 if self._overflow is None else int(self._overflow.details.get("context_tokens", 0))
        if way.context and before == "context" and way.context <= needed:
            return over("context", f"its context of {way.context} tokens is no larger")
        if rests_s := health.resting_s():
            return over(
                health.last_kind, f"it failed {self._fallback.rest_after} times in a row, and rests {rests_s:.0f} s"
            )
        limit, last = self._limit(number), number == len(self._fallback.ways) - 1
        if way.quick or limit is None:
            return None
        if limit <= 0:
            return over("time", "no time is left")
        if health.is_too_slow(limit) and not last:
            reason = f"it usually takes {health.usual_s:.1f} s, and {limit:.1f} s are left for it"
            health.skipped()
            return over("time", reason)
        return None

    # --- one way ------------------------------------------------------------------------------------------------------

    async def _way(self, number: int) -> AsyncGenerator[AgentEvent, None]:
        """Tries it, again where that may help. Ends the chain, or adds to what was tried."""
        way, title, limit = self._fallback.ways[number], self._fallback.titles[number], self._limit(number)
        yield StepStarted(number=number + 1, action="try", detail=title)
        deadline = Deadline(limit)
        for again in range(way.retries + 1):
            async with self._resources.scope() as held:
                within = Within(held, deadline, self._tried)
                attempt = Attempt(way.pattern, self._task, within, show=way.stream)
                async with aclosing(attempt.events()) as events:
                    async for event in events:
                        yield event
                async with aclosing(self._judged(number, attempt, within)) as events:
                    async for event in events:
                        yield event
            error = attempt.end.error if isinstance(attempt.end, Failed) else None
            if self._ended or error is None or not error.retryable or again == way.retries:
                return
            try:
                await deadline.wait(lambda pause=PAUSE_S * 2**again: asyncio.sleep(pause))
            except DeadlineExceeded:
                return
            self._tried.pop()
            yield StepStarted(number=number + 1, action="retry", detail=f"{title}: {error.message}")

    async def _judged(self, number: int, attempt: Attempt, within: Within) -> AsyncGenerator[AgentEvent, None]:
        way, health, title = self._fallback.ways[number], self._fallback.healths[number], self._fallback.titles[number]
        end = attempt.end
        self._spent.add(end)
        if isinstance(end, Finished):
            reason = "" if attempt.shown else self._no_answer(number, end)
            late = end.finish_reason == "deadline"
            if late:
                self._late(number, attempt)
            else:
                health.took(attempt.busy_s)
                health.worked()
            kind: Kind = "time" if late else "refused" if is_refusal(end.strategy) else "check"
            if not reason and way.check is not None and end.finish_reason not in ("tool_calls", "cancelled"):
                run = Run(self._task, within)
                reason = await problem_of(way.check, end.text, run)
                self._spent.add_run(run)
                yield Verified(check=as_check(way.check).name, ok=not reason, reason=reason)
                reason = reason and f"its answer was not accepted: {reason}"
            if not reason:
                for event in self._accepted(number, attempt, end):
                    yield event
                return
            self._tried.append(Tried(name=title, kind=kind, reason=reason, seconds=attempt.seconds))
        elif isinstance(end, Failed):
            for event in self._failed(number, attempt, end.error):
                yield event

    def _no_answer(self, number: int, end: Finished) -> str:
        """Why a text is none that could be accepted. The last way's is better than nothing, even if it was cut."""
        last = number == len(self._fallback.ways) - 1
        if end.finish_reason == "cancelled":
            return ""
        if is_refusal(end.strategy):
            return "" if last or self._fallback.ways[number].quick else f"it gave no answer: {end.text}"
        return "" if last and end.finish_reason == "deadline" and end.text.strip() else cut_or_empty(end)

    def _accepted(self, number: int, attempt: Attempt, end: Finished, cut: str = "") -> list[AgentEvent]:
        """cut: what is told of an answer that time has cut."""
        self._ended = True
        told: list[str] = []
        if failures := [one for one in self._tried if one.kind not in QUIET]:
            title = self._fallback.titles[number]
            who = "No way gave an answer" if is_refusal(end.strategy) else f"{title} answered, as others did not"
            told.append(f"{who}. {'. '.join(map(str, failures))}.")
        if end.finish_reason == "deadline":
            told.append(cut or "The answer was cut at the time limit.")
        if attempt.shown and (found := cut_or_empty(end)) and end.finish_reason != "deadline":
            told.append(f"The answer may be no good, but had been shown already: {found}.")
        events: list[AgentEvent] = [Notice(code="fell_back", message=message) for message in told]
        if not attempt.shown and end.text:
            events.append(TextDelta(text=end.text))
        title = self._fallback.titles[number]
        plain = end.strategy == self._fallback.ways[number].pattern.name and not is_refusal(end.strategy)
        strategy = title if plain or title == end.strategy else f"{title}, {end.strategy}"
        return [*events, self._spent.finished(end, f"{self._fallback.name}: {strategy}", told)]

    def _failed(self, number: int, attempt: Attempt, error: ErrorInfo) -> list[AgentEvent]:
        title, health = self._fallback.titles[number], self._fallback.healths[number]
        one = failed(title, error, attempt.seconds)
        if is_its_own_fault(one.kind, error):
            if one.kind == "time":
                self._late(number, attempt)
            else:
                health.failed(one.kind)
        if one.kind == "request" or attempt.shown:
            self._ended = True
            return (
                self._broken_off(number, attempt, error)
                if attempt.shown and one.kind == "time"
                else [Failed(error=error)]
            )
        if one.kind == "context" and _context(error) >= _context(self._overflow):
            self._overflow = error
        self._tried.append(one)
        return []

    def _broken_off(self, number: int, attempt: Attempt, error: ErrorInfo) -> list[AgentEvent]:
        """What was shown by the time limit is the answer, and said to be cut."""
        pattern = self._fallback.ways[number].pattern
        model = str(getattr(pattern, "model", "")) or self._task.model
        task = msgspec.structs.replace(self._task, model=model)
        end = by_code(attempt.shown, pattern.name, task, self._resources)
        return self._accepted(number, attempt, msgspec.structs.replace(end, finish_reason="deadline"), error.message)

    def _late(self, number: int, attempt: Attempt) -> None:
        """It was cut: which is its own fault only if it had all the time that it is given."""
        way, health = self._fallback.ways[number], self._fallback.healths[number]
        health.took_longer(attempt.least_s)
        if way.deadline_s and attempt.seconds >= NEARLY * way.deadline_s:
            health.failed("time")


def _context(error: ErrorInfo | None) -> int:
    return -1 if error is None else int(error.details.get("context_tokens", 0))
