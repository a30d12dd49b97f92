"""A number that several tries agree on: programs that are run, and steps in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from smidgen.errors import DeadlineExceeded, InvalidRequest, NoAnswer, SmidgenError
from smidgen.events import AgentEvent, Finished, FinishReason, Notice, StepStarted, TextDelta, ToolRecord
from smidgen.events import Verified as Verdict
from smidgen.patterns import Pattern, Resources, Task
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
        if min(self.program, self.steps, self.direct) < 0 or not (self.ways or self.others):
            raise InvalidRequest("No way to a number has a weight.", hint="Give program or steps one above 0.")
        if not 1 <= self.samples <= MOST_SAMPLES or self.at_once < 1:
            raise InvalidRequest(f"samples is {self.samples}; it can be 1 to {MOST_SAMPLES}, and at_once 1 and more.")
        if not 0 <= self.agreed <= 1 or not 0 < self.lead <= 1 or self.seconds <= 0 or self.temperature < 0:
            raise InvalidRequest("agreed and lead must be up to 1, lead and seconds above 0, temperature 0 and more.")

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
        for other in self.others:
            async with aclosing(self._other(run, other, votes)) as events:
                async for event in events:
                    yield event
        samples = self.samples if self.ways else 0
        drawn = number = 0
        while drawn < samples and not ended and not self._enough(votes, samples - drawn):
            number += 1
            batch = range(drawn, min(samples, drawn + self.at_once))
            yield StepStarted(number=number, action="solve", detail=self._detail(batch))
            tries = await asyncio.gather(*(self._try(run, index) for index in batch), return_exceptions=True)
            found = [one for one in tries if isinstance(one, Vote)]
            for error in (one for one in tries if isinstance(one, BaseException)):
                if not isinstance(error, DeadlineExceeded) or not (votes or found):
                    raise error
                ended = True
            for vote in found:
                yield Verdict(check=vote.way, ok=vote.value is not None, reason=_reason(vote))
            votes += found
            drawn += len(found)
        if ended:
            told = f"The time limit ended the vote after {drawn} of {samples} tries."
            run.warn(told)
            yield Notice(code="vote_cut", message=told)
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

    def _enough(self, votes: Sequence[Vote], left: int) -> bool:
        return decided(votes, remaining=left * max(self.weights.values()), lead=self.lead)

    def _detail(self, batch: range) -> str:
        ways = self.order(batch.stop)[batch.start :]
        return ", ".join(f"{ways.count(way)} {way}" for way in self.ways if way in ways)

    async def _try(self, run: Run, index: int) -> Vote:
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
        except DeadlineExceeded:
            raise
        except SmidgenError as error:
            vote = Vote(way=pattern.name, problem=error.message)
        votes.append(vote)
        yield Verdict(check=vote.way, ok=vote.value is not None, reason=_reason(vote))


def _voted(name: str, end: Finished) -> Vote:
    value = last_number(end.text)
    return Vote(way=name, value=value, text=end.text, problem="" if value is not None else "it says no number")


def _reason(vote: Vote) -> str:
    told = said(vote.value) if vote.value is not None else ""
    return "; ".join(part for part in (told, vote.problem) if part)


def _counted(standing: Standing) -> str:
    ways = [vote.way for vote in standing.votes]
    return "the votes, by " + ", ".join(f"{ways.count(way)} {way}" for way in dict.fromkeys(ways))
