"""What a run knows of its request so far, and how that changes. Frozen data; pure."""

from __future__ import annotations

import msgspec

from smidgen.agent import Strategy
from smidgen.messages import ToolCall
from smidgen.tools import Fault

MAX_RETRIES = 1
"""Re-decodings of one call with a hint, per strategy."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes: a tool's name, or "" for none: none is needed, or, if `failed`, none could be chosen.
    `calls` are there if a rule wrote them already, `direct` if the results then are the answer. `probability` is the
    model's own, 1.0 for a rule. `shortlist`: the tools that the model is told of. `focus`: where the part of the
    request stands that the call is for, (0, 0) for all of it. `known`: a tool's own data know of the request.
    `literal`: the request is the call, and what comes of it the answer, a failure too."""

    tool: str
    reason: str = ""
    probability: float = 1.0
    calls: tuple[ToolCall, ...] = ()
    direct: bool = False
    failed: bool = False
    shortlist: tuple[str, ...] = ()
    focus: tuple[int, int] = (0, 0)
    known: bool = False
    literal: bool = False

    @property
    def declined(self) -> bool:
        """No tool is called for, which is no failure."""
        return not self.tool and not self.failed


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks said of a call. `missing`: required arguments that the request doesn't hold."""

    ok: bool
    reason: str = ""
    missing: tuple[str, ...] = ()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that ran."""

    call: ToolCall
    ok: bool
    text: str
    answer: str = ""
    fault: Fault = ""
    material: bool = False
    quotes: tuple[str, ...] = ()


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`strategies` are those left, the first being tried. `draft` is a call not yet made, `verdict` what is said of it,
    `hint` why the one before was no good. `text` is the answer, None as long as there is none. `tried` holds what was
    given up: (strategy, why). With `several`, one request may need more than one call: `accepted` are those that were
    checked, `complete` says that no other follows. `asked`: how many things the request asks for, as far as that is
    known; where calls answer fewer, the rest is answered in words. `external`: tools that whoever asked runs
    themself."""

    strategies: tuple[Strategy, ...]
    max_steps: int
    choice: Choice | None = None
    draft: ToolCall | None = None
    verdict: Verdict | None = None
    hint: str = ""
    retries: int = 0
    several: bool = False
    asked: int = 0
    accepted: tuple[ToolCall, ...] = ()
    external: frozenset[str] = frozenset()
    complete: bool = False
    attempts: tuple[Attempt, ...] = ()
    text: str | None = None
    tried: tuple[tuple[str, str], ...] = ()

    @property
    def strategy(self) -> Strategy | None:
        return self.strategies[0] if self.strategies else None


# --- how the state changes --------------------------------------------------------------------------------------------


def after_attempt(state: State, attempt: Attempt) -> State:
    """A failed call with bad arguments counts as a retry; its message is the hint for the next."""
    attempts = (*state.attempts, attempt)
    if attempt.ok or attempt.fault != "arguments" or len(state.accepted) > 1:
        accepted = state.accepted if attempt.call in state.accepted else (*state.accepted, attempt.call)
        return msgspec.structs.replace(state, attempts=attempts, accepted=accepted, complete=True)
    retries = state.retries + 1 if state.strategy != "rules" else MAX_RETRIES + 1
    return msgspec.structs.replace(
        state,
        attempts=attempts,
        choice=_again(state.choice, attempt),
        accepted=(),
        complete=False,
        draft=None,
        verdict=None,
        hint=attempt.text,
        retries=retries,
    )


def _again(choice: Choice | None, attempt: Attempt) -> Choice | None:
    """The tool whose call failed is written again, whatever followed it."""
    return choice and msgspec.structs.replace(choice, tool=attempt.call.name, focus=(0, 0), calls=())


def after_retry(state: State, reason: str) -> State:
    return msgspec.structs.replace(state, draft=None, verdict=None, hint=reason, retries=state.retries + 1)


def after_acceptance(state: State, accepted: tuple[ToolCall, ...], following: Choice | None) -> State:
    """The draft was accepted and is the last of `accepted`; `following` is where the next goes, with its call if that
    is known already, None if there is none."""
    if following is None:
        return msgspec.structs.replace(state, accepted=accepted, complete=True)
    draft = following.calls[0] if following.calls else None
    return msgspec.structs.replace(
        state, accepted=accepted, choice=following, draft=draft, verdict=None, hint="", retries=0
    )


def after_escalation(state: State, reason: str) -> State:
    """The next strategy starts afresh, but remembers which calls failed. Where the model itself saw no need of a tool,
    it isn't asked again in simpler words."""
    rest: tuple[Strategy, ...] = state.strategies[1:]
    declined = state.strategy == "constrained" and state.choice is not None and state.choice.declined
    if declined:
        rest = tuple[Strategy, ...](strategy for strategy in rest if strategy != "simplified")
    if state.choice is not None and state.choice.known:
        # What the user's own data should have told must not be made up instead.
        rest = tuple[Strategy, ...](strategy for strategy in rest if strategy != "plain")
    tried = (*state.tried, (state.strategy or "", reason))
    return State(
        strategies=rest,
        max_steps=state.max_steps,
        several=state.several,
        asked=state.asked,
        external=state.external,
        attempts=state.attempts,
        tried=tried,
    )
