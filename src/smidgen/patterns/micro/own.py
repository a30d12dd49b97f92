"""`MicroAgent`: one small task of a user's own: a prompt, what the answer must look like, and a check that runs."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Literal, cast

import msgspec

from smidgen.errors import InvalidRequest, NoAnswer
from smidgen.events import AgentEvent, FellBack, Notice, StepStarted, TextDelta, Verified
from smidgen.messages import Constraint, Message
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.micro.answers import fenced, invalid
from smidgen.patterns.run import Run, Writing, guarded

Said = bool | str | None
Check = Callable[[str, str], Said | Awaitable[Said]] | Callable[[str], Said | Awaitable[Said]]
"""Of an answer, and of the input too if it takes two: what is wrong with it in words, or False; "", None or True if
nothing is. An AssertionError or ValueError is what is wrong, too."""

INPUT = "{input}"


class MicroAgent(msgspec.Struct, frozen=True, kw_only=True):
    """prompt: the request goes in place of `{input}`, or behind it. system: instructions.

    constraint: what the model can write at all. check: a function, or the text of a Python program that is run in the
    sandbox with `answer` and `input`, and what it asserts or raises is what is wrong. input, output: "python" must be
    valid Python; of an answer, a fence around it is taken off. retries: further tries, told what was wrong. otherwise:
    what answers when no try was right, instead of a refusal."""

    name: str
    prompt: str
    system: str = ""
    model: str = ""
    constraint: Constraint | None = None
    check: Check | str | None = None
    input: Literal["text", "python"] = "text"
    output: Literal["text", "python", "json"] = "text"
    retries: int = 2
    max_tokens: int = 256
    temperature: float = 0.0
    otherwise: Pattern | None = None

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        given = task.request
        if self.input == "python" and (wrong := invalid(given)):
            raise InvalidRequest(f"{self.name} wants Python, and this isn't: {wrong}.")
        wrong, reasons = "", list[str]()
        for attempt in range(self.retries + 1):
            yield StepStarted(number=attempt + 1, action=self.name, detail="again" if attempt else "")
            text, finish = await self._written(run, given, attempt, wrong)
            if finish == "deadline":
                resources.deadline.remaining()
            cut = {"length": "it was cut at its length limit", "deadline": "it was cut at its time limit"}.get(finish)
            wrong = cut or await self._wrong(text, given, resources)
            yield Verified(check=self.name, ok=not wrong, reason=wrong)
            if not wrong:
                yield TextDelta(text=text)
                yield run.finished(text, f"{self.name}: {attempt + 1}. try")
                return
            reasons.append(wrong)
        if self.otherwise is None:
            raise NoAnswer(
                f"{self.name} has no answer that is right: {reasons[-1]}.",
                hint=f"It was tried {len(reasons)} times. Try a larger model, or a plainer prompt.",
                tried=reasons,
            )
        yield FellBack(from_strategy=self.name, to_strategy=self.otherwise.name, reason=reasons[-1])
        told = f"{self.name} had no right answer: {reasons[-1]}; {self.otherwise.name} answers instead."
        run.warn(told)
        yield Notice(code="fell_back", message=told)
        nested = run.nested(self.otherwise)
        async with aclosing(nested.events(show=True)) as events:
            async for event in events:
                yield event
        end = nested.finished
        yield run.finished(end.text, f"{self.name}: {end.strategy}", end.finish_reason)

    async def _written(self, run: Run, given: str, attempt: int, wrong: str) -> tuple[str, str]:
        asked = self.prompt.replace(INPUT, given) if INPUT in self.prompt else f"{self.prompt}\n\n{given}"
        if wrong:
            asked += f"\n\nThe last answer was wrong: {wrong}."
        turns = [Message(role="user", content=asked)]
        if self.system:
            turns.insert(0, Message(role="system", content=self.system))
        how = Writing(
            max_tokens=run.task.max_tokens or self.max_tokens,
            temperature=self.temperature if attempt == 0 else max(self.temperature, 0.6),
            seed=attempt,
            constraint=self.constraint,
            model=self.model,
        )
        written = await run.write(turns, how)
        text = written.text if self.output == "text" else fenced(written.text)
        return text.strip("\n") if self.output != "text" else text.strip(), written.finish_reason

    async def _wrong(self, text: str, given: str, resources: Resources) -> str:
        if not text.strip():
            return "it is empty"
        if self.output == "python" and (wrong := invalid(text)):
            return f"it isn't valid Python: {wrong}"
        if self.output == "json":
            try:
                json.loads(text)
            except ValueError as error:
                return f"it isn't valid JSON: {error}"
        if self.check is None:
            return ""
        if isinstance(self.check, str):
            return await _by_program(self.check, text, given, resources)
        return await _by_function(self.check, text, given)


async def _by_function(check: Check, text: str, given: str) -> str:
    takes_input = len(inspect.signature(check).parameters) > 1
    try:
        found: Any = cast("Callable[..., Any]", check)(*((text, given) if takes_input else (text,)))
        said: Any = await found if inspect.isawaitable(found) else found
    except (AssertionError, ValueError) as error:
        return str(error) or f"{getattr(check, '__name__', 'the check')} failed"
    if said is False:
        return f"{getattr(check, '__name__', 'the check')} failed"
    return said if isinstance(said, str) else ""


async def _by_program(check: str, text: str, given: str, resources: Resources) -> str:
    """Raises SandboxUnavailable; InvalidRequest for a check that is itself wrong."""
    executed = await resources.python(f"answer, input = {text!r}, {given!r}\n{check}\n", CHECK_S)
    if executed.stopped:
        return f"the check was stopped: {executed.stopped}"
    if not executed.error:
        return ""
    kind, _, message = re.sub(r"\A(?:line \d+: .*\n)+", "", executed.error).partition(": ")
    if _is_its_own(check, kind, message):
        raise InvalidRequest(
            f"The check can't be run: {kind}: {message}.", hint="It is Python; it has answer and input."
        )
    if kind in ("AssertionError", "ValueError"):
        return message or "the check failed"
    return f"{kind}: {message}" if message else kind or "the check failed"


CHECK_S = 10.0


def _is_its_own(check: str, kind: str, message: str) -> bool:
    """Whether the check can't be run as it is written. One may also run the answer, which then has such mistakes."""
    if kind == "NameError":
        missing = re.search(r"'(\w+)'", message)
        names = {node.id for node in ast.walk(ast.parse(check)) if isinstance(node, ast.Name)}
        return missing is not None and missing[1] in names
    return kind in ("SyntaxError", "IndentationError") and bool(invalid(check))
