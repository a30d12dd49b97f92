"""Steps in words, whose arithmetic isn't the model's: at each equals sign the result is computed and written for it.

A small model sets up a calculation rightly more often than it does it. It writes up to the sign; what stands before is
computed if it is a calculation of numbers alone, and the model goes on behind the result. Else it goes on by itself.
"""

from __future__ import annotations

import math
import re

from smidgen.errors import ToolFailed
from smidgen.patterns.run import Run
from smidgen.patterns.solving.equation import IN_WORDS, plainly, result
from smidgen.patterns.solving.vote import Vote, surely
from smidgen.patterns.solving.writing import Drawn, Writer
from smidgen.patterns.verified.numerals import numbers_in
from smidgen.tools.builtin.arithmetic import compute

ASKED = "{request}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
"""The words that makers of models recommend for problems in mathematics: https://qwenlm.github.io/blog/qwen2.5-math."""
MAX_TOKENS = 450

_BOX = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_SAID = re.compile(r"\banswer(?:\s+is|\s*:)\s*(.{1,80})", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w.])-?\.\d+")
_MIXED = re.compile(r"(?<![\d.])(\d+)\s*(\\[dt]?frac\s*\{[^{}]*\}\s*\{[^{}]*\})")
_RATIO = re.compile(r"(-?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)(?![\d/])")
_SCALE = re.compile(r"\b(?:hundred|thousand|million|billion|dozen)s?\b", re.IGNORECASE)
_CALCULATION = re.compile(r"[-\d\s.,+*/()^]*\d[-\d\s.,+*/()^]*")


async def in_steps(run: Run, drawn: Drawn) -> Vote:
    """A try in words. Raises what the engine raises."""
    writer = Writer(run, drawn)
    asked = run.task.asking(ASKED.replace("{request}", run.task.request)).messages
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
    if boxes and ((value := _boxed(boxes[-1])) is not None or any(one.isdigit() for one in boxes[-1])):
        return value
    told = _SAID.findall(text)
    if told and (value := _said(told[-1])) is not None:
        return value
    return last_number(text) if whole else None


def last_number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    return _float(found[-1]) if found else None


def _boxed(text: str) -> float | None:
    """A number, with or without its unit, or a calculation, of which it is the result."""
    words = numbers_in(" ".join(IN_WORDS.sub(r" \1 ", text).split()))
    if len(words) == 1 and _SCALE.search(text):
        return float(words[0])
    mixed = _MIXED.sub(r"(\1+\2)", text.replace("{,}", ","))
    plain = plainly(mixed).rpartition("=")[2].strip().rstrip(".")
    if not _CALCULATION.fullmatch(plain):
        return _said(plain)
    try:
        return float(compute(plain).value.number)
    except (ToolFailed, OverflowError):
        return None


def _said(text: str) -> float | None:
    """Of a few words: behind the last equals sign, the only number, else the first one."""
    after = text.rpartition("=")[2]
    text = after if _NUMBER.search(after) else text
    only = numbers_in(text)
    if len(only) == 1:
        return float(only[0])
    ratio = _RATIO.match(plainly(text).strip())
    if ratio and float(ratio[2]):
        return float(ratio[1]) / float(ratio[2])
    found = _NUMBER.findall(text)
    return _float(found[0]) if found else None


def _float(written: str) -> float | None:
    value = float(written.replace(",", ""))
    return value if math.isfinite(value) else None
