"""A way of a chain: a pattern with what it is for, its time and its check."""

from __future__ import annotations

import msgspec

from smidgen.patterns import Pattern
from smidgen.patterns.fallback.checks import CheckLike
from smidgen.patterns.fallback.failures import Kind

WHEN: tuple[Kind, ...] = ("check", "time", "context", "missing", "model", "system", "bug", "refused")


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """pattern: any. name: as traces and warnings tell it, "" for the pattern's own.
    when: only after a failure of one of these kinds (`failures.Kind`); empty for whatever came before.
    deadline_s: seconds that it gets at most, the loading of its model included; 0 for all that is left.
    check: what an answer must pass to be accepted, as `checks.as_check` takes it.
    stream: show its text as it comes, which only a way without a check may; once some was shown, there is no way back.
    context: tokens that its model reads, if it is known; such a way is passed over for a text that is known not to fit.
    retries: how often more it is tried after an error that may pass (`retryable`).
    """

    pattern: Pattern
    name: str = ""
    when: tuple[Kind, ...] = ()
    deadline_s: float = 0.0
    check: CheckLike | None = None
    stream: bool = False
    context: int = 0
    retries: int = 0

    def __post_init__(self) -> None:
        if self.stream and self.check is not None:
            raise ValueError("a way with a check can't stream: its text is shown when it has passed")
        if unknown := [kind for kind in self.when if kind not in WHEN]:
            raise ValueError(f"when names {unknown[0]!r}; there are: {', '.join(WHEN)}")
        if self.deadline_s < 0 or self.context < 0 or self.retries < 0:
            raise ValueError("deadline_s, context and retries can't be below 0")

    @property
    def quick(self) -> bool:
        """Does it need no model, and so no time to speak of?"""
        return bool(getattr(self.pattern, "quick", False))

    @property
    def title(self) -> str:
        return self.name or title_of(self.pattern)


def title_of(pattern: Pattern) -> str:
    """Its name, with the model's if it has one of its own."""
    model = str(getattr(pattern, "model", ""))
    return f"{pattern.name} ({model})" if model not in ("", pattern.name) else pattern.name
