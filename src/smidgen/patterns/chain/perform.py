"""One step: written, extracted, checked, and written again with what was wrong as a hint."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple, cast

import msgspec

from smidgen.agent.prompts import with_system
from smidgen.errors import Cancelled, DeadlineExceeded, NoAnswer, SmidgenError, ToolFailed
from smidgen.events import AgentEvent, FellBack, FinishReason, StepStarted, Verified
from smidgen.messages import Message
from smidgen.patterns import Pattern, Task
from smidgen.patterns.chain.checks import Check, When
from smidgen.patterns.chain.extraction import NothingFound, extracted
from smidgen.patterns.chain.steps import ITEM, Function, Step, is_pattern, names_read, parameters
from smidgen.patterns.chain.templates import NoSuchValue, Value, as_text, at, filled
from smidgen.patterns.chain.together import AT_ONCE, together
from smidgen.patterns.run import Run, Writing

Tell = Callable[[AgentEvent], None]
SHOWN = 200
"""Characters of a value in an event."""
UNFINISHED = {"deadline": DeadlineExceeded, "cancelled": Cancelled}


class Unusable(Exception):
    """What was made can't be the value; the message says why."""


class Made(NamedTuple):
    """limit: of its tokens, in words, if it ended there."""

    value: Value
    limit: str = ""


class Performer:
    """Steps of one run. seen: the one whose text the user sees as it is, "" for none. limited: it was written within
    the task's limit of tokens; cut: and ended there, or one of its items did."""

    def __init__(self, run: Run, tell: Tell, model: str, seen: str) -> None:
        self._run, self._tell, self._model, self._seen = run, tell, model, seen
        self._system = system_of(run.task)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._started = 0
        self.cut = self.limited = False

    async def value(self, step: Step, values: Mapping[str, Value]) -> Value:
        """None if its condition doesn't hold. Raises NoAnswer, with step, reason and text in its details, where nothing
        usable came of it; ToolFailed for its code; and what models raise."""
        try:
            if step.when is not None and not await self._is_wanted(step, values):
                self._start(step, "left out: its condition doesn't hold")
                return None
            items: Any = at(values, step.each) if step.each else None
        except NoSuchValue as error:
            raise _failed(step, str(error), "") from error
        if not step.each:
            self._start(step)
            return await self._unit(step, values, step.name)
        if items is None:
            items = []
        if not isinstance(items, list):
            raise _failed(step, f"{step.each} is no list, but {as_text(items)[:SHOWN]!r}", "")
        many = cast("list[Value]", items)
        if len(many) > step.at_most:
            reason = f"{step.each} has {len(many)} items, and at most {step.at_most} are allowed"
            raise _failed(step, reason, "", hint="Raise at_most, or check the number of items where they are made.")
        self._start(step, f"for each of {len(many)}")
        units = [self._unit(step, {**values, ITEM: item}, f"{step.name}[{number}]") for number, item in enumerate(many)]
        return await together(units)

    def _start(self, step: Step, detail: str = "") -> None:
        self._started += 1
        self._tell(StepStarted(number=self._started, action=step.name, detail=detail))

    async def _is_wanted(self, step: Step, values: Mapping[str, Value]) -> bool:
        """Raises NoSuchValue."""
        if isinstance(step.when, When):
            return step.when.holds(values)
        try:
            return bool(await self._called(cast(Function, step.when), values))
        except SmidgenError:
            raise
        except Exception as error:
            raise _of_function(step, "condition", error) from error

    async def _unit(self, step: Step, values: Mapping[str, Value], label: str) -> Value:
        """The step once: its whole, or for one item."""
        reason = text = ""
        for attempt in range(step.retries + 1 if step.code is None else 1):
            if attempt:
                self._start(step, f"again: {reason}")
            try:
                made = await self._made(step, values, reason, attempt)
                text = made.value
                value = await self._accepted(step, text, values)
            except (Unusable, NothingFound, NoSuchValue) as error:
                reason = str(error)
                self._tell(Verified(check=label, ok=False, reason=reason))
                if isinstance(error, NoSuchValue):
                    break  # nothing changes that by being written again
            except (DeadlineExceeded, Cancelled):
                raise
            except SmidgenError as error:
                self._tell(Verified(check=label, ok=False, reason=error.message))
                if step.otherwise is None:
                    raise _placed(step, error) from error
                return await self._otherwise(step, values, error.message)
            else:
                self._tell(Verified(check=label, ok=True, reason=_shown(value)))
                self._taken(step, made, by_model=step.code is None)
                return value
        if step.otherwise is None:
            raise _failed(step, reason, as_text(text))
        return await self._otherwise(step, values, reason)

    def _taken(self, step: Step, made: Made, *, by_model: bool) -> None:
        """What counts of a text only now that it is the value: tries that were replaced leave no trace."""
        if made.limit:
            self._run.warn(f"The text of step {step.name} was cut off {made.limit}.")
        if step.name == self._seen:
            self.cut = self.cut or bool(made.limit)
            self.limited = by_model and not step.each

    async def _made(self, step: Step, values: Mapping[str, Value], reason: str, attempt: int) -> Made:
        if step.code is not None:
            return Made(await self._computed(step, values))
        prompt = filled(step.prompt or "{request}", values, fenced=step.pattern is None)
        if reason:
            prompt += f"\n\n(Note: the answer before could not be used: {reason}.)"
        if step.pattern is not None:
            made = await self._asked(step, step.pattern, prompt, values, attempt)
            if made.limit and step.extraction == "json":
                raise Unusable(f"it was cut off {made.limit}")
            return made
        constraint = step.constraint(_options(step, values))
        most = self._most(step) or step.max_tokens
        how = Writing(
            max_tokens=most,
            temperature=step.temperature,
            seed=step.seed + attempt,
            constraint=constraint,
            model=step.model or self._model,
        )
        async with self._places:
            written = await self._run.write(self._turns(step, prompt, values), how)
        _must_be_done(step, written.finish_reason)
        limit = f"after {most} tokens" if written.finish_reason == "length" else ""
        if limit and (constraint is not None or step.extraction == "json"):
            raise Unusable(f"it was cut off {limit}")
        return Made(written.text, limit)

    def _most(self, step: Step) -> int:
        """Tokens that the user allows the step, 0 for its own limit."""
        return self._run.task.max_tokens if step.name == self._seen else 0

    def _turns(self, step: Step, prompt: str, values: Mapping[str, Value]) -> tuple[Message, ...]:
        """All that is seen: the agent's instructions, then the step's, and its prompt."""
        own = with_system([Message(role="user", content=prompt)], filled(step.system, values))
        return with_system(own, self._system)

    async def _asked(
        self, step: Step, pattern: Pattern, prompt: str, values: Mapping[str, Value], attempt: int
    ) -> Made:
        """Another pattern, which sees what a model would."""
        asked = self._run.task
        task = Task(
            messages=self._turns(step, prompt, values),
            model=step.model or self._model or asked.model,
            seed=asked.seed + step.seed + attempt,
            max_tokens=self._most(step),
        )
        nested = self._run.nested(pattern, task)
        async with self._places, aclosing(nested.events(show=False)) as events:
            async for event in events:
                self._tell(event)
        end = nested.finished
        _must_be_done(step, end.finish_reason)
        return Made(end.text, "at its limit of tokens" if end.finish_reason == "length" else "")

    async def _computed(self, step: Step, values: Mapping[str, Value]) -> Value:
        """Raises ToolFailed, SandboxUnavailable."""
        if not isinstance(step.code, str):
            try:
                return await self._called(cast(Function, step.code), values)
            except SmidgenError:
                raise
            except Exception as error:
                raise _of_function(step, "code", error) from error
        known = "".join(f"{name} = {values[name]!r}\n" for name in sorted(values.keys() & set(names_read(step.code))))
        done = await self._run.resources.python(known + step.code, step.seconds)
        if not done.ok:
            told = done.error.strip().splitlines()[-1] if done.error.strip() else f"stopped by {done.stopped}"
            raise ToolFailed(f"Step {step.name}: its program failed: {told}", step=step.name)
        try:
            return ast.literal_eval(done.value) if done.value else None
        except (ValueError, SyntaxError):
            hint = "End it with an expression whose value is text, a number, a list or a table."
            raise ToolFailed(
                f"Step {step.name}: its program's value is no data: {done.value[:SHOWN]}", hint=hint
            ) from None

    async def _called(self, function: Function, values: Mapping[str, Value]) -> Value:
        """With the values that its parameters name; what blocks, in a thread of its own. Raises DeadlineExceeded."""
        arguments = {name: values[name] for name in parameters(function)}
        if inspect.iscoroutinefunction(function):
            return await self._run.resources.deadline.wait(lambda: function(**arguments))
        return await self._run.resources.deadline.wait(lambda: asyncio.to_thread(lambda: function(**arguments)))

    async def _accepted(self, step: Step, made: Value, values: Mapping[str, Value]) -> Value:
        """Raises Unusable, NothingFound, NoSuchValue."""
        value = made
        if isinstance(made, str):
            value = extracted(made, step.extraction, find=step.find, key=step.key)
        if step.check is None:
            if isinstance(value, str) and not value:
                raise Unusable("it is empty")
            return value
        if isinstance(step.check, Check):
            problem: Any = step.check.problem(value, values)
        else:
            try:
                problem = step.check(value, values)
            except Exception as error:
                raise _of_function(step, "check", error) from error
        if problem is False or (isinstance(problem, str) and problem):
            raise Unusable(problem or "the check refused it")
        return value

    async def _otherwise(self, step: Step, values: Mapping[str, Value], reason: str) -> Value:
        pattern = cast(Pattern, step.otherwise) if is_pattern(step.otherwise) else None
        following = pattern.name if pattern else "otherwise"
        self._tell(FellBack(from_strategy=step.name, to_strategy=following, reason=reason))
        self._run.warn(f"Step {step.name} failed ({reason}), so {following} is used instead.")
        if pattern is None:
            return step.otherwise
        try:
            prompt = filled(step.prompt or "{request}", values, fenced=False)
            made = await self._asked(step, pattern, prompt, values, step.retries + 1)
        except NoSuchValue as error:
            raise _failed(step, str(error), "") from error
        self._taken(step, made, by_model=True)
        return made.value


def system_of(task: Task) -> str:
    """What an agent is told before everything else, "" for nothing."""
    first = task.messages[0]
    return first.content if first.role == "system" else ""


def _options(step: Step, values: Mapping[str, Value]) -> tuple[str, ...]:
    """Texts that `one_of` allows. Raises Unusable for an earlier list without any."""
    if not isinstance(step.one_of, str):
        return step.one_of
    if not step.one_of:
        return ()
    found: Any = at(values, step.one_of)
    texts = [as_text(one).strip() for one in cast("list[Value]", found)] if isinstance(found, list) else []
    options = tuple(text for text in texts if text)
    if not options:
        raise Unusable(f"{step.one_of} is no list of texts to choose from")
    return options


def _must_be_done(step: Step, how: FinishReason) -> None:
    """Raises DeadlineExceeded, Cancelled."""
    if how in UNFINISHED:
        raise UNFINISHED[how](f"Step {step.name} was not finished: {how}.")


def _failed(step: Step, reason: str, text: str, hint: str = "") -> NoAnswer:
    hint = hint or "Change its prompt, its check or the model, or say what counts `otherwise`."
    return NoAnswer(f"Step {step.name} failed: {reason}.", hint=hint, step=step.name, reason=reason, text=text)


def _of_function(step: Step, what: str, error: Exception) -> ToolFailed:
    told = f"Step {step.name}: its {what} raised {type(error).__name__}: {error}"
    return ToolFailed(told, hint="Correct the function.", step=step.name)


def _placed(step: Step, error: SmidgenError) -> SmidgenError:
    """The same error, with the step in its message."""
    if error.message.startswith(f"Step {step.name}"):
        return error
    info = error.info()
    changed = msgspec.structs.replace(info, message=f"Step {step.name}: {info.message}")
    return changed.to_exception()


def _shown(value: Value) -> str:
    flat = " ".join(as_text(value).split())
    return flat if len(flat) <= SHOWN else f"{flat[: SHOWN - 1]}…"
