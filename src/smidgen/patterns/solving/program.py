"""A program that computes the answer: written by the model, run in the sandbox, weighed by what it uses."""

from __future__ import annotations

import math

from smidgen.patterns.run import Run
from smidgen.patterns.solving.checks import grounded
from smidgen.patterns.solving.vote import Vote, surely
from smidgen.patterns.solving.writing import Drawn, Writer

ASKED = (
    "Solve this problem with a Python function solution() that takes no arguments and returns the answer. Give every"
    " quantity in the problem a variable of its own, and compute in small steps.\n\n"
)
HEAD = "def solution():\n"
STOP = ("```", "\n\n\n", "\ndef", "\n\n#", "\nprint")
"""What comes after the function."""
MAX_TOKENS = 300
LONGEST_PROBLEM = 120
"""Characters of an error that is told."""


def begun(request: str) -> str:
    """What the answer begins with: the function with the problem as its docstring, where a model for code looks for
    what to compute. It is no part of what is run."""
    told = "\n    ".join(request.replace('"', "'").splitlines())
    return f'```python\n{HEAD}    """{told}"""\n'


async def by_program(run: Run, drawn: Drawn, seconds: float) -> Vote:
    """A try by a program. Raises what the engine raises, SandboxUnavailable, DeadlineExceeded."""
    request = run.task.request
    asked = run.task.asking(ASKED + request).messages
    piece = await Writer(run, drawn).write(asked, begun(request), STOP, MAX_TOKENS)
    code = HEAD + piece.text.rstrip()
    factor, problem = grounded(code, request)
    if not factor:
        return Vote(way="program", text=code, problem=problem)
    value, failed = await _value(run, code, seconds)
    sure = surely(piece.logprobs)
    return Vote(way="program", value=value, weight=factor, sure=sure, text=code, problem=failed or problem)


async def _value(run: Run, code: str, seconds: float) -> tuple[float | None, str]:
    """What the program returns, and why it returns no number."""
    deadline = run.resources.deadline
    left = deadline.remaining()
    limit = seconds if left is None else min(seconds, left)
    done = await deadline.wait(lambda: run.resources.python(f"{code}\n\nfloat(solution())", limit))
    if done.stopped == "time":
        deadline.remaining()  # it may be that only time was short
        return None, f"it takes longer than {seconds:g} seconds"
    if not done.ok:
        last = done.error.strip().splitlines()[-1:] or [done.stopped]
        return None, last[0][:LONGEST_PROBLEM]
    try:
        value = float(done.value)
    except ValueError:
        return None, "it returns no number"
    return (value, "") if math.isfinite(value) else (None, "it returns no finite number")
