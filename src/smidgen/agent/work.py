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


_ASKED = (
    (re.compile(r"^how\s+(?:do|would|can)\s+(?:you|i|we)\s+(?:say|spell|pronounce|write)\b.*\bin\s+[A-Z]", re.DOTALL),
     ("translate", "translation", "language")),
    (re.compile(r"^(?:how|why)\s+(?:do|does|did)\s+(?:(?!\bi\b)[a-z]+\s+){1,3}(?:work|function)\b", re.IGNORECASE),
     ("explain", "explanation", "describe", "description", "definition", "information", "info", "facts", "knowledge")),
)  # fmt: skip
"""Questions that are such a command in other words."""


def wants_other_work(request: str, about: str) -> bool:
    """Does the request begin with a command, or a question, for work of a kind that nothing in a tool's words speaks
    of: "delete" with a tool that only reads? about: the tool's name and descriptions."""
    asked = re.sub(r"^(?:hi|hey|hello|ok|so|and|please)[\s,]+", "", request.strip(), flags=re.IGNORECASE)
    asked = asked[:1].lower() + asked[1:]
    found = _COMMAND.match(request.strip())
    kinds = [kind for kind in _WORK if found and found["verb"].lower() in kind]
    kinds += [kind for pattern, kind in _ASKED if pattern.match(asked)]
    words = stems(about)
    return any(not words & {stem for verb in kind for stem in stems(verb)} for kind in kinds)
