"""A user's rules, and what they say of a call. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import msgspec

from smidgen.tools import Use, Verb
from smidgen.tools.permissions import Decision, Ruling

STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "deny": 2}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Speaks of a call that fits all of what it names; "" fits anything. tool, host, command: with * and ? as in file
    names; the command as it would be typed. path: relative to the workspace, with ** for any folders; a folder stands
    for all that is in it. Only a rule that allows minds capitals in names."""

    decision: Decision
    tool: str = ""
    verb: Verb | None = None
    path: str = ""
    host: str = ""
    command: str = ""

    def fits(self, tool: str, use: Use) -> bool:
        exactly = self.decision == "allow"
        if self.verb is not None and self.verb != use.verb:
            return False
        named = ((self.tool, tool), (self.host, use.host), (self.command, use.command))
        if not all(_fits(pattern, text, exactly) for pattern, text in named):
            return False
        if not self.path:
            return True
        parts = [part for part in use.path.split("/") if part not in ("", ".")]
        if not use.path:
            return False
        if is_below(self.path, parts, exactly) or self.path == "**":
            return True
        # A call over a whole folder reads what is forbidden in it, unless that is out of everybody's sight.
        return not exactly and not self.hides and use.verb != "write" and may_hold(parts, self.path)

    @property
    def hides(self) -> bool:
        """Does it take files out of everybody's sight, so that calls over whole folders need not be denied for it?"""
        names_files = bool(self.path) and not (self.host or self.command)
        return self.decision == "deny" and names_files and self.tool in ("", "*") and self.verb is None

    def __str__(self) -> str:
        fields = ("tool", "verb", "path", "host", "command")
        told = [f"{name} {getattr(self, name)}" for name in fields if getattr(self, name)]
        return f"{self.decision} {', '.join(told) or 'everything'}"


OTHERWISE: dict[Verb, Decision] = {"read": "allow", "run": "allow", "fetch": "allow", "write": "ask"}
"""For what no rule speaks of."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """rules: in any order. otherwise: replaces OTHERWISE for the verbs it names."""

    rules: tuple[Rule, ...] = ()
    otherwise: dict[Verb, Decision] = {}

    def ruling(self, tool: str, uses: Sequence[Use]) -> Ruling:
        """The strictest over everything that a call would do."""
        found = [self._of(tool, use) for use in uses] or [Ruling(decision="ask", reason="nobody knows what it does")]
        return max(found, key=lambda ruling: STRICTNESS[ruling.decision])

    def _of(self, tool: str, use: Use) -> Ruling:
        fitting = [rule for rule in self.rules if rule.fits(tool, use)]
        if fitting:
            strictest = max(fitting, key=lambda rule: STRICTNESS[rule.decision])
            return Ruling(decision=strictest.decision, by="rule", reason=f"the rule says: {strictest}")
        decision = self.otherwise.get(use.verb, OTHERWISE[use.verb])
        reason = {"write": "it changes something", "fetch": "it asks another computer"}.get(use.verb, "")
        return Ruling(decision=decision, reason=reason)

    def allows_by_rule(self, tool: str, use: Use) -> bool:
        """Has the user allowed just this, rather than said nothing of it?"""
        ruling = self._of(tool, use)
        return ruling.decision == "allow" and ruling.by == "rule"

    def hides(self, parts: Sequence[str]) -> bool:
        """Is this file or folder as if it were not there?"""
        return any(rule.hides and is_below(rule.path, parts, False) for rule in self.rules)

    @property
    def hides_any(self) -> bool:
        return any(rule.hides for rule in self.rules)

    def with_rules(self, *rules: Rule) -> Policy:
        return msgspec.structs.replace(self, rules=(*self.rules, *rules))


def is_below(pattern: str, parts: Sequence[str], exactly: bool) -> bool:
    """Does the pattern stand for this path, or for a folder it lies in?"""
    wanted = [part for part in pattern.split("/") if part not in ("", ".")]
    if not exactly:
        wanted, parts = [part.casefold() for part in wanted], [part.casefold() for part in parts]
    return any(_matches(wanted, list(parts[:size])) for size in range(1, len(parts) + 1))


def may_hold(folder: Sequence[str], pattern: str) -> bool:
    """Could what the pattern stands for lie in this folder?"""
    wanted = [part.casefold() for part in pattern.split("/") if part not in ("", ".")]
    for number, part in enumerate(folder):
        if number < len(wanted) and wanted[number] == "**":
            return True
        if number >= len(wanted) or not fnmatch.fnmatchcase(part.casefold(), wanted[number]):
            return False
    return True


def _matches(wanted: list[str], parts: list[str]) -> bool:
    if not wanted or not parts:
        return not parts and all(part == "**" for part in wanted)
    if wanted[0] == "**":
        return _matches(wanted[1:], parts) or _matches(wanted, parts[1:])
    return fnmatch.fnmatchcase(parts[0], wanted[0]) and _matches(wanted[1:], parts[1:])


def _fits(pattern: str, text: str, exactly: bool) -> bool:
    if not pattern or pattern == "*":
        return True
    if not exactly:
        pattern, text = pattern.casefold(), text.casefold()
    return bool(text) and fnmatch.fnmatchcase(text, pattern)
