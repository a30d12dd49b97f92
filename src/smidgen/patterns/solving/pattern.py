"""A number that several tries agree on: programs that are run, and steps in words."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from smidgen.errors import Cancelled, DeadlineExceeded, InvalidRequest, NoAnswer, SandboxUnavailable, SmidgenError
from smidgen.events import AgentEvent, Finished, FinishReason, Notice, StepStarted, TextDelta, ToolRecord
from smidgen.events import Verified as Verdict
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.fallback.failures import is_refusal
from smidgen.patterns.run import Run, guarded
from smidgen.patterns.solving.steps import last_number
from smidgen.patterns.solving.tries import Way, number_said, said, tried
from smidgen.patterns.solving.vote import Standing, Vote, decided, standings
from smidgen.patterns.solving.writing import Drawn

MOST_SAMPLES = 256


class Solving(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for several tries at once, and for more until one number leads; the answer is the number.

    program, steps, direct: how much a vote of each way counts, and how often it is asked for; 0 leaves the way out.
    others: patterns whose answers' last number is a vote each, of weight 1. samples: tries at most, those of `others`
    not counted. at_once: how many between two looks at the votes. lead: the share of all weight by which the first
    number must lead the second, for no further round.
    temperature: of all tries but the first of each way, which is greedy. agreed: a share of the votes below which there
    is no answer, so that what holds this can go on. seconds: for one program. model: "" for the task's.
    """

    name: str = "solving"
    program: float = 1.0
    steps: float = 1.0
    direct: float = 0.0
    others: tuple[Pattern, ...] = ()
    samples: int = 16
    at_once: int = 8
    lead: float = 0.5
    agreed: float = 0.0
    temperature: float = 0.6
    seconds: float = 3.0
    model: str = ""

    def __post_init__(self) -> None:
        if not all(0 <= weight < math.inf for weight in self.weights.values()) or not (self.ways or self.others):
            raise InvalidRequest("No way to a number has a weight.", hint="Give program or steps one above 0.")
        if not 1 <= self.samples <= MOST_SAMPLES or not 1 <= self.at_once <= MOST_SAMPLES:
            raise InvalidRequest(
                f"samples is {self.samples} and at_once {self.at_once}: each can be 1 to {MOST_SAMPLES}."
            )
        if not 0 <= self.agreed <= 1 or not 0 < self.lead <= 1:
            raise InvalidRequest("agreed and lead must be up to 1, and lead above 0.")
        if not 0 < self.seconds < math.inf or not 0 <= self.temperature < math.inf:
            raise InvalidRequest("seconds must be above 0, temperature 0 and more.")

    @property
    def weights(self) -> dict[Way, float]:
        return {"steps": self.steps, "program": self.program, "direct": self.direct}

    @property
    def ways(self) -> tuple[Way, ...]:
        return tuple(way for way, weight in self.weights.items() if weight > 0)

    def order(self, count: int) -> list[Way]:
        """The ways of so many tries: each as often as its weight says, in turns."""
        weights, chosen = self.weights, list[Way]()
        for _ in range(count):
            chosen.append(max(self.ways, key=lambda way: weights[way] / (chosen.count(way) + 1)))
        return chosen

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run, votes, ended = Run(task, resources), list[Vote](), False
        current, failures = self, list[SmidgenError]()
        for other in self.others:
            try:
                async with aclosing(self._other(run, other, votes)) as events:
                    async for event in events:
                        yield event
            except DeadlineExceeded as error:
                failures.append(error)
                ended = True
                break
        drawn, number, of_others = 0, 0, len(votes)
        while current.ways and drawn < self.samples and not ended and not current.enough(votes, self.samples - drawn):
            number, before = number + 1, current
            batch = range(drawn, min(self.samples, drawn + self.at_once))
            yield StepStarted(number=number, action="solve", detail=current.detail(batch))
            tries = await asyncio.gather(*(current.attempt(run, index) for index in batch), return_exceptions=True)
            found = [one for one in tries if isinstance(one, Vote)]
            for error in (one for one in tries if isinstance(one, BaseException)):
                if isinstance(error, Cancelled) or not isinstance(error, SmidgenError):
                    raise error
                ended = ended or isinstance(error, DeadlineExceeded)
                if isinstance(error, SandboxUnavailable) and len(self.ways) > 1:
                    run.warn(f"Programs can't be run here, so they have no vote: {error.message}")
                    current = msgspec.structs.replace(current, program=0.0)
                else:
                    failures.append(error)
            for vote in found:
                yield Verdict(check=vote.way, ok=vote.value is not None, reason=_reason(vote))
            votes += found
            drawn += len(batch)
            if not found and current is before:
                break  # whatever it is, it meets every try
        if failures and all(vote.value is None for vote in votes):
            raise next((error for error in failures if isinstance(error, DeadlineExceeded)), failures[0])
        if ended:
            told = f"The time limit ended the vote after {len(votes) - of_others} of {self.samples} tries."
            run.warn(told)
            yield Notice(code="vote_cut", message=told)
        elif failures:
            run.warn(f"{len(failures)} of {drawn} tries broke off, the first with: {failures[0].message}")
        async with aclosing(self._end(run, votes, "deadline" if ended else "stop")) as events:
            async for event in events:
                yield event

    async def _end(self, run: Run, votes: Sequence[Vote], how: FinishReason) -> AsyncGenerator[AgentEvent, None]:
        found = standings(votes)
        if not found:
            reasons = list(dict.fromkeys(f"{vote.way}: {vote.problem}" for vote in votes if vote.problem))
            raise NoAnswer(f"None of {len(votes)} tries led to a number.", hint="Ask in other words.", tried=reasons)
        first = found[0]
        told = f"{said(first.value)} has {first.share:.0%} of {sum(len(one.votes) for one in found)} votes"
        told += "".join(f", {said(one.value)} {one.share:.0%}" for one in found[1:3])
        yield Verdict(check="vote", ok=first.share >= self.agreed, reason=f"{first.share:.2f}: {told}")
        if first.share < self.agreed:
            raise NoAnswer(f"The tries don't agree: {told}.", hint="Ask a larger model.", tried=[told])
        best = max(first.votes, key=lambda vote: (vote.way == "program", vote.weight))
        kind = "code" if best.way == "program" else "text"
        run.tool_calls.append(
            ToolRecord(name=best.way, arguments={kind: best.text}, result=number_said(first.value), ok=True)
        )
        text = said(first.value)
        yield TextDelta(text=text)
        yield run.finished(text, f"{self.name}: {first.share:.0%} of {_counted(first)}", how)

    def enough(self, votes: Sequence[Vote], left: int) -> bool:
        return decided(votes, remaining=left * max(self.weights.values()), lead=self.lead)

    def detail(self, batch: range) -> str:
        ways = self.order(batch.stop)[batch.start :]
        return ", ".join(f"{ways.count(way)} {way}" for way in self.ways if way in ways)

    async def attempt(self, run: Run, index: int) -> Vote:
        order = self.order(index + 1)
        way, turn = order[-1], order.count(order[-1]) - 1
        drawn = Drawn(seed=turn, temperature=self.temperature if turn else 0.0, model=self.model)
        vote = await tried(run, way, drawn, self.seconds)
        return msgspec.structs.replace(vote, weight=vote.weight * self.weights[way])

    async def _other(self, run: Run, pattern: Pattern, votes: list[Vote]) -> AsyncGenerator[AgentEvent, None]:
        """Adds the vote of another pattern."""
        nested = run.nested(pattern)
        async with aclosing(nested.events(show=False)) as events:
            async for event in events:
                yield event
        try:
            vote = _voted(pattern.name, nested.finished)
        except Cancelled:
            raise
        except SmidgenError as error:
            if isinstance(error, DeadlineExceeded):
                run.resources.deadline.remaining()  # it may be that only the pattern's own time was up
            vote = Vote(way=pattern.name, problem=error.message)
        votes.append(vote)
        yield Verdict(check=vote.way, ok=vote.value is not None, reason=_reason(vote))


def _voted(name: str, end: Finished) -> Vote:
    if is_refusal(end.strategy):
        return Vote(way=name, text=end.text, problem="it refused")
    value = last_number(end.text)
    return Vote(way=name, value=value, text=end.text, problem="" if value is not None else "it says no number")


def _reason(vote: Vote) -> str:
    told = said(vote.value) if vote.value is not None else ""
    return "; ".join(part for part in (told, vote.problem) if part)


def _counted(standing: Standing) -> str:
    ways = [vote.way for vote in standing.votes]
    return "the votes, by " + ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways))
