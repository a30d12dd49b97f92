"""One intent's ways to an answer, each tried when the one before it can't answer."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.errors import Cancelled, DeadlineExceeded, SmidgenError
from smidgen.events import AgentEvent, Asked, FellBack, Finished, StepStarted, TextDelta, Verified
from smidgen.messages import Message
from smidgen.patterns import Pattern, Task
from smidgen.patterns.chain.templates import as_text, filled
from smidgen.patterns.plain import Direct, WithTools
from smidgen.patterns.router.intents import REQUEST, VALUE, Intent, Rule
from smidgen.patterns.router.slots import Filled, questions
from smidgen.patterns.run import Run

RULE_SECONDS = 5.0
SHOWN = 120
"""Characters of a value in an event."""


class Declined(Exception):
    """A way can't answer; the message says why."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """No way of the intent could answer. way: the last one. reason: why not."""

    way: str
    reason: str


class Ways:
    """request: what the user said about it, with answers to what was asked. filled: its slots."""

    def __init__(self, intent: Intent, request: str, slots: Filled, run: Run, name: str) -> None:
        self._intent, self._slots, self._run, self._name = intent, slots, run, name
        self._values: dict[str, Any] = {**slots.values, REQUEST: request}
        self._request = request

    async def events(self) -> AsyncGenerator[AgentEvent | Left, None]:
        """Ends in `Finished`, or in `Left`. Raises DeadlineExceeded, Cancelled; and what a pattern raises that failed
        when a part of its answer had been shown."""
        ways = self._intent.ways
        for number, way in enumerate(ways):
            yield StepStarted(number=number + 2, action=way, detail=self._intent.name)
            try:
                async with aclosing(self._way(way)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, Finished):
                            return
            except Declined as declined:
                if number + 1 == len(ways):
                    yield Left(way=way, reason=str(declined))
                    return
                yield FellBack(from_strategy=way, to_strategy=ways[number + 1], reason=str(declined))

    async def _way(self, way: str) -> AsyncGenerator[AgentEvent, None]:
        """Raises Declined."""
        missing = tuple(name for name in self._intent.needs(way) if name not in self._values)
        if missing:
            told = f"{way} needs {', '.join(missing)}"
            if self._intent.missing == "next":
                raise Declined(told)
            needed = msgspec.structs.replace(self._slots, missing=missing)
            question = questions(self._intent.slots, needed)
            yield Verified(check="slots", ok=False, reason=told)
            yield Asked(question=question, missing=missing)
            for event in self._said(question, f"asked for {', '.join(missing)}"):
                yield event
            return
        if way in ("rule", "template"):
            text = await self._by_rule() if way == "rule" else filled(self._intent.template, self._values, fenced=False)
            for event in self._said(text, f"by {way}"):
                yield event
            return
        async with aclosing(self._by_pattern(way)) as events:
            async for event in events:
                yield event

    def _said(self, text: str, how: str) -> tuple[TextDelta, Finished]:
        return TextDelta(text=text), self._run.finished(text, f"{self._name}: {self._intent.name} {how}")

    # --- rules ------------------------------------------------------------------------------------------------------

    async def _by_rule(self) -> str:
        rule = self._intent.rule
        value = await (self._computed(rule) if isinstance(rule, str) else self._called(cast(Rule, rule)))
        if value is None or value is False or value == "":
            raise Declined("the rule has no answer")
        if VALUE not in self._values and f"{{{VALUE}}}" in self._intent.template:
            return filled(self._intent.template, {**self._values, VALUE: value}, fenced=False)
        return as_text(value)

    async def _called(self, rule: Rule) -> Any:
        taken = inspect.signature(rule).parameters
        arguments = {name: self._values[name] for name in taken if name in self._values}
        deadline = self._run.resources.deadline
        try:
            if inspect.iscoroutinefunction(rule):
                return await deadline.wait(lambda: rule(**arguments))
            value = await deadline.wait(lambda: asyncio.to_thread(lambda: rule(**arguments)))
            return await deadline.wait(lambda: value) if inspect.isawaitable(value) else value
        except ValueError as error:
            raise Declined(f"the rule refuses it: {error}") from error

    async def _computed(self, program: str) -> Any:
        known = "".join(f"{name} = {value!r}\n" for name, value in self._values.items())
        deadline = self._run.resources.deadline
        try:
            left = deadline.remaining()
            seconds = RULE_SECONDS if left is None else min(RULE_SECONDS, left)
            done = await deadline.wait(lambda: self._run.resources.python(known + program, seconds))
            if not done.ok:
                deadline.remaining()  # it may be that only time was short
        except (DeadlineExceeded, Cancelled):
            raise
        except SmidgenError as error:
            raise Declined(f"the rule's program can't be run: {error.message}") from error
        if not done.ok:
            told = done.error.strip().splitlines()[-1] if done.error.strip() else f"stopped by {done.stopped}"
            raise Declined(f"the rule's program failed: {told}")
        try:
            return ast.literal_eval(done.value) if done.value else None
        except (ValueError, SyntaxError):
            raise Declined(f"the rule's value is no data: {done.value[:SHOWN]}") from None

    # --- models -----------------------------------------------------------------------------------------------------

    async def _by_pattern(self, way: str) -> AsyncGenerator[AgentEvent, None]:
        """The text is shown as it comes, unless a check is still to decide. Raises Declined."""
        pattern, task = self._asked(way)
        checks = self._intent.check
        if checks is not None:
            from smidgen.patterns.verified import Verified as Checking

            pattern = Checking([pattern], checks, retries=self._intent.retries)
        nested = self._run.nested(pattern, task)
        shown = False
        async with aclosing(nested.events(show=True)) as events:
            async for event in events:
                shown = shown or isinstance(event, TextDelta)
                yield event
        try:
            end = nested.finished
        except (DeadlineExceeded, Cancelled):
            raise
        except SmidgenError as error:
            if shown:
                raise  # what was shown can't be taken back
            raise Declined(error.message) from error
        how = f"by {way} ({end.strategy})" if way != "prompt" or checks is not None else "by prompt"
        yield self._run.finished(end.text, f"{self._name}: {self._intent.name} {how}", end.finish_reason)

    def _asked(self, way: str) -> tuple[Pattern, Task]:
        """A prompt is asked alone, without what was said before; the others get the conversation."""
        intent, task = self._intent, self._run.task
        if way == "prompt":
            rules = tuple(turn for turn in task.messages if turn.role == "system")
            prompt = Message(role="user", content=filled(intent.prompt, self._values))
            direct = Direct(
                system=intent.system, model=intent.model, max_tokens=intent.max_tokens, temperature=intent.temperature
            )
            return direct, msgspec.structs.replace(task, messages=(*rules, prompt))
        if self._request != task.request:
            task = task.asking(self._request)
        if way == "tools":
            return WithTools(tools=intent.tools, system=intent.system, model=intent.model), task
        return cast(Pattern, intent.pattern), task
