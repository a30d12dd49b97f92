"""`CodeWriter`: a function from its signature and docstring, drafted, tried on its examples, compared, mended."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

import msgspec

from smidgen.errors import NoAnswer
from smidgen.events import AgentEvent, Notice, StepStarted, TextDelta, Verified
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro.choosing import Candidate, Weighed, weighed
from smidgen.patterns.micro.drafting import Drafting, asserting, drafts, opened, to_mend, to_write
from smidgen.patterns.micro.examples import Example, examples_of
from smidgen.patterns.micro.inputs import LONGEST, arguments_of, calls_for
from smidgen.patterns.micro.stubs import Stub, body_of, read_stub
from smidgen.patterns.micro.trials import Trial, trials
from smidgen.patterns.run import Run, guarded

AT_ONCE = 2
"""Samples of each way, after which it is looked whether more are needed."""
MENDED = 2
"""Drafts of each mending."""
CLEAR, CLEAR_DRAFTS = 0.8, 6
"""The agreement that settles it, of so many drafts at least."""
MOST_ASSERTS = 12
LISTED = 120
"""Tokens of a list of asserts."""
CALLS = 24
ASSERT_ENDS = ("\ndef ", "\nclass ", "\n#", "\nprint", "\nif ", "\n```")


class CodeWriter(msgspec.Struct, frozen=True, kw_only=True):
    """The task's request is Python text with a function that lacks its body; the answer is the text with it.

    samples: drafts of each of two ways at most, once the two likeliest don't settle it. mends: how often what fails an
    example is written again with the reason. strict: nothing is answered that fails an example of the docstring; else
    the best is, with a warning. function: which one, "" for the last without a body. watch: told of every draft that is
    a function, with its way and the whole program."""

    name: str = "write-code"
    model: str = ""
    function: str = ""
    samples: int = 4
    mends: int = 1
    temperature: float = 0.8
    max_tokens: int = 300
    strict: bool = True
    watch: Callable[[str, str], Any] | None = None

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        stub = read_stub(task.request, self.function)
        work = _Work(self, run, stub, examples_of(stub))
        shown = f"{stub.name}, {len(work.examples)} examples in its docstring"
        yield StepStarted(number=1, action="draft", detail=shown)
        await work.draft_likeliest()
        step = 1
        for begin in range(0, self.samples, AT_ONCE):
            if work.is_settled():
                break
            step, count = step + 1, min(AT_ONCE, self.samples - begin)
            yield StepStarted(number=step, action="sample", detail=f"{2 * count} drafts, compared by what they do")
            await work.sample(begin, count)
        for number in range(self.mends):
            if (failing := work.failing()) is None:
                break
            step += 1
            yield StepStarted(number=step, action="mend", detail=failing)
            await work.mend(number)
        best = work.best()
        told = work.verdict(best)
        yield Verified(check="examples", ok=best is not None and not told, reason=told)
        if best is None or (told and self.strict):
            raise NoAnswer(
                f"{stub.name} could not be written: {told}.",
                hint=f"Tried: {work.tried()}. Check the examples, or describe it more precisely.",
                tried=work.tried(),
                best=stub.program(best.candidate.body) if best else "",
            )
        if told:
            run.warn(told)
            yield Notice(code="unverified", message=told)
        text = stub.program(best.candidate.body)
        yield TextDelta(text=text)
        yield run.finished(text, f"{self.name}: {work.why(best)}")


class _Work:
    """One function's drafts so far."""

    def __init__(self, writer: CodeWriter, run: Run, stub: Stub, examples: Sequence[Example]) -> None:
        self._writer, self._run, self.stub, self.examples = writer, run, stub, tuple(examples)
        self._asserts: tuple[Example, ...] = ()
        self._calls: list[str] = calls_for(stub, examples, most=CALLS)
        self._bodies: dict[str, tuple[str, str, int]] = {}
        self._trials: dict[str, Trial] = {}
        self._likeliest: list[str] = []
        self._drafted = self._mended = 0

    # --- drafts -----------------------------------------------------------------------------------------------------

    async def draft_likeliest(self) -> None:
        stub = self.stub
        how = self._how(0, 0.0)
        continued, asked = await asyncio.gather(
            drafts(self._run, (), stub.before, how), drafts(self._run, to_write(stub), opened(stub), how)
        )
        self._likeliest = [*self._take(continued, "continued"), *self._take(asked, "asked")]
        await self._try()

    async def sample(self, begin: int, count: int) -> None:
        """begin: how many of each way there are. With the first the model also writes asserts, and these make new
        calls."""
        stub = self.stub
        how = self._how(100 + begin, self._writer.temperature)
        listing = msgspec.structs.replace(how, temperature=0.5, seed=300, stop=ASSERT_ENDS, max_tokens=LISTED)
        continued, asked, asserts = await asyncio.gather(
            drafts(self._run, (), stub.before, how, count),
            drafts(self._run, to_write(stub), opened(stub), msgspec.structs.replace(how, seed=200 + begin), count),
            drafts(self._run, (), asserting(stub), listing, 0 if begin else 2),
        )
        self._take(continued, "sampled")
        self._take(asked, "sampled")
        if not begin:
            self._asserts = asserts_in(asserts, stub, self.examples)
            also = [one.call for one in self._asserts]
            self._calls = calls_for(stub, (*self.examples, *self._asserts), also, CALLS)
            self._trials.clear()
        await self._try()

    async def mend(self, number: int) -> None:
        best = self._weighed()[:1]
        if not best:
            return
        asked = to_mend(self.stub, self.stub.program(best[0].candidate.body), self._shown_failing(best[0]))
        self._take(
            await drafts(self._run, asked, opened(self.stub), self._how(400 + 10 * number, 0.6), MENDED), "mended"
        )
        self._mended += 1
        await self._try()

    def _how(self, seed: int, temperature: float) -> Drafting:
        writer = self._writer
        return Drafting(max_tokens=writer.max_tokens, model=writer.model, temperature=temperature, seed=seed)

    def _take(self, texts: Iterable[str], way: str) -> list[str]:
        """Keys of those that are functions. Drafts that are the same but for their layout are one."""
        keys: list[str] = []
        for text in texts:
            self._drafted += 1
            body = body_of(text, self.stub)
            if not body:
                continue
            key = ast.dump(ast.parse(self.stub.before + body + "\n"))
            known = self._bodies.get(key, (body, way, 0))
            self._bodies[key] = (known[0], known[1], known[2] + 1)
            keys.append(key)
            if self._writer.watch is not None:
                self._writer.watch(way, self.stub.program(body))
        return keys

    async def _try(self) -> None:
        new = [key for key in self._bodies if key not in self._trials]
        expected = (*self.examples, *self._asserts)
        programs = [self.stub.program(self._bodies[key][0]) for key in new]
        found = await trials(self._run.resources, programs, expected, self._calls)
        self._trials.update(zip(new, found, strict=True))

    # --- what to make of them ---------------------------------------------------------------------------------------

    def is_settled(self) -> bool:
        """The best draft passes all examples, of which there are some; and both likeliest ones do the same with every
        call, or most drafts do."""
        best = self.best()
        if best is None or not self.examples or not self._all_pass(best.candidate.trial):
            return False
        if self._drafted >= CLEAR_DRAFTS:
            return best.agreement >= CLEAR
        found = [self._trials[key] for key in self._likeliest]
        return len(found) == 2 and [one.shown for one in found[0].outcomes] == [one.shown for one in found[1].outcomes]

    def failing(self) -> str | None:
        """The example that the best draft fails, None if it fails none."""
        best = self._weighed()[:1]
        return self._shown_failing(best[0]) if best and not self._all_pass(best[0].candidate.trial) else None

    def best(self) -> Weighed | None:
        return next(iter(self._weighed()), None)

    def verdict(self, best: Weighed | None) -> str:
        """What is wrong with it, "" if nothing is known to be."""
        if best is None:
            return "no draft is a function that can be run"
        if not self._all_pass(best.candidate.trial):
            return self._shown_failing(best)
        if not self.examples and best.agreement <= 0.5:
            return "its docstring shows no example, and the drafts don't agree on what it does"
        return ""

    def why(self, best: Weighed) -> str:
        ways = [f"{best.passed} of {len(self.examples)} examples" if self.examples else "no examples"]
        if self._drafted > 2:
            ways.append(f"agreement {best.agreement:.0%} of {self._drafted} drafts")
        return f"{best.candidate.way}, {', '.join(ways)}"

    def tried(self) -> str:
        return f"{self._drafted} drafts" + (f", {self._mended} times mended" if self._mended else "")

    def _all_pass(self, one: Trial) -> bool:
        return not one.error and all(outcome.ok is True for outcome in one.outcomes[: len(self.examples)])

    def _shown_failing(self, best: Weighed) -> str:
        outcomes = best.candidate.trial.outcomes
        for example, outcome in zip(self.examples, outcomes, strict=False):
            if outcome.ok is not True:
                wanted = f"raise {example.raises}" if example.raises else f"return {example.expected}"
                return f"`{example.call}` should {wanted}, but {outcome.told}"
        return ""

    def _weighed(self) -> list[Weighed]:
        candidates = [
            Candidate(body=body, way=way, trial=self._trials[key], count=count)
            for key, (body, way, count) in self._bodies.items()
        ]
        return weighed(candidates, len(self.examples), len(self._asserts))


def asserts_in(texts: Sequence[str], stub: Stub, known: Sequence[Example]) -> tuple[Example, ...]:
    """Asserts `name(…) == value` from texts that go on from `assert name(`, each call once, with the value that it is
    most often given."""
    said: dict[str, dict[str, int]] = {}
    taken = {one.call for one in known}
    for text in texts:
        for line in f"assert {stub.name}({text}".splitlines():
            try:
                node = ast.parse(line.strip()).body[0]
            except (SyntaxError, ValueError, IndexError):
                continue
            test = node.test if isinstance(node, ast.Assert) else None
            if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.Eq, ast.Is))):
                continue
            if not (isinstance(test.left, ast.Call) and ast.unparse(test.left.func) == stub.name):
                continue
            call, value = ast.unparse(test.left), ast.unparse(test.comparators[0])
            values = arguments_of(call, stub.name)
            if call not in taken and len(call) <= LONGEST and (values is None or stub.takes(len(values))):
                counts = said.setdefault(call, {})
                counts[value] = counts.get(value, 0) + 1
    found = [Example(call=call, expected=max(counts, key=lambda one: counts[one])) for call, counts in said.items()]
    return tuple(found[:MOST_ASSERTS])
