"""`DocWriter`: docstrings for functions without. Their parts come from the code, only descriptions from a model."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncGenerator

import msgspec

from smidgen.errors import InvalidRequest, NoAnswer
from smidgen.events import AgentEvent, FellBack, StepStarted, TextDelta, Verified
from smidgen.messages import Constraint, Segment
from smidgen.patterns import Resources, Task
from smidgen.patterns.micro.answers import parsed, python_in
from smidgen.patterns.micro.docstrings import Wanted, problem_of, same_code, text_of, undocumented, with_docstrings
from smidgen.patterns.run import Run, Writing, guarded

TOKENS = 60
"""Of a description at most; a docstring has one and one for each part."""


class DocWriter(msgspec.Struct, frozen=True, kw_only=True):
    """The task's request is Python text; the answer is the same with docstrings in Google's style. Those that are there
    stay. function: only that one, a method as Class.method. tries: for each function."""

    name: str = "document"
    model: str = ""
    function: str = ""
    tries: int = 3

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        run = Run(task, resources)
        source = python_in(task.request)
        parsed(source)
        missing = undocumented(source, self.function)
        if not missing:
            named = f" {self.function}" if self.function else ""
            raise InvalidRequest(
                f"There is no function{named} to document.",
                hint="Docstrings that are there stay, and a function on one line has no place for one.",
            )
        texts: list[tuple[Wanted, str]] = []
        refused: list[str] = []
        for number, wanted in enumerate(missing, start=1):
            yield StepStarted(number=number, action="document", detail=wanted.place)
            text, problem = "", ""
            for attempt in range(self.tries):
                text = await self._written(run, wanted, attempt, problem)
                problem = problem_of(text, wanted)
                yield Verified(check=f"docstring of {wanted.place}", ok=not problem, reason=problem)
                if not problem:
                    texts.append((wanted, text))
                    break
            else:
                refused.append(f"{wanted.place}: {problem}")
                yield FellBack(from_strategy="docstring", to_strategy="none", reason=refused[-1])
                run.warn(f"No docstring for {refused[-1]}, after {self.tries} tries.")
        if not texts:
            raise NoAnswer(
                f"No docstring was right: {'; '.join(refused)}.",
                hint=f"Tried {self.tries} times each. Try a larger model.",
                tried=refused,
            )
        after = with_docstrings(source, texts)
        same = same_code(source, after)
        yield Verified(check="the rest of the code is unchanged", ok=same)
        if not same:
            raise NoAnswer("The docstrings can't be put in without changing the code.", hint="Is its layout unusual?")
        yield TextDelta(text=after)
        yield run.finished(after, f"{self.name}: {len(texts)} of {len(missing)} functions")

    async def _written(self, run: Run, wanted: Wanted, attempt: int, problem: str) -> str:
        source = textwrap.dedent(wanted.source)
        how = Writing(
            max_tokens=TOKENS * (1 + sum(len(names) for _, names in wanted.sections)),
            temperature=0.0 if attempt == 0 else 0.6,
            seed=attempt,
            constraint=Constraint(kind="regex", source=wanted.grammar),
            model=self.model,
            raw=(Segment(begun(source, wanted, problem), special=False),),
        )
        return text_of((await run.write("", how)).text)


def begun(source: str, wanted: Wanted, problem: str) -> str:
    """A file in which the function stands twice, and the second time its docstring has just been opened."""
    header = "\n".join(source.splitlines()[: wanted.header])
    remark = f"# Not so: {problem}.\n" if problem else ""
    return f'{source}\n\n\n# The same with a docstring in Google\'s style, short and exact:\n{remark}{header}\n    """'
