"""What a failure means for the ways that follow. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from smidgen.errors import ERRORS_BY_CODE, ContextOverflow, DeadlineExceeded, ErrorInfo, ModelError, NoAnswer

Kind = Literal[
    "check", "time", "context", "missing", "model", "system", "bug", "refused", "unmatched", "passed", "request"
]
"""check: the answer wasn't accepted. time: it took too long, or there was no time for it. context: the text doesn't fit
the model. missing: a model that isn't there, or a way that asks for what can't be had. model, system, bug: as errors
say whose fault it is. refused: it said that it can't. unmatched: rules that don't speak of such a request.
passed: not for what failed before. request: the request's own fault, which no other way mends."""

QUIET: frozenset[Kind] = frozenset({"unmatched", "passed"})
"""Nothing failed: told in the trace, but not as a warning."""

OWN_FAULT: frozenset[Kind] = frozenset({"time", "missing", "model", "system", "bug"})
"""Not the request's: after several in a row the way rests."""

_OF_THE_WAY = frozenset({"unsupported_by_model", "invalid_constraint", "unknown_tool", "config"})
"""Errors of whoever wrote the pattern, not of whoever asks: another way may do without."""

_REFUSED = re.compile(r"(?:^|[:,] |\(|, by )(?:refusal|refused after \d+ \w+)\)*$")
"""An agent's, a chain's and a verified pattern's, by themselves or within a router."""

_ADVICE: dict[Kind, str] = {
    "check": "Ask for one thing at a time, or say more exactly what you want.",
    "time": "Allow more time, or ask for a shorter answer.",
    "context": "Ask with a shorter text.",
    "refused": "Say it in other words, or give what is missing.",
    "system": "Try again in a moment.",
}


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One way that gave no answer: why, after how many seconds, and what whoever asked can do about it."""

    name: str
    kind: Kind
    reason: str
    seconds: float = 0.0
    hint: str = ""
    retryable: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.told}"

    @property
    def told(self) -> str:
        return f"{self.reason.rstrip('.')} ({self.seconds:.1f} s)" if self.seconds >= 0.05 else self.reason.rstrip(".")

    @property
    def advice(self) -> str:
        return self.hint or _ADVICE.get(self.kind, "")


def kind_of(error: ErrorInfo) -> Kind:
    """Whose fault it is, and so who is to go on."""
    cls = ERRORS_BY_CODE.get(error.code)
    if error.code == ContextOverflow.code:
        return "context"
    if error.code == DeadlineExceeded.code:
        return "time"
    if error.code == NoAnswer.code:
        return "unmatched" if error.details.get("unmatched") else "refused"
    if error.code in _OF_THE_WAY:
        return "missing"
    if error.fault == "caller":
        is_models = cls is not None and issubclass(cls, ModelError)
        return "missing" if is_models else "request"
    return error.fault


def is_its_own_fault(kind: Kind, error: ErrorInfo | None) -> bool:
    """Does it speak against the way itself? A full queue doesn't."""
    return kind in OWN_FAULT and not (error is not None and error.code == "engine_busy")


def failed(name: str, error: ErrorInfo, seconds: float) -> Tried:
    return Tried(
        name=name,
        kind=kind_of(error),
        reason=error.message,
        seconds=seconds,
        hint=error.hint,
        retryable=error.retryable,
    )


def is_refusal(strategy: str) -> bool:
    """Is what ended with this strategy the text of a refusal?"""
    return _REFUSED.search(strategy) is not None


def no_answer(tried: Sequence[Tried], overflow: ErrorInfo | None) -> ErrorInfo:
    """Of a chain in which no way answered: NoAnswer, or DeadlineExceeded if time was all that was short. overflow: of
    the largest context, if the text fits none."""
    told = [one for one in tried if one.kind not in QUIET]
    if overflow is not None and all(one.kind == "context" for one in told):
        return overflow
    late = bool(told) and all(one.kind == "time" for one in told)
    return (DeadlineExceeded if late else NoAnswer)(
        "No way gave an answer. " + " ".join(f"{one}." for one in told or tried),
        hint=" ".join(dict.fromkeys(one.advice for one in told if one.advice)) or "Ask in other words.",
        retryable=late or any(one.retryable for one in told),
        tried=[str(one) for one in told or tried],
    ).info()
