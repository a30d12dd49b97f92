"""`Completer`: what is missing at a place in a file, filled in by a model that was trained for it if it was."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncGenerator, Sequence

import msgspec

from smidgen.agent import AgentModel
from smidgen.agent.infill import Around, fitted, prompt
from smidgen.errors import InvalidRequest, NoAnswer
from smidgen.events import AgentEvent, Notice, StepStarted, TextDelta, Verified
from smidgen.messages import GenerateRequest, Prompt, SamplingChange, Segment
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro.answers import invalid, lines_of
from smidgen.patterns.run import Run, guarded

GAP = "<GAP>"
"""Marks the place in a request, unless it is given otherwise."""


class Completer(msgspec.Struct, frozen=True, kw_only=True):
    """The task's request is a file's text; the answer is what to put in at the place, and nothing else.

    line, column: the place, from 1, a line's end for column 0; line 0 means where `<GAP>` stands. file: its name, for
    its language. lines: of what is put in, at most. tries: with the text put in, a Python file must be valid."""

    name: str = "complete"
    model: str = ""
    file: str = "module.py"
    line: int = 0
    column: int = 0
    lines: int = 12
    tries: int = 4
    max_tokens: int = 160

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        at = place_in(task.request, self.line, self.column)
        before, after = task.request[:at], task.request[at:].removeprefix("" if self.line else GAP)
        asking = run.asking(self.model)
        for notice in await asking.load():
            yield notice
        asked, fills, cut = await _prompt(asking.model, before, after, self.file, self.max_tokens)
        for told in cut:
            run.warn(told)
            yield Notice(code="context_cut", message=told)
        way = "filled in" if fills else "continued"
        yield StepStarted(number=1, action="complete", detail=f"{way} at line {before.count(chr(10)) + 1}")
        wrong = ""
        for attempt in range(self.tries):
            written = await self._written(run, asked, attempt)
            text, wrong = fitting(written, before, after, python=self.file.endswith((".py", ".pyi")), lines=self.lines)
            yield Verified(check="the file with it", ok=not wrong, reason=wrong)
            if not wrong:
                yield TextDelta(text=text)
                yield run.finished(text, f"{self.name}: {way}, {attempt + 1}. try")
                return
        raise NoAnswer(
            f"Nothing that was written fits there: {wrong}.",
            hint=f"Tried: the likeliest text and {self.tries - 1} others, each also without its last lines.",
        )

    async def _written(self, run: Run, asked: Prompt, attempt: int) -> str:
        asking = run.asking(self.model)
        await asking.load()
        change = SamplingChange(
            temperature=0.0 if attempt == 0 else 0.6, seed=run.task.seed + attempt, repeat_penalty=1.0
        )
        request = GenerateRequest(
            prompt=asked,
            sampling=change.applied(asking.model.profile.sampling),
            max_tokens=self.max_tokens,
            stop=(*asking.model.profile.stop, "\n\n\n"),
            timeout_s=asking.deadline.remaining(),
        )
        return (await asking.generated(request)).text


def place_in(text: str, line: int, column: int) -> int:
    """The character that a place is before. Raises InvalidRequest for one that the text doesn't have."""
    if not line:
        at = text.find(GAP)
        if at < 0:
            raise InvalidRequest("It isn't said where to complete.", hint=f"Give a line, or put {GAP} there.")
        return at
    lines = lines_of(text) or [""]
    if text.endswith("\n") or not text:
        lines = [*lines, ""] if text else lines
    if not 1 <= line <= len(lines):
        raise InvalidRequest(f"There is no line {line}: the file has {len(lines)}.")
    length = len(lines[line - 1].rstrip("\r\n"))
    if column > length + 1:
        raise InvalidRequest(f"There is no column {column} in line {line}: it has {length} characters.")
    return sum(map(len, lines[: line - 1])) + (column - 1 if column else length)


async def _prompt(
    model: AgentModel, before: str, after: str, file: str, room: int
) -> tuple[Prompt, bool, Sequence[str]]:
    """What the model reads, whether it sees the text after the gap, and what was cut."""
    engine = model.engine

    async def tokenize(text: str) -> Sequence[int]:
        return await engine.tokenize((Segment(text, special=False),)) if text else ()

    around = Around(before=before, after=after, file=file)
    left = engine.context - room - 16
    if model.fim is not None:
        view = await fitted(around, model.fim, tokenize, left)
        return prompt(view.around, model.fim), True, view.cut
    from smidgen.agent.infill import ending

    kept = await ending(before, left, tokenize)
    cut = [f"{model.name} can't fill in: it saw only what stands before the place."]
    if len(kept) < len(before):
        cut.append("The text before the place was cut at its beginning.")
    return (Segment(kept or "\n", special=False),), False, cut


def fitting(written: str, before: str, after: str, *, python: bool, lines: int) -> tuple[str, str]:
    """What of it to put in, and what is wrong if that is nothing. Lines are taken off its end until the file is valid,
    if it is Python; what already follows isn't written twice."""
    text = _within_block(_without_repeated(written, after), before)
    kept = text.split("\n")[:lines]
    text = "\n".join(kept)
    if not text.strip():
        return "", "nothing was written"
    if not python:
        return text, ""
    first = ""
    while kept:
        text = "\n".join(kept)
        if not text.strip():
            break
        wrong = invalid(before + text + after)
        if not wrong:
            return text, ""
        first = first or wrong
        kept.pop()
    return "", f"the file isn't valid Python with it: {first}"


def _within_block(written: str, before: str) -> str:
    """Up to the first line that stands further left than the one that is completed."""
    line = before[before.rfind("\n") + 1 :]
    depth = len(line) - len(line.lstrip()) if line.strip() else len(line)
    first, *rest = written.split("\n")
    kept = itertools.takewhile(lambda one: not one.strip() or len(one) - len(one.lstrip()) >= depth, rest)
    return "\n".join([first, *kept])


def _without_repeated(written: str, after: str) -> str:
    """Up to where it goes on with the text that follows anyway: a line of some length of it."""
    following = next((line.strip() for line in after.splitlines() if len(line.strip()) >= 8), "")
    lines = written.split("\n")
    for number, line in enumerate(lines):
        if following and line.strip() == following and (number or not after.startswith("\n")):
            lines = lines[:number]
            break
    text = "\n".join(lines)
    rest = after.partition("\n")[0].rstrip()
    if rest.strip() and text.rstrip().endswith(rest) and "\n" not in text:
        text = text.rstrip().removesuffix(rest)
    return re.sub(r"\s+\Z", "", text) if after.startswith("\n") or not after else text
