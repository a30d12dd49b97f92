"""A user's rules, and what they say of a call. Pure."""

from __future__ import annotations

import fnmatch
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence

import msgspec

from smidgen.tools import Use, Verb
from smidgen.tools.permissions import Decision, Ruling

STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "deny": 2}
_BETWEEN = re.compile(r"[;&|()`\n{}]")
"""What ends one command of a shell's line and begins another."""
_BLANKS = re.compile(r"[ \t]+")
_GLUED = re.compile(r"(?:(?<=[^\s\d<>&'\"\\])|(?<=\w['\"]))(?=[<>])")
_TWO_SIGNS = re.compile(r"(?<!\\)([<>])[&|]")
_BACKQUOTED = re.compile(r"`([^`]*)`")
_BRACES = re.compile(r"(?:^|[;&|(\n])[ \t]*[^\s;&|()`$]*\{[^\s{}();&|]*[,.]")
_INTO = re.compile(r"['\"]*\d*[<>]+")
_ASSIGNED = re.compile(r"['\"]*[A-Za-z_]\w*\+?=")
_SCRIPT = re.compile(r"-[a-z]*c[a-z]*|--command", re.IGNORECASE)
_BEFORE = re.compile("!|if|then|elif|else|while|until|do|time|coproc|exec|command|builtin|eval")
_SHELL = re.compile(
    r"(?:sh|[bd]?ash|r?bash|zsh|m?ksh|yash|t?csh|fish|nu|elvish|xonsh|pwsh|powershell)[-\d.]*(?:\.exe)?", re.IGNORECASE
)
_MOST_FORMS = 400


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Speaks of a call that fits all of what it names; "" fits anything. tool, host, command: with * and ? as in file
    names; the command as it would be typed. path: relative to the workspace, with ** for any folders; a folder stands
    for all that is in it, "." for everything.

    A rule that allows is read narrowly: it minds capitals (but of hosts), and a line that only a shell can read fits it
    just as it stands. One that asks or denies is read widely: a program reads and runs whatever else it does, and each
    command of such a line counts, and so does what a shell is given with -c. Where it can't be told what a line runs,
    the rule fits.
    """

    decision: Decision
    tool: str = ""
    verb: Verb | None = None
    path: str = ""
    host: str = ""
    command: str = ""

    def fits(self, tool: str, use: Use) -> bool:
        exactly = self.decision == "allow"
        if self.verb is not None and self.verb not in ((use.verb,) if exactly else verbs(use)):
            return False
        if not (_fits(self.tool, (tool,), exactly) and _fits(self.host, (use.host,), False)):
            return False
        if not self._fits_command(use.command, exactly):
            return False
        return not self.path or (use.path != "" and self._fits_path(use, exactly))

    def _fits_command(self, command: str, exactly: bool) -> bool:
        if self.command in ("", "*"):
            return True
        if exactly:
            return _fits(self.command, (command,) if self.command == command or _is_words(command) else (), True)
        forms, is_clear = _commands(command)
        return not is_clear or any(_fits(pattern, forms, False) for pattern in (self.command, _bare(self.command)))

    def _fits_path(self, use: Use, exactly: bool) -> bool:
        parts = _within(use.path)
        if parts is None:
            # Of what lies elsewhere, only a rule speaks that forbids everything.
            return not exactly and {"*", "**"}.issuperset(_wanted(self.path, exactly))
        if is_below(self.path, parts, exactly):
            return True
        # A call over a whole folder reaches what is forbidden in it, unless that is out of everybody's sight.
        return not (exactly or self.hides) and _is_folder(use, parts) and may_hold(parts, self.path)

    @property
    def hides(self) -> bool:
        """Does it take files out of everybody's sight, so that calls over whole folders need not be denied for it?"""
        names_files = bool(self.path) and not (self.host or self.command)
        return self.decision == "deny" and names_files and self.tool in ("", "*") and self.verb is None

    @property
    def names_a_host(self) -> bool:
        return bool(self.host.strip("*?."))

    def __str__(self) -> str:
        fields = ("tool", "verb", "path", "host", "command")
        told = [f"{name} {getattr(self, name)}" for name in fields if getattr(self, name)]
        return f"{self.decision} {', '.join(told) or 'everything'}"


OTHERWISE: dict[Verb, Decision] = {"read": "allow", "run": "allow", "fetch": "allow", "write": "ask"}
"""For what no rule speaks of."""
_DOES: dict[Verb, str] = {
    "read": "it reads",
    "run": "it runs a program",
    "fetch": "it asks another computer",
    "write": "it changes something",
}


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
        verb = max(verbs(use), key=lambda verb: STRICTNESS[self.unless_ruled(verb)])
        return Ruling(decision=self.unless_ruled(verb), reason=_DOES[verb])

    def unless_ruled(self, verb: Verb) -> Decision:
        return self.otherwise.get(verb, OTHERWISE[verb])

    def allows_host(self, tool: str, use: Use) -> bool:
        """Is the call allowed by a rule that names its host, rather than any?"""
        allowed = self._of(tool, use).decision == "allow"
        return allowed and any(rule.names_a_host and rule.fits(tool, use) for rule in self.rules)

    def hides(self, parts: Sequence[str]) -> bool:
        """Is this file or folder as if it were not there?"""
        return any(rule.hides and is_below(rule.path, parts, False) for rule in self.rules)

    @property
    def hides_any(self) -> bool:
        return any(rule.hides for rule in self.rules)

    def with_rules(self, *rules: Rule) -> Policy:
        return msgspec.structs.replace(self, rules=(*self.rules, *rules))


def verbs(use: Use) -> tuple[Verb, ...]:
    """All that it does: a program that may write runs and may read as well."""
    if not use.command:
        return (use.verb,)
    return tuple(dict.fromkeys((use.verb, "run", "read")))


def is_below(pattern: str, parts: Sequence[str], exactly: bool) -> bool:
    """Does the pattern stand for this path, or for a folder it lies in?"""
    wanted = _wanted(pattern, exactly)
    reached = _passing(wanted, {0})
    for part in parts if exactly else map(_folded, parts):
        if len(wanted) in reached:
            return True
        reached = _after(wanted, reached, part)
    return len(wanted) in reached


def may_hold(folder: Sequence[str], pattern: str) -> bool:
    """Could what the pattern stands for lie in this folder?"""
    wanted = _wanted(pattern, False)
    reached = _passing(wanted, {0})
    for part in map(_folded, folder):
        reached = _after(wanted, reached, part)
    return bool(reached)


def _is_folder(use: Use, parts: Sequence[str]) -> bool:
    """May it be over all that a folder holds? A name with an ending is a file's, unless a / says otherwise."""
    if not parts or use.path.endswith("/"):
        return True
    return use.verb != "write" and "." not in parts[-1][1:]


def _wanted(pattern: str, exactly: bool) -> list[str]:
    wanted = [part for part in pattern.split("/") if part not in ("", ".")]
    return wanted if exactly else [_folded(part) for part in wanted]


def _passing(wanted: Sequence[str], reached: Iterable[int]) -> set[int]:
    """How far the pattern may be read: any ** may also stand for no folder."""
    found: set[int] = set()
    for place in reached:
        found.add(place)
        while place < len(wanted) and wanted[place] == "**":
            place += 1
            found.add(place)
    return found


def _after(wanted: Sequence[str], reached: set[int], part: str) -> set[int]:
    further: set[int] = set()
    for place in reached:
        if place < len(wanted):
            if wanted[place] == "**":
                further.add(place)
            elif fnmatch.fnmatchcase(part, wanted[place]):
                further.add(place + 1)
    return _passing(wanted, further)


def _within(path: str) -> list[str] | None:
    """The parts of a path; None where it leads out of the workspace."""
    if path.startswith(("/", "~")):
        return None
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _commands(line: str) -> tuple[list[str], bool]:
    """A line as it stands, and each command that it runs, by itself and without what stands before its program. And is
    that all it runs? Not if a program's name is only found out by the shell."""
    forms, is_clear = [line, _without_folder(line)], True
    for text in dict.fromkeys((line, line.replace("\\\n", ""))):
        text = _BACKQUOTED.sub(r"$(\1)", _GLUED.sub(" ", text))
        is_clear = is_clear and "`" not in text and not _BRACES.search(text)
        for piece in _BETWEEN.split(_TWO_SIGNS.sub(r"\1 ", text)):
            forms += [piece.strip(), _without_folder(piece.strip())]
            words, before = [*filter(None, _BLANKS.split(piece))], None
            while words and words != before:
                bare = _bare(" ".join(words))
                forms += [bare, _without_folder(bare)]
                before, words = words, _unwrapped(words) if len(forms) < _MOST_FORMS else None
            is_clear = is_clear and words is not None
    has_shell = any(_is_shell(word) or word == "eval" for word in line.split())
    return list(dict.fromkeys(forms)), is_clear or (_is_words(line) and not has_shell)


def _unwrapped(words: list[str]) -> list[str] | None:
    """Without the first thing before the program, or the script that a shell is given; the same if there is nothing to
    take off, None if it can't be told where that ends, or which program it is."""
    if found := _INTO.match(words[0]):
        rest = words[0][found.end() :]
        target, after = (rest, words[1:]) if rest else ("".join(words[1:2]), words[2:])
        return after if _is_whole(target) else None
    if found := _ASSIGNED.match(words[0]):
        return words[1:] if _is_whole(words[0][found.end() :]) else None
    if set("$*?[") & set(words[0]) and words[0] not in ("[", "[["):
        return None
    at = 1
    if not _BEFORE.fullmatch(_bare(words[0])):
        shell = next((at for at, word in enumerate(words) if _is_shell(word)), len(words))
        at = next((at + 1 for at in range(shell + 1, len(words)) if _SCRIPT.fullmatch(_bare(words[at]))), 0)
    while 0 < at < len(words) and words[at].startswith(("-", "+")):
        at += 1
    return words[at:]


def _is_whole(word: str) -> bool:
    return not (word.count("'") % 2 or word.count('"') % 2 or "\\" in word)


def _is_shell(word: str) -> bool:
    return _SHELL.fullmatch(_bare(word).rsplit("/", 1)[-1]) is not None


def _bare(text: str) -> str:
    """Without quotes, and with single blanks."""
    return " ".join(re.sub(r"['\"\\]", "", text).split())


def _is_words(command: str) -> bool:
    """Words and nothing that a shell would do something else with."""
    try:
        return shlex.join(shlex.split(command)) == command
    except ValueError:
        return False


def _without_folder(command: str) -> str:
    program, space, rest = command.partition(" ")
    return f"{program.rsplit('/', 1)[-1]}{space}{rest}"


def _fits(pattern: str, texts: Sequence[str], exactly: bool) -> bool:
    if not pattern or pattern == "*":
        return True
    if not exactly:
        pattern, texts = _folded(pattern), [_folded(text) for text in texts]
    return any(text and fnmatch.fnmatchcase(text, pattern) for text in texts)


def _folded(text: str) -> str:
    """Alike for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", text.casefold())
