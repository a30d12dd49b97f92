"""The confidence to ask for, from answers that are known to be right or wrong. Pure."""

from __future__ import annotations

from collections.abc import Sequence

NEVER = 1.01
"""Above every confidence: nothing is accepted."""


def sure_for(confidences: Sequence[float], right: Sequence[bool], precision: float = 0.9) -> float:
    """The least confidence at and above which at least this share of the answers was right, so that as many as possible
    are accepted; NEVER if there is none. Take it from other requests than those you judge it by."""
    ordered = sorted(zip(confidences, right, strict=True), reverse=True)
    found, count, good = NEVER, 0, 0
    for number, (confidence, is_right) in enumerate(ordered):
        count, good = count + 1, good + is_right
        tied = number + 1 < len(ordered) and ordered[number + 1][0] == confidence
        if not tied and good >= precision * count:
            found = confidence
    return found


__all__ = ["NEVER", "sure_for"]
