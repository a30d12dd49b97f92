"""A request's clauses: what is asked in each, what only tells something, what is said out of courtesy."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smidgen.agent.numbers import has_number
from smidgen.agent.rules.spans import dates, durations

_STRONG = re.compile(
    r"(?:(?<=[.!?;])\s+|(?<=[a-z]:)\s+(?=(?:what|which|when|how|is|give|show|tell)\b)|\s*\n+\s*|(?:^|(?<=[\s,:]))\(?\d\)\s+|,?\s+(?:and\s+)?then\s+|,?\s+and\s+also\s+)(?=\S)",
    re.IGNORECASE,
)
_WEAK = re.compile(r"(?:,\s+(?:and\s+)?(?:also\s+)?|\s+and\s+(?:also\s+)?|\s+&\s+)(?=\S)", re.IGNORECASE)
_COURTESY = re.compile(
    r"(?:(?:hi|hello|hey|hey there|hi there|hello there|good (?:morning|evening|afternoon|day)|quick|ok|okay|oh|well|so"
    r"|please|pls|plz|thanks(?: a lot| so much| in advance)?|thank you(?: very much| so much)?|thx|cheers"
    r"|one more thing|quick question|a question|another (?:one|question))[\s,.!:]*)+",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|oh|well|so|now|and|also|please|pls|plz|quick|then|there)\b[\s,:!]*"
    r"|(?:could|can|would|will)\s+(?:you|u)\s+(?:please\s+|just\s+|quickly\s+)?|(?:please\s+)?(?:tell|give)\s+me\s+(?=what|which|how|the|when)"
    r"|do\s+you\s+know\s+(?=what|which|how|the|when)|i(?:['’]d)?\s+(?:want|need|would\s+like|like)\s+to\s+know\s+)+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?:[\s,]+(?:please|pls|plz|thanks(?:\s+a\s+lot)?|thank\s+you|thx|again|for\s+me|while\s+you['’]re\s+at\s+it"
    r"|by\s+any\s+chance|exactly|actually|right\s+now|lol))+$",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"^(?:what|which|who|whom|whose|where|when|why|how|is|are|was|were|does|do|did|can|could|will|would|shall|should|has|have"
    r"|am|isn['’]t|aren['’]t)\b",
    re.IGNORECASE,
)
_WH = re.compile(r"^(?:what|which|who|where|when|why|how)\b", re.IGNORECASE)
_TELLS = re.compile(
    r"^(?:(?:i|i['’]m|i['’]ve|we|we['’]re|my|our|it|it['’]s|he|she|they|the|this|that|there|a|an|his|her|their|one|\d+)\b|if\s+i\b|if\s+we\b)",
    re.IGNORECASE,
)
_COMMANDS = re.compile(
    r"^(?:write|tell|explain|give|make|send|translate|call|set|book|delete|remind|show|list|read|open|save|put|find|search|look"
    r"|convert|calculate|compute|solve|work\s+out|create|summari[sz]e|describe|compare|suggest|recommend|draft|email|play|turn|buy|order|add)\b",
    re.IGNORECASE,
)
_WISH = re.compile(r"\b(?:need|want|would\s+like|wish|have\s+to\s+know|let\s+me)\b", re.IGNORECASE)


def bare(text: str) -> str:
    """Without what is said out of courtesy before and after it, and without the mark at its end."""
    shorn = _LEAD.sub("", text.strip()).strip()
    shorn = _TAIL.sub("", shorn.rstrip("?!. ")).strip()
    return shorn.rstrip("?!.,;: ")


def strong(text: str) -> tuple[str, ...]:
    """Sentences, numbered points, and what "then" joins."""
    return _parts(_STRONG, text)


def weak(text: str) -> tuple[str, ...]:
    """What commas and "and" join. The comma of a date, as in "May 17, 2001", joins nothing."""
    return _parts(_WEAK, text, [(span.start, span.end) for span in dates(text)])


def _parts(pattern: re.Pattern[str], text: str, whole: Sequence[tuple[int, int]] = ()) -> tuple[str, ...]:
    pieces: list[str] = []
    at = 0
    for joint in pattern.finditer(text):
        if any(start < joint.start() < end for start, end in whole):
            continue
        pieces.append(text[at : joint.start()])
        at = joint.end()
    pieces = [piece.strip(" ,") for piece in (*pieces, text[at:])]
    return tuple(piece for piece in pieces if piece)


def is_courtesy(text: str) -> bool:
    return _COURTESY.fullmatch(text.strip().rstrip("?!., ") + " ") is not None


def only_tells(text: str) -> bool:
    """A statement: neither a question nor a command nor a wish."""
    shorn = bare(text)
    return not text.rstrip().endswith("?") and bool(_TELLS.match(shorn)) and not _WISH.search(shorn)


def is_purpose(text: str) -> bool:
    """What the answer is wanted for: "I need it for a form", "I want to know what it says"."""
    return (
        re.match(r"(?:i|we)\s+(?:just\s+|only\s+)?(?:need|want)\b.*\b(?:it|that|them)\b", text.strip(), re.IGNORECASE)
        is not None
    )


def questions(text: str) -> int:
    """How many of its clauses begin as a question or a command does."""
    parts = [part for clause in strong(text) for part in weak(clause)]
    return sum(bool(_WH.match(bare(part)) or _COMMANDS.match(bare(part))) for part in parts)


def counts(text: str) -> bool:
    """Does it hold a number, a date or a length of time?"""
    return bool(has_number(text) or dates(text) or durations(text))


def is_taken_back(text: str) -> bool:
    """Does it correct itself on the way: "for Monday, I mean Tuesday"?"""
    return (
        re.search(r"\b(?:i\s+mean|i\s+meant|no\s+wait|wait,?\s+no|scratch\s+that|or\s+rather)\b", text, re.IGNORECASE)
        is not None
    )


def is_request(text: str) -> bool:
    """Does it begin as a question or a command does?"""
    return bool(_ASKS.match(bare(text)) or _COMMANDS.match(bare(text)))


def is_command(text: str) -> bool:
    return bool(_COMMANDS.match(bare(text)))


def following(text: str, before: str) -> str | None:
    """A request that leans on the one before it, spelled out: after "What is 12 oz in grams?", "and 16?"."""
    lead = re.match(r"(?:and|what\s+about|how\s+about)\s+(?P<rest>.+)$", text, re.IGNORECASE)
    if lead is None:
        return None
    rest = bare(lead["rest"])
    numbers = re.findall(r"\d+(?:[.,]\d+)*", before)
    if re.fullmatch(r"\d+(?:[.,]\d+)*", rest) and len(numbers) == 1:
        return before.replace(numbers[0], rest)
    return elliptic(rest, before)


def elliptic(text: str, before: str) -> str | None:
    """A clause that leans on the one before, spelled out: after "look for Kiel", "for Rome" is "look for Rome"."""
    shorn, earlier = bare(text), bare(before)
    lead = re.match(r"(for|in|to|until|till|from|at|on|of)\s+\S", shorn, re.IGNORECASE)
    if lead is not None:
        place = re.search(rf"\b{lead[1]}\s", earlier, re.IGNORECASE)
        return earlier[: place.start()] + shorn if place else None
    many = re.match(r"how\s+many(?=\s+(?:until|till|to|from|between|since)\b)", shorn, re.IGNORECASE)
    noun = re.search(r"\bhow\s+many\s+(\w+)", earlier, re.IGNORECASE)
    return f"{many[0]} {noun[1]}{shorn[many.end() :]}" if many and noun else None
