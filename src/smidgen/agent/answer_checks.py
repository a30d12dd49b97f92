"""Checks of answers by code: against the results they rest on, and against endless repetition."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.agent.numbers import written
from smidgen.agent.state import Attempt
from smidgen.tools.words import stems


def missing_from_answer(answer: str, attempt: Attempt) -> str:
    """A tool's result that the answer should hold but doesn't: a short result's every number, unless it is material to
    answer from. "" if all is well."""
    if attempt.material or len(attempt.text) > 200:
        return ""
    result = attempt.text.rsplit("=", 1)[-1]
    return attempt.text if set(written(result)) - set(written(answer)) else ""


COUNTED = 20


def unfounded_number(answer: str, attempts: Sequence[Attempt], request: str) -> str:
    """A number in an answer that rests on material alone, and stands neither there nor in the request; "" if there is
    none. Small whole numbers may be counts, or the numbers of a list."""
    if not attempts or not all(attempt.material for attempt in attempts):
        return ""
    known = {reading for attempt in attempts for reading in written(attempt.text)} | set(written(request))
    for number in written(answer):
        is_count = number == number.to_integral_value() and abs(number) <= COUNTED
        if number not in known and not is_count:
            return f"{number:f}"
    return ""


def resting_on(answer: str, quotes: Sequence[str], request: str) -> str:
    """Of lines with their places the one that an answer rests on: that says most of what the answer does beside the
    request's own words, and then most of those; "" where none says anything of it."""
    asked, said = stems(request), stems(answer)
    numbers = set(written(answer))

    def weight(quote: str) -> tuple[int, int]:
        line = quote.split(": ", 1)[-1]
        held = stems(line)
        return len(held & (said - asked)) + len(set(written(line)) & numbers), len(held & asked)

    best = max(quotes, key=weight, default="")
    return best if best and weight(best)[0] else ""


def is_looping(text: str) -> bool:
    """Does the text end in the same piece again and again? Pieces of up to 200 characters, at least 4 times and 80
    characters in all, or a single line 6 times."""
    tail = text[-1600:]
    for size in range(1, 201):
        times = max(4, -(-80 // size))
        if len(tail) < size * times:
            continue
        piece = tail[-size:]
        if tail.endswith(piece * times) and not (size < 4 and piece.strip(" -=_*#.|~\n") == ""):
            return True
    return False
