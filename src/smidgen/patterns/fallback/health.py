"""What is known of a way from the runs before: how long it usually takes, and whether it has to rest."""

from __future__ import annotations

import time
from collections.abc import Callable

from smidgen.patterns.fallback.failures import Kind

NEWEST = 0.3
"""Weight of the newest duration in the average."""
CLEARLY = 1.1
"""So many times as much as is left must a way usually take to be skipped: one that was cut at a limit once is given the
same again."""
FORGET = 0.9
"""Each time that a way is skipped for want of time its average shrinks by this, so that it is tried again some day."""


class Health:
    """rest_after: failures in a row, by the way's own fault, after which it rests for `rest_s` seconds; 0 for never.
    Then one request tries it: it works again, or it rests again. For one event loop."""

    def __init__(self, rest_after: int, rest_s: float) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.usual_s: float | None = None
        self.last_kind: Kind = "system"
        self._rest_after, self._rest_s = rest_after, rest_s
        self._in_a_row = 0
        self._rests_until: float | None = None
        self._trial = False

    def resting_s(self) -> float:
        """Seconds until it is tried again, 0 if it may be now. While one request tries whether it works again, the
        others find it resting."""
        if self._rests_until is None:
            return 0.0
        left = self._rests_until - self.clock()
        return max(left, 0.1) if left > 0 or self._trial else 0.0

    def begin(self) -> bool:
        """Is this request the one that tries whether it works again? To be given to `end`."""
        tries = self._rests_until is not None
        self._trial = self._trial or tries
        return tries

    def end(self, tried: bool) -> None:
        """However it ended, being cancelled included."""
        if tried:
            self._trial = False

    def took(self, seconds: float) -> None:
        """An answer, accepted or not."""
        before = self.usual_s
        self.usual_s = seconds if before is None else before + NEWEST * (seconds - before)

    def took_longer(self, seconds: float) -> None:
        """It was cut after so many."""
        self.usual_s = max(self.usual_s or 0.0, seconds)

    def is_too_slow(self, left_s: float) -> bool:
        return self.usual_s is not None and self.usual_s > CLEARLY * left_s

    def skipped(self) -> None:
        if self.usual_s is not None:
            self.usual_s *= FORGET

    def worked(self) -> None:
        self._in_a_row, self._rests_until = 0, None

    def failed(self, kind: Kind) -> None:
        """Its own fault, once more."""
        self.last_kind = kind
        self._in_a_row += 1
        if self._rest_after and self._in_a_row >= self._rest_after:
            self._rests_until = self.clock() + self._rest_s
