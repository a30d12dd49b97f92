"""PERMITS: what a call may do, decided from its user's rules before it runs, and written down.

policy      pure: rules, and what they say of a call
policy_file a TOML file as a policy
provenance  pure: whether the user asked for it, or only a text that some tool returned
guard       decides, asks, runs or doesn't, and logs
audit       the log, in SQLite

The strictest rule that speaks of a call wins: deny, then ask, then allow. What no rule speaks of runs unless it changes
something, which is asked about. No text that a tool returns can change any of this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from smidgen.messages import ToolCall

Decision = Literal["allow", "ask", "deny"]

Ask = Callable[[ToolCall, str], Awaitable[bool]]
"""Asked before a call that isn't simply allowed: the call, and in words what it would do and why it is asked about.
Only True lets it run."""


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a call. by: "rule", "default", "provenance", or "yes" where a yes was given beforehand; reason: in
    words, for the user."""

    decision: Decision
    by: str = "default"
    reason: str = ""
