"""The planner: from what is known to the one thing to do next. Pure, so it can be tested on every state there is.

Strategies are tried in order. Each routes, gets a call written, has it checked, lets the tool run, and answers; what
fails moves on to the next. It ends because every action either adds to the state or drops a strategy.
"""

from __future__ import annotations

import msgspec

from smidgen.agent import Strategy
from smidgen.agent.state import MAX_RETRIES, Attempt, State
from smidgen.messages import ToolCall

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


class HandOver(Action, frozen=True, kw_only=True):
    """These calls are for whoever asked to make. The run ends; it goes on when they come back with the results."""

    calls: tuple[ToolCall, ...]


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


AnyAction = Route | WriteCall | Verify | Continue | CallTool | HandOver | Retry | Escalate | Ask | Generate | Finish


def name_of(action: AnyAction) -> str:
    """As `StepStarted` tells it."""
    names = {"WriteCall": "generate", "CallTool": "call_tool", "HandOver": "hand_over"}
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
        case HandOver():
            return ", ".join(call.name for call in action.calls)
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
    literal = state.choice is not None and state.choice.literal
    if last is not None and (last.fault != "arguments" or literal):
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
    pending = tuple(call for call in state.accepted if id(call) not in made)
    for call in pending:
        if call.name not in state.external:
            return CallTool(call=call)
    if pending:
        return HandOver(calls=pending)
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
    if state.several and strategy == "constrained":
        return Continue(call=draft)
    return HandOver(calls=(draft,)) if draft.name in state.external else CallTool(call=draft)


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


def failure_report(attempts: tuple[Attempt, ...]) -> str:
    """What was tried and what came of it, for the user."""
    last = attempts[-1]
    return f"{last.text} ({last.call.name} was tried.)"


def refusal(state: State) -> str:
    tried = "; ".join(f"{strategy}: {reason}" for strategy, reason in state.tried if reason)
    return f"I could not answer that. What was tried: {tried or 'nothing was allowed'}."
