"""A program that computes the answer: written by the model, run in the sandbox, weighed by what it uses."""

from __future__ import annotations

import math

from smidgen.messages import Message
from smidgen.patterns.run import Run
from smidgen.patterns.solving.checks import grounded
from smidgen.patterns.solving.examples import EXAMPLES
from smidgen.patterns.solving.vote import Vote, surely
from smidgen.patterns.solving.writing import Drawn, Writer

SYSTEM = "You solve word problems with a short Python function that names every quantity."
BEGUN = "```python\ndef solution():\n"
"""What the answer begins with, so that it is a program."""
MAX_TOKENS = 300
LONGEST_PROBLEM = 120
"""Characters of an error that is told."""


def messages(request: str) -> tuple[Message, ...]:
    """The examples as earlier turns, which all requests share, and the request."""
    turns = [Message(role="system", content=SYSTEM)]
    for example in EXAMPLES:
        turns.append(Message(role="user", content=example.question))
        turns.append(Message(role="assistant", content=f"{BEGUN}{example.code}\n```"))
    return (*turns, Message(role="user", content=request))


async def by_program(run: Run, drawn: Drawn, seconds: float) -> Vote:
    """A try by a program. Raises what the engine raises, and SandboxUnavailable."""
    piece = await Writer(run, drawn).write(messages(run.task.request), BEGUN, ("```", "\n\n"), MAX_TOKENS)
    code = f"def solution():\n{piece.text.rstrip()}"
    factor, problem = grounded(code, run.task.request)
    if not factor:
        return Vote(way="program", text=code, problem=problem)
    value, failed = await _value(run, code, seconds)
    sure = surely(piece.logprobs)
    return Vote(way="program", value=value, weight=factor, sure=sure, text=code, problem=failed or problem)


async def _value(run: Run, code: str, seconds: float) -> tuple[float | None, str]:
    """What the program returns, and why it returns no number."""
    done = await run.resources.python(f"{code}\n\nfloat(solution())", seconds)
    if done.stopped == "time":
        return None, f"it takes longer than {seconds:g} seconds"
    if not done.ok:
        last = done.error.strip().splitlines()[-1:] or [done.stopped]
        return None, last[0][:LONGEST_PROBLEM]
    try:
        value = float(done.value)
    except ValueError:
        return None, "it returns no number"
    return (value, "") if math.isfinite(value) else (None, "it returns no finite number")
