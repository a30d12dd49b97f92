"""Steps in words, whose arithmetic isn't the model's: at each equals sign the result is computed and written for it.

A small model sets up a calculation rightly more often than it does it. It writes up to the sign; what stands before is
computed if it is a calculation of numbers alone, and the model goes on behind the result. Else it goes on by itself.
"""

from __future__ import annotations

import math
import re

from smidgen.messages import Message
from smidgen.patterns.run import Run
from smidgen.patterns.solving.equation import plainly, result
from smidgen.patterns.solving.vote import Vote, surely
from smidgen.patterns.solving.writing import Drawn, Writer

ASKED = "{request}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""The words that makers of models recommend for problems in mathematics: https://qwenlm.github.io/blog/qwen2.5-math."""
MAX_TOKENS = 450

_BOX = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_SAID = re.compile(r"\banswer(?:\s+is|\s*:)\s*(.{1,80})", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w.])-?\.\d+")
_RATIO = re.compile(r"\(?\(?(\d+(?:\.\d+)?)\)?\s*/\s*\(?(\d+(?:\.\d+)?)\)?\)?")


async def in_steps(run: Run, drawn: Drawn) -> Vote:
    """A try in words. Raises what the engine raises."""
    writer = Writer(run, drawn)
    asked = (Message(role="user", content=ASKED.replace("{request}", run.task.request)),)
    text, left, logprobs = "", MAX_TOKENS, list[float]()
    while True:
        piece = await writer.write(asked, text, ("=",), left)
        text += piece.text
        left -= max(1, piece.tokens)
        logprobs += piece.logprobs
        if not piece.stop or left <= 0:
            return _vote(text, surely(logprobs), whole=piece.whole and not piece.stop)
        computed = result(text)
        text += "=" + (" " * text.endswith(" ") + computed if computed else "")


def _vote(text: str, sure: float, *, whole: bool) -> Vote:
    value = answer_in(text, whole=whole)
    problem = "" if value is not None else "it comes to no number" if whole else "it was cut before its end"
    return Vote(way="steps", value=value, sure=sure, text=text, problem=problem)


def answer_in(text: str, *, whole: bool = True) -> float | None:
    """The number that steps lead to: in the last box, else said to be the answer, else the last one. whole: False for a
    text that was cut, whose last number is none."""
    boxes = _BOX.findall(text)
    if boxes and (value := _number_of(boxes[-1])) is not None:
        return value
    told = _SAID.findall(text)
    if told and (value := _number_of(told[-1])) is not None:
        return value
    return last_number(text) if whole else None


def last_number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    return _float(found[-1]) if found else None


def _number_of(text: str) -> float | None:
    """The first number of a short text, or a ratio of two that is all of it."""
    plain = plainly(text).strip().rstrip(".")
    ratio = _RATIO.fullmatch(plain)
    if ratio and float(ratio[2]):
        return float(ratio[1]) / float(ratio[2])
    found = _NUMBER.findall(plain)
    return _float(found[0]) if found else None


def _float(written: str) -> float | None:
    value = float(written.replace(",", ""))
    return value if math.isfinite(value) else None
