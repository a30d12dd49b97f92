"""Items through a solver, one after the other, so that the time of each is its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from smidgen.errors import DeadlineExceeded, InvalidRequest
from smidgen.eval import Checker, Item, Outcome, Request, Solver
from smidgen.eval.record import Record, ResultFile, plain

Progress = Callable[[Record, bool], None]
"""Told of each record, and whether it was there already."""


async def measure(
    items: Sequence[Item], solver: Solver, check: Checker, file: ResultFile, told: Progress
) -> list[Record]:
    """A record per item, in their order: from the file, or made now and appended to it. Raises the typed errors that
    aren't an item's own: a dead engine ends the run, and what was measured is kept."""
    records: list[Record] = []
    for item in items:
        known = file.records.get(item.id)
        record = known or await _record(item, solver, check)
        if known is None:
            file.append(record)
        told(record, known is not None)
        records.append(record)
    return records


async def _record(item: Item, solver: Solver, check: Checker) -> Record:
    started = time.perf_counter()
    error = ""
    try:
        outcome = await solver.solve(item)
    except (InvalidRequest, DeadlineExceeded) as refused:
        error = f"{refused.code}: {refused.message}"
        outcome = Outcome(seconds=time.perf_counter() - started)
    verdict = await check(item, outcome)
    return Record(
        id=item.id,
        category=item.category,
        correct=verdict.correct and not error,
        reason=error or verdict.reason,
        error=error,
        calls=outcome.calls,
        text=outcome.text,
        prompt_tokens=outcome.prompt_tokens,
        completion_tokens=outcome.completion_tokens,
        seconds=outcome.seconds,
        tuning=item.tuning,
        request=as_text(item.request),
        expected=item.expected,
        notes=plain(outcome.notes),
    )


def as_text(request: Request) -> str:
    if isinstance(request, str):
        return request
    return "\n".join(f"[{turn.role}] {turn.content}" for turn in request)
