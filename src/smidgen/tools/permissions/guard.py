"""One call, from what its user's rules say of it to what came of it. Whatever goes wrong is an outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from smidgen.messages import ToolCall
from smidgen.tools import Tool, ToolOutcome, Use, uses_of
from smidgen.tools.function import failure
from smidgen.tools.permissions import Ask, Ruling
from smidgen.tools.permissions.audit import Audit, Entry, as_text
from smidgen.tools.permissions.policy import Policy
from smidgen.tools.permissions.provenance import Said, unasked
from smidgen.tools.threads import in_daemon_thread
from smidgen.tools.visible import visible

LONGEST_PREVIEW = 2000


class Guard:
    """policy: the user's rules. ask: who is asked; None where nobody can be. yes: to whatever would be asked about is
    said yes beforehand, but not to what only a text from a tool asks for. audit: where calls are logged. dry_run: what
    would change something only says so; what isn't denied is neither asked about nor done then. notes: what the user
    must be told, each once; whoever reads it clears it."""

    def __init__(
        self,
        policy: Policy | None = None,
        ask: Ask | None = None,
        audit: Audit | None = None,
        *,
        yes: bool = False,
        dry_run: bool = False,
    ) -> None:
        self.policy = policy or Policy()
        self.notes: list[str] = []
        self.ask = ask
        self._audit = audit
        self._yes = yes
        self._dry_run = dry_run
        self._has_told = False

    def ruling(self, tool: Tool, arguments: Mapping[str, Any], said: Said) -> Ruling:
        """What holds for a call: the rules, and that nothing is changed that only a tool's text asks for. "ask" only
        where somebody has to say yes now. Never raises."""
        uses, name = _uses(tool, arguments), tool.spec.name
        found = self.policy.ruling(name, uses)
        if found.decision == "deny":
            return found
        only_told = self._only_tells(uses)
        if not only_told:
            open_uses = [use for use in uses if not (use.verb == "fetch" and self.policy.allows_host(name, use))]
            if stranger := unasked(name, arguments, open_uses, said):
                doubt = f"you didn't name {_quoted(stranger)}; it may come from a text that a tool returned"
                reason = f"{found.reason}; {doubt}" if found.decision == "ask" else doubt
                return Ruling(decision="ask", by="provenance", reason=reason)
        if found.decision == "ask" and (only_told or self._yes):
            return Ruling(decision="allow", by=found.by if only_told else "yes", reason=found.reason)
        return found

    async def call(self, tool: Tool, call: ToolCall, ruling: Ruling, ask: Ask | None) -> ToolOutcome:
        """Asks if it must, runs the tool if it may. Raises what `ask` and a tool that breaks its promise raise."""
        uses = _uses(tool, call.arguments)
        try:
            decision, outcome = await self._permitted(tool, call, ruling, uses, ask)
        except BaseException:
            await self._begin(call, uses, ruling, "refused")
            raise
        number = await self._begin(call, uses, ruling, decision)
        if outcome is not None:
            if decision == "dry run":
                await self._end(number, outcome, 0.0)
            return outcome
        begun = time.monotonic()
        try:
            outcome = await tool.call(call.arguments)
        except BaseException as error:
            await self._end(number, failure(f"{type(error).__name__}: {error}"), time.monotonic() - begun)
            raise
        await self._end(number, outcome, time.monotonic() - begun)
        return outcome

    def _only_tells(self, uses: tuple[Use, ...]) -> bool:
        return self._dry_run and any(use.verb == "write" for use in uses)

    async def _permitted(
        self, tool: Tool, call: ToolCall, ruling: Ruling, uses: tuple[Use, ...], ask: Ask | None
    ) -> tuple[str, ToolOutcome | None]:
        """How it was decided, and the outcome if it doesn't run."""
        name = call.name
        if ruling.decision == "deny":
            return "denied", failure(f"{name} may not do that: {ruling.reason}.", "denied")
        if self._only_tells(uses):
            text = f"Dry run, so nothing was changed. It would: {preview_of(tool, call.arguments)}"
            return "dry run", ToolOutcome(ok=True, value=text, text=text, answer=text)
        if ruling.decision == "allow":
            return "approved" if ruling.by == "yes" else "allowed", None
        if self._yes and ruling.by != "provenance":
            return "approved", None
        if ask is None:
            return "refused", failure(f"{name} needs a yes ({ruling.reason}), and nobody is there to say it.", "denied")
        told = preview_of(tool, call.arguments)
        if ruling.by != "default":
            told = f"{told} ({ruling.reason})"
        if await ask(call, told) is not True:
            return "refused", failure(f"The user did not approve {name}.", "denied")
        return "approved", None

    async def _begin(self, call: ToolCall, uses: tuple[Use, ...], ruling: Ruling, decision: str) -> int:
        if self._audit is None:
            return 0
        entry = Entry(
            at=time.time(),
            tool=call.name,
            arguments=as_text(call.arguments),
            uses=", ".join(_in_words(use) for use in uses),
            decision=decision,
            by=ruling.by,
            reason=ruling.reason,
        )
        try:
            return await in_daemon_thread(self._audit.begin, entry=entry)
        except OSError as error:
            self._tell(error)
            return 0

    async def _end(self, number: int, outcome: ToolOutcome, seconds: float) -> None:
        if self._audit is None or not number:
            return
        told = {"ok": outcome.ok, "fault": outcome.fault, "tier": outcome.tier, "result": outcome.text}
        try:
            await in_daemon_thread(self._audit.end, number=number, seconds=seconds, **told)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._has_told:
            self._has_told = True
            self.notes.append(f"What tools do can't be logged: {error}.")


def preview_of(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """What a call would do, so that nothing of it can hide; cut where it is long, which is told. Never raises."""
    try:
        plain = tool.preview(arguments)
    except Exception:  # a tool's own code: what is asked about is shown as it stands
        plain = f"{tool.spec.name}({as_text(arguments)})"
    told = visible(plain, keep="\n")
    return told if len(told) <= LONGEST_PREVIEW else f"{told[:LONGEST_PREVIEW]}… ({len(told)} characters)"


def _uses(tool: Tool, arguments: Mapping[str, Any]) -> tuple[Use, ...]:
    try:
        return uses_of(tool, arguments)
    except Exception:  # a tool's own code
        return (Use(verb="write"),)  # what it would do isn't known


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def _in_words(use: Use) -> str:
    fields = msgspec.to_builtins(use)
    return " ".join(str(value) for value in fields.values() if value)
