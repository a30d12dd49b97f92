"""Results by category: accuracy with its interval, median seconds, tokens. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from smidgen.eval.intervals import wilson
from smidgen.eval.record import Record, RunKey

ALL = "all"
"""The row over all items of all categories."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """accuracy, low, high: shares of 1. seconds: median per item. prompt_tokens, completion_tokens: mean per item.
    errors: items that ended in a typed error. tuning: items that may be looked at while tuning."""

    category: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    seconds: float
    prompt_tokens: float
    completion_tokens: float
    errors: int = 0
    tuning: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One solver's results, to be shown beside others. `key` is None for figures that come from elsewhere."""

    label: str
    rows: tuple[Row, ...]
    key: RunKey | None = None


def row(category: str, records: Sequence[Record]) -> Row:
    n = len(records)
    correct = sum(record.correct for record in records)
    low, high = wilson(correct, n)
    return Row(
        category=category,
        n=n,
        correct=correct,
        accuracy=correct / n if n else 0.0,
        low=low,
        high=high,
        seconds=statistics.median(record.seconds for record in records) if n else 0.0,
        prompt_tokens=sum(record.prompt_tokens for record in records) / n if n else 0.0,
        completion_tokens=sum(record.completion_tokens for record in records) / n if n else 0.0,
        errors=sum(bool(record.error) for record in records),
        tuning=sum(record.tuning for record in records),
    )


def rows(by_category: Mapping[str, Sequence[Record]]) -> tuple[Row, ...]:
    """A row per category that has items; a last one over all if there are several."""
    found = [row(category, records) for category, records in by_category.items() if records]
    if len(found) > 1:
        found.append(row(ALL, [record for records in by_category.values() for record in records]))
    return tuple(found)


def failures(by_category: Mapping[str, Sequence[Record]]) -> list[Record]:
    return [record for records in by_category.values() for record in records if not record.correct]


def read_runs(content: bytes) -> tuple[Run, ...]:
    """The runs in a file that `--json` wrote, or that a person wrote with published figures: of a row only `category`
    and `accuracy` are needed. Raises msgspec.DecodeError, msgspec.ValidationError."""
    document = msgspec.json.decode(content, type=_Document)
    return tuple(
        Run(label=run.label, rows=tuple(_completed(entry) for entry in run.rows), key=run.key) for run in document.runs
    )


class _GivenRow(msgspec.Struct):
    category: str
    accuracy: float
    n: int = 0
    low: float | None = None
    high: float | None = None
    correct: int | None = None
    seconds: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    errors: int = 0
    tuning: int = 0


class _GivenRun(msgspec.Struct):
    label: str
    rows: list[_GivenRow]
    key: RunKey | None = None


class _Document(msgspec.Struct):
    runs: list[_GivenRun]


def _completed(given: _GivenRow) -> Row:
    """Without an interval of its own, the point itself."""
    fields: dict[str, Any] = {name: getattr(given, name) for name in given.__struct_fields__}
    fields["low"] = given.accuracy if given.low is None else given.low
    fields["high"] = given.accuracy if given.high is None else given.high
    fields["correct"] = round(given.accuracy * given.n) if given.correct is None else given.correct
    return Row(**fields)
