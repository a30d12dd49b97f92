"""What kind of work a command asks for, as far as its verb tells: nearness can't tell "delete" from "write"."""

from __future__ import annotations

import re

from smidgen.tools.words import stems

_WORK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("delete", "remove", "erase"), ()), (("rename", "move"), ("reschedule",)), (("copy", "duplicate"), ()),
    (("send", "email", "mail"), ()), (("call", "phone", "ring"), ()), (("book", "reserve"), ("reservation", "booking")),
    (("buy", "order", "purchase"), ()), (("translate",), ("translation",)), (("remind", "reminder"), ()),
    (("alarm", "timer", "wake"), ()), (("play",), ()), (("print",), ()), (("download",), ()), (("install",), ()),
    (("summarize", "summarise", "sum"), ("summary", "add", "total")),
)  # fmt: skip
"""Verbs for one kind of work, and other words by which a tool that does it is told."""
_COMMAND = re.compile(
    r"^(?:(?:please|hey|hi|ok|and|then|now)[\s,]+|(?:can|could|would|will)\s+you\s+(?:please\s+)?)*"
    r"(?:set\s+an?\s+)?(?P<verb>[a-z]+)\b",
    re.IGNORECASE,
)


_SAY = re.compile(
    r"^how\s+(?:do|would|can)\s+(?:you|i|we)\s+(?:say|spell|pronounce|write)\b.*\bin\s+(?!Roman|Morse|Binary|Hex)[A-Z]",
    re.DOTALL,
)
_WORKS = re.compile(
    r"^(?:how|why)\s+(?:do|does|did)\s+(?:(?!\bi\b)[a-z]+\s+){1,3}(?:work|function)\s*(?:[?.!]|$)", re.IGNORECASE
)
_ASKED = (
    (_SAY, ("translate", "translation", "language")),
    (_WORKS, ("explain", "explanation", "describe", "definition", "information", "info", "facts", "knowledge",
              "article", "web", "wikipedia", "lookup")),
)  # fmt: skip
"""Questions that are such a command in other words, with the words by which a tool that does it is told."""


def wants_other_work(request: str, about: str) -> bool:
    """Does the request begin with a command, or a question, for work of a kind that nothing in a tool's words speaks
    of: "delete" with a tool that only reads? about: the tool's name and descriptions."""
    asked = re.sub(r"^(?:hi|hey|hello|ok|so|and|please)[\s,]+", "", request.strip(), flags=re.IGNORECASE)
    asked = asked[:1].lower() + asked[1:]
    words = stems(about)
    found = _COMMAND.match(request.strip())
    kinds = [(*verbs, *also) for verbs, also in _WORK if found and found["verb"].lower() in verbs]
    kinds += [told for pattern, told in _ASKED if pattern.match(asked)]
    return any(not words & {stem for word in kind for stem in stems(word)} for kind in kinds)
