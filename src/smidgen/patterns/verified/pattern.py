"""An answer that code has checked: way after way, each asked again with the reason, and else an honest refusal."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.errors import Cancelled, DeadlineExceeded, InvalidRequest, NoAnswer, SmidgenError
from smidgen.events import AgentEvent, FellBack, Finished, StepStarted, TextDelta, ToolRecord
from smidgen.events import Verified as Verdict
from smidgen.messages import Constraint
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.plain import Direct
from smidgen.patterns.run import Run, guarded
from smidgen.patterns.verified.checked import Checked, Own, Verifier, held, verifier, wrong

MOST_RETRIES = 20
LONGEST_REASON = 300
"""Characters of a reason that a model is told."""

Check = Verifier | Callable[..., Any]


class _Try(msgspec.Struct, frozen=True, kw_only=True):
    """reason: why it was none, "" if it passed. records: what each check found."""

    text: str = ""
    reason: str = ""
    end: Finished | None = None
    records: tuple[ToolRecord, ...] = ()


class Verified:
    """The first way's answer if it passes every check, in their order; else the same way is asked again, up to
    `retries` times, with the reason in a line; then the next way. Where none passes the run fails with NoAnswer, which
    says what was tried; with `refuse` it ends in a text that says it.

    ways: by default the model asked directly. check: verifiers of this package, or functions of your own (see `Own`);
    each gets the text as the one before it left it. constrain: ways of the kind "direct" without a constraint may only
    write what matches the first grammar that a check has. Raises InvalidRequest for what can't be so.
    """

    def __init__(
        self,
        ways: Sequence[Pattern] = (),
        check: Check | Sequence[Check] = (),
        *,
        retries: int = 1,
        constrain: bool = False,
        refuse: bool = False,
        name: str = "verified",
    ) -> None:
        self.name = name
        is_many = isinstance(check, Sequence) and not isinstance(check, str)
        many = cast("Sequence[Check]", check if is_many else (check,))
        self.checks = tuple(verifier(one) for one in many)
        if not self.checks:
            raise InvalidRequest("There is no check.", hint="Give one, as in check=Number().")
        if type(retries) is not int or not 0 <= retries <= MOST_RETRIES:
            raise InvalidRequest(f"retries is {retries!r}; it can be a whole number from 0 to {MOST_RETRIES}.")
        self.retries, self.refuse = retries, refuse
        given = _patterns(ways) or (Direct(),)
        self.ways = tuple(_constrained(way, self._grammar()) for way in given) if constrain else given
        if constrain and self.ways == given:
            raise InvalidRequest("constrain is of no effect.", hint="It is for ways that ask a model directly.")

    def _grammar(self) -> Constraint:
        found = next((one.constraint for one in self.checks if one.constraint is not None), None)
        if found is None:
            names = ", ".join(one.name for one in self.checks)
            raise InvalidRequest(f"No grammar says what passes {names}.", hint="Leave constrain out.")
        return found

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run, tried = Run(task, resources), list[str]()
        tries = 0
        for place, way in enumerate(self.ways):
            reasons: list[str] = []
            for number in range(1 + self.retries):
                tries += 1
                yield StepStarted(number=tries, action=way.name, detail=f"try {number + 1} of {1 + self.retries}")
                found = _Try()
                async with aclosing(self._tried(run, way, _asked(task, number, reasons))) as events:
                    async for event in events:
                        if isinstance(event, _Try):
                            found = event
                        else:
                            yield event
                if found.end is not None and not found.reason:
                    run.tool_calls += found.records
                    yield TextDelta(text=found.text)
                    yield run.finished(found.text, self._strategy(way, number, tries), found.end.finish_reason)
                    return
                reasons.append(" ".join(found.reason.split()))
                if found.end is None or not found.end.usage.completion_tokens:
                    break  # what failed, and what was decided without a model, isn't mended by asking again
            tried.append(f"{way.name}: {'; then '.join(dict.fromkeys(one.rstrip('.') for one in reasons))}")
            if place + 1 < len(self.ways):
                yield FellBack(
                    from_strategy=way.name, to_strategy=self.ways[place + 1].name, reason=reasons[-1] if reasons else ""
                )
        if not self.refuse:
            raise NoAnswer(_refusal(tried), hint="Ask in other words, or allow more ways.", tried=tried)
        text = _refusal(tried)
        yield TextDelta(text=text)
        yield run.finished(text, f"{self.name}: refused after {_count(tries, 'try', 'tries')}")

    async def _tried(self, run: Run, way: Pattern, task: Task) -> AsyncGenerator[AgentEvent | _Try, None]:
        """One answer of a way, and what the checks say of it."""
        nested = run.nested(way, task)
        async with aclosing(nested.events(show=False)) as events:
            async for event in events:
                yield event
        try:
            end = nested.finished
        except Cancelled:
            raise
        except SmidgenError as error:
            if isinstance(error, DeadlineExceeded):
                run.resources.deadline.remaining()  # it may be that only the way's own time was up
            yield _Try(reason=error.message)
            return
        text, records = end.text, list[ToolRecord]()
        for check in self.checks:
            checked = await self._checked(check, text, end, run)
            yield Verdict(check=check.name, ok=checked.ok, reason=checked.reason)
            if not checked.ok:
                yield _Try(text=text, reason=checked.reason or f"it doesn't pass {check.name}", end=end)
                return
            records.append(ToolRecord(name=check.name, arguments={"text": text}, result=_data(checked.value), ok=True))
            text = checked.text
        yield _Try(text=text, end=end, records=tuple(records))

    async def _checked(self, check: Verifier, text: str, end: Finished, run: Run) -> Checked:
        if not text.strip():
            return wrong("it is empty")
        checked = await run.resources.deadline.wait(lambda: check.check(text, run.task, run.resources))
        if not checked.ok and end.finish_reason == "length":
            return wrong(f"{checked.reason} (it was cut for its length)")
        if checked.ok and end.finish_reason == "length" and not isinstance(check, Own) and _is_cut(text, checked.text):
            return wrong("it was cut for its length")
        return checked if checked.text or not checked.ok else held(text, checked.value)

    def _strategy(self, way: Pattern, number: int, tries: int) -> str:
        """How much stands behind the answer, too: one that passed at once is likelier right than the fourth try."""
        passed = ", ".join(check.name for check in self.checks)
        again = f", asked {number + 1} times" if number else ""
        return f"{self.name}: {way.name}{again}; passed {passed}; 1 of {_count(tries, 'try', 'tries')}"


def _asked(task: Task, number: int, reasons: Sequence[str]) -> Task:
    """The request, from the second time on with what was wrong, and drawn otherwise."""
    if not number:
        return task
    reason = reasons[-1][:LONGEST_REASON].rstrip(".")
    asked = task.asking(f"{task.request}\n\nA first answer was refused: {reason}. Answer again.")
    return msgspec.structs.replace(asked, seed=task.seed + 1000 * number)


def _is_cut(text: str, passed: str) -> bool:
    """Does what passed stand at the end of what was cut, so that more of it may be missing: 12 of 1250?"""
    last = text.rstrip()[-1:]
    return last == passed[-1:] and (last.isalnum() or last == ")")


def _patterns(ways: object) -> tuple[Pattern, ...]:
    """Raises InvalidRequest."""
    many = (
        tuple(cast("Sequence[object]", ways)) if isinstance(ways, Sequence) and not isinstance(ways, str) else (ways,)
    )
    for way in many:
        if not callable(getattr(way, "answer", None)) or isinstance(way, type):
            raise InvalidRequest(f"{way!r} is no way to an answer.", hint="Give patterns, and checks as check=...")
    return cast("tuple[Pattern, ...]", many)


def _constrained(way: Pattern, grammar: Constraint) -> Pattern:
    if isinstance(way, Direct) and way.constraint is None:
        return msgspec.structs.replace(way, constraint=grammar)
    return way


def _refusal(tried: Sequence[str]) -> str:
    return f"I found no answer that passes the checks. Tried: {'. '.join(tried)}."


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _data(value: Any) -> Any:
    """What an answer's record can hold: data that JSON can write, else how it is shown."""
    try:
        data = msgspec.to_builtins(value, str_keys=True)
        msgspec.json.encode(data)
    except (TypeError, ValueError, RecursionError, OverflowError):
        return str(value).encode(errors="backslashreplace").decode()
    return data
