"""An agent's steps in words, for whoever waits for it. Pure."""

from __future__ import annotations

from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    FellBack,
    Notice,
    Prefilled,
    Resumed,
    Routed,
    ToolCalled,
    ToolReturned,
)
from smidgen.tools.permissions.audit import as_text
from smidgen.tools.visible import visible

LONGEST = 200


def words(event: AgentEvent) -> str:
    """A line, "" for what is no step."""
    return _short(visible(_said(event)))


def _said(event: AgentEvent) -> str:
    match event:
        case Routed():
            return f"{event.strategy}: {event.reason}" if event.reason else event.strategy
        case ToolCalled():
            return f"calls {event.call.name}({as_text(event.call.arguments)})"
        case ToolReturned():
            return f"{event.call.name} {'returned' if event.ok else 'failed'}: {event.result}"
        case ApprovalNeeded():
            return f"needs a yes: {event.preview}"
        case FellBack():
            return f"{event.from_strategy} failed, {event.to_strategy} comes next: {event.reason}"
        case Prefilled():
            return f"has read {event.prompt_tokens} tokens"
        case Notice():
            return event.message
        case Resumed():
            return "the model's process was replaced; the answer goes on"
        case _:
            return ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}…"
