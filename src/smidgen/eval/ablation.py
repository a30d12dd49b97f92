"""What each step of a solver is worth: everything on, then each step off, on the same items. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import msgspec

from smidgen.eval.intervals import Paired, paired
from smidgen.eval.record import Record
from smidgen.eval.summary import ALL

ByCategory = Mapping[str, Sequence[Record]]


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What is lost when `step` is off. accuracy: full minus without. tokens, prompt_tokens, seconds: mean completion
    and prompt tokens and median time of full minus without, so that what a step costs is above zero."""

    step: str
    category: str
    full: float
    without: float
    accuracy: Paired
    prompt_tokens: float
    completion_tokens: float
    seconds: float


def worth(step: str, full: ByCategory, without: ByCategory) -> list[Worth]:
    """One per category, and a last one over all if there are several. Items that only one side has are left out."""
    pairs = {category: _pairs(records, without.get(category, ())) for category, records in full.items()}
    found = [_worth(step, category, both) for category, both in pairs.items() if both]
    if len(found) > 1:
        found.append(_worth(step, ALL, [pair for both in pairs.values() for pair in both]))
    return found


def _pairs(full: Sequence[Record], without: Sequence[Record]) -> list[tuple[Record, Record]]:
    others = {record.id: record for record in without}
    return [(record, others[record.id]) for record in full if record.id in others]


def _worth(step: str, category: str, pairs: Sequence[tuple[Record, Record]]) -> Worth:
    n = len(pairs)
    gained = sum(with_it.correct and not without.correct for with_it, without in pairs)
    lost = sum(without.correct and not with_it.correct for with_it, without in pairs)

    def mean(of: str) -> float:
        return sum(getattr(a, of) - getattr(b, of) for a, b in pairs) / n

    return Worth(
        step=step,
        category=category,
        full=sum(with_it.correct for with_it, _ in pairs) / n,
        without=sum(without.correct for _, without in pairs) / n,
        accuracy=paired(gained, lost, n),
        prompt_tokens=mean("prompt_tokens"),
        completion_tokens=mean("completion_tokens"),
        seconds=statistics.median(a.seconds for a, _ in pairs) - statistics.median(b.seconds for _, b in pairs),
    )
