"""The planner: from what is known to the one thing to do next. Pure, so it can be tested on every state there is.

Strategies are tried in order. Each routes, gets a call written, has it checked, lets the tool run, and answers; what
fails moves on to the next. It ends because every action either adds to the state or drops a strategy.
"""

from __future__ import annotations

import msgspec

from smidgen.agent import Strategy
from smidgen.messages import ToolCall
from smidgen.tools import Fault

MAX_RETRIES = 1
"""Re-decodings of one call with a hint, per strategy."""


# --- what is known ----------------------------------------------------------------------------------------------------


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes: a tool's name, or "" for none: none is needed, or, if `failed`, none could be chosen.
    `calls` are there if a rule wrote them already, `direct` if the results then are the answer. `probability` is the
    model's own, 1.0 for a rule. `shortlist`: the tools that the model is told of. `focus`: where the part of the
    request stands that the call is for, (0, 0) for all of it."""

    tool: str
    reason: str = ""
    probability: float = 1.0
    calls: tuple[ToolCall, ...] = ()
    direct: bool = False
    failed: bool = False
    shortlist: tuple[str, ...] = ()
    focus: tuple[int, int] = (0, 0)

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


class State(msgspec.Struct, frozen=True, kw_only=True):
    """`strategies` are those left, the first being tried. `draft` is a call not yet made, `verdict` what is said of it,
    `hint` why the one before was no good. `text` is the answer, None as long as there is none. `tried` holds what was
    given up: (strategy, why). With `several`, one request may need more than one call: `accepted` are those that were
    checked, `complete` says that no other follows. `asked`: how many things the request asks for, as far as that is
    known; where calls answer fewer, the rest is answered in words."""

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
    complete: bool = False
    attempts: tuple[Attempt, ...] = ()
    text: str | None = None
    tried: tuple[tuple[str, str], ...] = ()

    @property
    def strategy(self) -> Strategy | None:
        return self.strategies[0] if self.strategies else None


# --- what can be done -------------------------------------------------------------------------------------------------


class Action(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all actions."""


class Route(Action, frozen=True, kw_only=True):
    """Find out whether a tool is needed, and which."""

    strategy: Strategy


class WriteCall(Action, frozen=True, kw_only=True):
    """Let the model write the call of this tool."""

    tool: str
    hint: str = ""


class Verify(Action, frozen=True, kw_only=True):
    """Check the drafted call."""

    call: ToolCall


class CallTool(Action, frozen=True, kw_only=True):
    call: ToolCall


class Continue(Action, frozen=True, kw_only=True):
    """Keep the draft, and find out whether another call follows. Without a call none does: what was drafted last is no
    good, for this `reason`, but what was accepted before it is."""

    call: ToolCall | None = None
    reason: str = ""


class Retry(Action, frozen=True, kw_only=True):
    """Forget the draft and write it again, with the reason as a hint."""

    reason: str


class Escalate(Action, frozen=True, kw_only=True):
    """Give this strategy up."""

    reason: str


class Ask(Action, frozen=True, kw_only=True):
    """The user has to say what is missing."""

    tool: str
    missing: tuple[str, ...]


class Generate(Action, frozen=True, kw_only=True):
    """Let the model answer in words, from tools' results if there are some."""

    attempts: tuple[Attempt, ...] = ()


class Finish(Action, frozen=True, kw_only=True):
    """Done. `text` "" means the answer is what was generated. `refused`: nothing worked, and the text says so."""

    text: str = ""
    refused: bool = False


AnyAction = Route | WriteCall | Verify | Continue | CallTool | Retry | Escalate | Ask | Generate | Finish


def name_of(action: AnyAction) -> str:
    """As `StepStarted` tells it."""
    names = {"WriteCall": "generate", "CallTool": "call_tool"}
    kind = type(action).__name__
    return names.get(kind, kind.lower())


def detail_of(action: AnyAction) -> str:
    match action:
        case WriteCall():
            return f"a call of {action.tool}"
        case CallTool() | Verify():
            return action.call.name
        case Route():
            return action.strategy
        case Continue():
            return "" if action.call is None else f"after {action.call.name}"
        case Retry() | Escalate():
            return action.reason
        case Generate():
            return "the answer"
        case _:
            return ""


def needs_model(action: AnyAction) -> bool:
    return isinstance(action, WriteCall | Generate | Continue) or (
        isinstance(action, Route) and action.strategy != "rules"
    )


# --- what to do next --------------------------------------------------------------------------------------------------


def plan(state: State) -> AnyAction:
    """The next action. Never the same failing call twice; Finish when nothing is left."""
    if state.text is not None:
        return Finish() if state.text.strip() else _without_words(state)
    if state.complete:
        return _with_calls(state)
    last = state.attempts[-1] if state.attempts else None
    if last is not None and last.fault != "arguments":
        return Finish(text=failure_report(state.attempts), refused=True)
    strategy = state.strategy
    if strategy is None:
        return Finish(text=refusal(state), refused=True)
    if strategy == "plain":
        return Generate()
    return _towards_call(state, strategy)


def _with_calls(state: State) -> AnyAction:
    """All that is to be called is known: call what wasn't yet, then answer from what came of it."""
    made = {id(call): attempt for call in state.accepted for attempt in state.attempts if attempt.call == call}
    for call in state.accepted:
        if id(call) not in made:
            return CallTool(call=call)
    attempts = tuple(made[id(call)] for call in state.accepted)
    good = tuple(attempt for attempt in attempts if attempt.ok)
    if not good:
        return Finish(text=failure_report(state.attempts), refused=True)
    direct = state.choice is not None and state.choice.direct
    if direct or (all(attempt.answer for attempt in good) and state.asked <= len(state.accepted)):
        told = [attempt.answer or attempt.text if attempt.ok else failure_report((attempt,)) for attempt in attempts]
        return Finish(text="\n".join(told))
    return Generate(attempts=attempts)


def _towards_call(state: State, strategy: Strategy) -> AnyAction:
    choice = state.choice
    if choice is None:
        return Route(strategy=strategy)
    if not choice.tool:
        return Escalate(reason=choice.reason or "no tool is needed")
    draft = state.draft
    if draft is None:
        if state.hint and state.retries > MAX_RETRIES:
            return Continue(reason=state.hint) if state.accepted else Escalate(reason=state.hint)
        return WriteCall(tool=choice.tool, hint=state.hint)
    if any(attempt.call == draft for attempt in state.attempts):
        return Escalate(reason="the same call failed before")
    if len(state.attempts) + len(state.accepted) >= state.max_steps and state.accepted:
        return Continue(reason=f"{state.max_steps} tool calls are the limit")
    if len(state.attempts) >= state.max_steps:
        return Escalate(reason=f"{state.max_steps} tool calls were made, which is the limit")
    if state.verdict is None:
        return Verify(call=draft)
    if not state.verdict.ok and state.accepted and (state.verdict.missing or not _may_retry(state, strategy)):
        return Continue(reason=state.verdict.reason)
    if state.verdict.missing:
        return Ask(tool=draft.name, missing=state.verdict.missing)
    if not state.verdict.ok:
        return (
            Retry(reason=state.verdict.reason) if _may_retry(state, strategy) else Escalate(reason=state.verdict.reason)
        )
    return Continue(call=draft) if state.several and strategy == "constrained" else CallTool(call=draft)


def _may_retry(state: State, strategy: Strategy) -> bool:
    return strategy != "rules" and state.retries < MAX_RETRIES


def _without_words(state: State) -> AnyAction:
    """The model said nothing: the tool's own result is better than silence."""
    good = [attempt.text for attempt in state.attempts if attempt.ok]
    if good:
        return Finish(text="\n".join(good))
    return (
        Escalate(reason="the model's answer was empty")
        if state.strategies
        else Finish(text=refusal(state), refused=True)
    )


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
    tried = (*state.tried, (state.strategy or "", reason))
    return State(
        strategies=rest,
        max_steps=state.max_steps,
        several=state.several,
        asked=state.asked,
        attempts=state.attempts,
        tried=tried,
    )


def failure_report(attempts: tuple[Attempt, ...]) -> str:
    """What was tried and what came of it, for the user."""
    last = attempts[-1]
    return f"{last.text} ({last.call.name} was tried.)"


def refusal(state: State) -> str:
    tried = "; ".join(f"{strategy}: {reason}" for strategy, reason in state.tried if reason)
    return f"I could not answer that. What was tried: {tried or 'nothing was allowed'}."
