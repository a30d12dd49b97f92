"""Who killed the worker? Pure bookkeeping over request numbers.

All requests that a crashed worker had are under suspicion. After the first crash they are sent again together, for most
crashes don't come back. Those in flight at a second crash become suspects: they run one at a time, with nothing beside
them, and the one that crashes the worker alone is the culprit. A request that the worker told of CLEARED_AFTER times
since it was sent again is innocent of that crash: its count starts again, and if it was a suspect, the others needn't
wait for its end. So a request fails for a crash only if it was alone in the worker and in flight at two crashes or
more, with no such progress in between: a long stream may meet any number of crashes that others cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

CLEARED_AFTER = 8
"""Messages with something new of a request, each of which stands for a step or more that the worker survived, while one
step can bring any number of tokens, drafted or forced. A request sent again decodes the same positions: those that no
message had told of when the worker died. So a repeatable crash comes before the first few messages."""


class Quarantine:
    """crashes in flight per request, and which requests are suspects."""

    def __init__(self) -> None:
        self._crashes: dict[int, int] = {}
        self._suspects: set[int] = set()

    def crashes(self, request: int) -> int:
        """At how many crashes this request was in flight."""
        return self._crashes.get(request, 0)

    @property
    def watching(self) -> bool:
        """Whether there is a count that `advanced` could reset; nearly always there is none."""
        return bool(self._crashes)

    @property
    def suspects(self) -> frozenset[int]:
        return frozenset(self._suspects)

    def admit(self, waiting: Sequence[int], running: Iterable[int]) -> tuple[int, ...]:
        """Which of the waiting requests the worker may have now, beside the running ones."""
        busy = set(running)
        if not self._suspects:
            return tuple(waiting)
        if busy:
            return ()
        return tuple(request for request in waiting if request in self._suspects)[:1]

    def crashed(self, running: Iterable[int]) -> int | None:
        """The worker died with these in flight. The culprit, if it is known now."""
        met = tuple(running)
        for request in met:
            self._crashes[request] = self.crashes(request) + 1
            if self._crashes[request] >= 2:
                self._suspects.add(request)
        if len(met) == 1 and self._crashes[met[0]] >= 2:
            return met[0]
        return None

    def advanced(self, request: int, messages: int) -> bool:
        """Of a running request, `messages` have told since it was sent. True if that cleared a suspect; then it has to
        make room while there are other suspects."""
        if messages < CLEARED_AFTER or request not in self._crashes:
            return False
        was_suspect = request in self._suspects
        self.forget(request)
        return was_suspect

    def forget(self, request: int) -> None:
        """The request ended, in whatever way, or got so far that no crash is on its account."""
        self._suspects.discard(request)
        self._crashes.pop(request, None)
