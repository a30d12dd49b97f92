"""The one event union. CLI, HTTP streams, logs and tests all read these.

Every accepted request ends in exactly one terminal event: an engine's stream in `Generated` or `Failed`, an agent's in
`Finished` or `Failed`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from smidgen.errors import ErrorInfo
from smidgen.messages import Timings, ToolCall, Usage

FinishReason = Literal["stop", "length", "deadline", "cancelled", "tool_calls"]
"""`tool_calls`: an agent's run only, which wants tools called that whoever asked runs themself."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all events; the tag in JSON is the field `type`."""


# --- from an engine -------------------------------------------------------------------------------------------------


class TokenLogprob(msgspec.Struct, frozen=True, kw_only=True):
    """A sampled token's log-probability, and the likeliest alternatives as (text, logprob)."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Prefilled(Event, frozen=True, kw_only=True, tag="prefilled"):
    """The prompt is in the cache; the first token comes next."""

    prompt_tokens: int
    cached_tokens: int


class TextDelta(Event, frozen=True, kw_only=True, tag="text"):
    """Whole characters to append to the answer. May stand for several tokens."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """The worker died and was replaced; this stream goes on where it was. Nothing was lost or repeated."""

    cause: str
    after_tokens: int


class Notice(Event, frozen=True, kw_only=True, tag="notice"):
    """Something the user must be told: a downgrade, an overflow, a fallback. `code` is stable."""

    code: str
    message: str


class Generated(Event, frozen=True, kw_only=True, tag="generated"):
    """Terminal event of an engine's stream. `text` is the concatenation of all deltas."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    stop_string: str = ""


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """Terminal event of any stream."""

    error: ErrorInfo


# --- from an agent --------------------------------------------------------------------------------------------------


class Routed(Event, frozen=True, kw_only=True, tag="routed"):
    """Which strategy was chosen, and why, in words."""

    strategy: str
    reason: str


class StepStarted(Event, frozen=True, kw_only=True, tag="step"):
    """The planner's next action: route, generate, call_tool, verify, retry, escalate."""

    number: int
    action: str
    detail: str = ""


class ToolCalled(Event, frozen=True, kw_only=True, tag="tool_call"):
    call: ToolCall


class ApprovalNeeded(Event, frozen=True, kw_only=True, tag="approval"):
    """A call waits for a yes. `preview` says what it would do, `reason` why it is asked about."""

    call: ToolCall
    preview: str
    reason: str = ""


class ToolReturned(Event, frozen=True, kw_only=True, tag="tool_result"):
    """A tool's outcome. A failure is data: `ok` false and `result` the message. `tier`: what contained the program that
    was run for it, "" if none was."""

    call: ToolCall
    ok: bool
    result: Any
    seconds: float
    tier: str = ""


class Verified(Event, frozen=True, kw_only=True, tag="verified"):
    check: str
    ok: bool
    reason: str = ""


class FellBack(Event, frozen=True, kw_only=True, tag="fallback"):
    """One strategy failed and the next is tried."""

    from_strategy: str
    to_strategy: str
    reason: str


class Asked(Event, frozen=True, kw_only=True, tag="question"):
    """Something required is missing from the request; the user is asked instead of it being invented."""

    question: str
    missing: tuple[str, ...] = ()


class ToolRecord(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arguments: dict[str, Any]
    result: Any
    ok: bool


class Finished(Event, frozen=True, kw_only=True, omit_defaults=True, tag="finished"):
    """Terminal event of an agent's stream; the same fields as `smidgen run --json`. `wanted`: calls of tools that
    whoever asked runs themself. `stop_string`: the one of the request's own that ended the text."""

    text: str
    model: str
    finish_reason: FinishReason
    tool_calls: tuple[ToolRecord, ...]
    usage: Usage
    timings: Timings
    warnings: tuple[str, ...]
    strategy: str
    wanted: tuple[ToolCall, ...] = ()
    stop_string: str = ""


EngineEvent = Prefilled | TextDelta | Resumed | Notice | Generated | Failed
AgentEvent = (
    EngineEvent
    | Routed
    | StepStarted
    | ToolCalled
    | ApprovalNeeded
    | ToolReturned
    | Verified
    | FellBack
    | Asked
    | Finished
)
