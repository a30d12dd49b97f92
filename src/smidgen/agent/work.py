"""What kind of work a command asks for, as far as its verb tells: nearness can't tell "delete" from "write"."""

from __future__ import annotations

import re

from smidgen.agent.words import stems

_WORK = (
    ("delete", "remove", "erase"), ("rename", "move"), ("copy", "duplicate"), ("send", "email", "mail"),
    ("call", "phone", "ring"), ("book", "reserve"), ("buy", "order", "purchase"), ("translate",),
    ("remind", "reminder"), ("alarm", "timer", "wake"),
    ("play",), ("print",), ("download",), ("install",), ("summarize", "summarise", "sum"),
)  # fmt: skip
_COMMAND = re.compile(
    r"^(?:(?:please|hey|hi|ok|and|then|now)[\s,]+|(?:can|could|would|will)\s+you\s+(?:please\s+)?)*"
    r"(?:set\s+an?\s+)?(?P<verb>[a-z]+)\b",
    re.IGNORECASE,
)


def wants_other_work(request: str, about: str) -> bool:
    """Does the request begin with a command for work of a kind that nothing in a tool's words speaks of: "delete" with
    a tool that only reads? about: the tool's name and descriptions."""
    found = _COMMAND.match(request.strip())
    kinds = [kind for kind in _WORK if found and found["verb"].lower() in kind]
    words = stems(about)
    return any(not words & {stem for verb in kind for stem in stems(verb)} for kind in kinds)
