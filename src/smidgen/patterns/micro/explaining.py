"""`ErrorExplainer`: what went wrong and where, read from a log by code; what it means, by a model or by rule."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from keyword import iskeyword

import msgspec

from smidgen.errors import InvalidRequest
from smidgen.events import AgentEvent, FellBack, StepStarted, TextDelta, Verified
from smidgen.messages import Constraint, Segment
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro.meanings import MEANINGS, claims_of, meaning_of
from smidgen.patterns.micro.problems import Problem, problem_in
from smidgen.patterns.run import Run, Writing, guarded

LONGEST = 160
"""Characters of a sentence, about. One that goes on beyond was cut by the grammar."""
_SENTENCE = rf"""[A-Z`](?:[^\n.]|\.[a-z0-9_]){{15,{LONGEST}}}\."""
_ANSWER = rf"{_SENTENCE}\nTry: {_SENTENCE}"
_ERROR_NAME = re.compile(r"\b\w*[a-z]\w*(?:Error|Exception)\b|\bE\d{4}\b")
_FILE = re.compile(r"[\w./\\-]+\.(?:py|c|cc|cpp|h|hpp|rs|js|mjs|ts|tsx|go|java|rb|json|toml|txt|ya?ml)\b")
_LINE = re.compile(r"\bline (\d+)", re.IGNORECASE)
_QUOTED = re.compile(r"['\"`‘]([^'\"`’]{1,60})['\"`’]")
_SAYS = re.compile(r"(?<!\w)(['\"`])([^'\"`\s](?:[^'\"`\n]{0,58}[^'\"`\s])?)\1(?!\w)")
_CALL = re.compile(r"`([^`]+)`|\b(\w+)\(\)")


class ErrorExplainer(msgspec.Struct, frozen=True, kw_only=True):
    """The task's request is a log. What an error means is told by rule if it is a common one, and a model's sentence
    says how it came here; else the model says both. tries: of the model, before it is done without."""

    name: str = "explain-error"
    model: str = ""
    tries: int = 2

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        problem = problem_in(task.request)
        if problem is None:
            raise InvalidRequest(
                "The text tells of no error that is known.",
                hint="Known are Python, pytest, gcc and clang, rustc and node, and lines like `error: …`.",
            )
        yield StepStarted(number=1, action="read", detail=f"{problem.tool}: {problem.told}")
        said, wrong = "", ""
        for attempt in range(self.tries):
            text = await self._written(run, problem, attempt)
            wrong = wrong_with(text, problem, task.request)
            yield Verified(check="explanation", ok=not wrong, reason=wrong)
            if not wrong:
                said = text
                break
        if not said:
            yield FellBack(from_strategy="model", to_strategy="rule", reason=wrong or "the model wasn't asked")
        text = report(problem, said)
        yield TextDelta(text=text)
        by = ["rule"] * (problem.error in MEANINGS or not said) + ["model"] * bool(said)
        yield run.finished(text, f"{self.name}: {problem.tool}, {' and '.join(by)}")

    async def _written(self, run: Run, problem: Problem, attempt: int) -> str:
        how = Writing(
            max_tokens=120,
            temperature=0.0 if attempt == 0 else 0.6,
            seed=attempt,
            constraint=Constraint(kind="regex", source=f" {_shape(problem)}"),
            model=self.model,
            raw=(Segment(f"{SHOWN}{told_to_model(problem)}\nWhy:", special=False),),
        )
        return (await run.write("", how)).text.strip()


def _shape(problem: Problem) -> str:
    return _SENTENCE if problem.error in MEANINGS else _ANSWER


SHOWN = """Errors, why they happened, and what to try.

NameError: name 'totl' is not defined
at report.py:8 in show: `print(totl)`
Why: Nothing was ever assigned to `totl` before `print` used it.
Try: Correct the spelling, or assign it before that line.

error: expected ';' before 'return'
at main.c:21: `return count`
Why: The statement before `return` doesn't end with a ';'.
Try: Put the ';' at the end of the line before.

"""
"""A small model goes on in the manner that it is shown."""


def told_to_model(problem: Problem) -> str:
    """The little that it needs: the error, the line, and how it came there."""
    said = f"{problem.error}: {problem.message}" if problem.message else problem.error
    lines = [said[:600]]
    if problem.error in MEANINGS:
        lines[0] += f" ({meaning_of(problem.error)[0]})"
    if problem.before:
        lines.append(f"after {problem.before[:200]}")
    if problem.place:
        lines.append(f"at {problem.place.told}" + (f": `{problem.place.code}`" if problem.place.code else ""))
    callers = [frame for frame in problem.frames[-3:-1] if frame.code and frame.code != problem.frames[-1].code]
    lines += [f"called from {frame.told}: `{frame.code}`" for frame in reversed(callers)]
    return "\n".join(lines)


def wrong_with(text: str, problem: Problem, log: str) -> str:
    """What is wrong with an explanation, "" if nothing that code can see is."""
    if not re.fullmatch(_shape(problem), text):
        return "it isn't a sentence" + ("" if problem.error in MEANINGS else " with another after `Try:`")
    if any(len(line) > LONGEST for line in text.removeprefix("Try: ").splitlines()):
        return "a sentence was cut"
    why = text.partition("\nTry: ")[0]
    named = _QUOTED.findall(problem.message)
    code = problem.place.code if problem.place else ""
    told = re.findall(r"[A-Za-z_]\w{3,}", f"{'' if named else problem.message} {code}")
    words = [*named, *(word for word in told if not iskeyword(word))] or [problem.error]
    if not any(word.lower() in why.lower() for word in words):
        return f"it says nothing of {' or '.join(words[:3])}"
    if problem.tool in ("Python", "pytest", "node") and (claim := claims_of(why, problem.error, problem.message)):
        return f"it says {claim}, which is another error"
    for name in _ERROR_NAME.findall(text):
        if name not in log:
            return f"it names {name}, which the log doesn't"
    for name in _FILE.findall(text):
        if name not in log:
            return f"it names the file {name}, which the log doesn't"
    for _, quoted in _SAYS.findall(why):
        if not any(part in log for part in re.findall(r"\w{2,}", quoted) or [quoted]):
            return f"it quotes {quoted}, which the log doesn't"
    lines = {str(frame.line) for frame in problem.frames}
    for line in _LINE.findall(text):
        if line not in lines:
            return f"it names line {line}, where nothing of this error is"
    for quoted, called in _CALL.findall(text):
        name = called or quoted
        words = re.findall(r"[A-Za-z_]\w{2,}", name)
        # What it says to try may be new; what it says there is may not.
        is_new = "Try:" in text[: text.find(name)]
        if words and not is_new and not any(word in log for word in words):
            return f"it names {name}, which the log doesn't"
    return ""


def report(problem: Problem, said: str) -> str:
    """What is known for sure first."""
    head = f"{problem.error}: {problem.message}" if problem.message else problem.error
    lines = [head]
    if problem.place:
        lines.append(f"Where: {problem.place.told}" + (f": {problem.place.code}" if problem.place.code else ""))
    if len(problem.frames) > 1:
        lines.append("By way of: " + ", ".join(frame.told for frame in problem.frames[-4:-1]))
    why, attempt = meaning_of(problem.error)
    if said and problem.error in MEANINGS:
        why += f"\nHere: {said}"
    elif said:
        why, _, attempt = said.partition("\nTry: ")
    lines += [f"Why: {why}", f"Try: {attempt}"]
    if problem.more:
        lines.append(f"The log tells of {problem.more} more; this one comes first.")
    return "\n".join(lines) + "\n"
