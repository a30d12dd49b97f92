"""Results that come back with a conversation: of calls that were handed over before, to whoever asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.agent.state import Attempt
from smidgen.messages import Message, ToolCall


def returned(history: Sequence[Message]) -> tuple[Attempt, ...]:
    """Of the calls since the last user message, those whose results end the conversation; none if it ends otherwise.
    A result without its call counts as one of a call without arguments."""
    if not history or history[-1].role != "tool":
        return ()
    last = max((index for index, turn in enumerate(history) if turn.role == "user"), default=-1)
    since = history[last + 1 :]
    calls = {call.id: call for turn in since for call in turn.tool_calls if call.id}
    unnamed = [call for turn in since for call in turn.tool_calls if not call.id]
    attempts: list[Attempt] = []
    for turn in since:
        if turn.role != "tool":
            continue
        call = calls.get(turn.call_id) if turn.call_id else next(iter(unnamed), None)
        if call in unnamed:
            unnamed.remove(call)
        # A result that is empty says that it was done: a call may have nothing else to tell.
        attempts.append(
            Attempt(call=call or ToolCall(name=turn.name or "tool", arguments={}), ok=True, text=turn.content or "done")
        )
    return tuple(attempts)
