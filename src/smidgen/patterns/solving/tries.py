"""One try of any way, weighed by what speaks against its number."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from smidgen.patterns.run import Run
from smidgen.patterns.solving.checks import plausible
from smidgen.patterns.solving.program import by_program
from smidgen.patterns.solving.steps import in_steps, last_number
from smidgen.patterns.solving.vote import Vote, surely
from smidgen.patterns.solving.writing import Drawn, Writer

Way = Literal["program", "steps", "direct"]

DIRECTLY = "Answer with the number only."
MAX_TOKENS = 24
DIGITS = 10
"""Of a number that is said, so that 0.1 + 0.2 is 0.3."""


async def tried(run: Run, way: Way, drawn: Drawn, seconds: float) -> Vote:
    """seconds: for one program. Raises what the engine raises, and for programs SandboxUnavailable."""
    if way == "program":
        vote = await by_program(run, drawn, seconds)
    elif way == "steps":
        vote = await in_steps(run, drawn)
    else:
        vote = await _directly(run, drawn)
    if vote.value is None:
        return vote
    factor, problem = plausible(vote.value, run.task.request)
    told = "; ".join(part for part in (vote.problem, problem) if part)
    return msgspec.structs.replace(vote, weight=vote.weight * factor, problem=told)


async def _directly(run: Run, drawn: Drawn) -> Vote:
    asked = run.task.asking(f"{run.task.request}\n\n{DIRECTLY}").messages
    piece = await Writer(run, drawn).write(asked, "", (), MAX_TOKENS)
    value = last_number(piece.text)
    problem = "" if value is not None else "it says no number"
    return Vote(way="direct", value=value, sure=surely(piece.logprobs), text=piece.text, problem=problem)


def number_said(value: float) -> int | float:
    """int where it is one, without what floats leave behind."""
    if value.is_integer() and abs(value) < 2**53:
        return int(value)
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded


def said(value: float) -> str:
    """In digits, as an answer."""
    number = number_said(value)
    return str(number) if isinstance(number, int) else f"{Decimal(repr(number)):f}"
