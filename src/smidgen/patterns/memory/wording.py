"""How facts and requests are put to the model."""

from __future__ import annotations

import re

_LOOKUP = re.compile(
    r"(?:(?:so|and|ok|okay|hey|hi|please|remind me|tell me|sorry)\b[\s,:]*)*"
    r"(?:(?:in|on|at|by|until|since|from|for|to|with)\s+)?"
    r"(?:who(?:se|m)?|what|which|when|where|how (?:much|many|old|long|tall|big|far|often)|"
    r"do you (?:remember|know|recall)|is|are|am|was|did|do|does)(?:['’](?:s|re))?\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:should|could|would|best|better|good|way|ways|think|tips?|ideas?|advice|recommend\w*|suggest\w*|help|mean|why|"
    r"explain|difference|write|make|example)\b",
    re.IGNORECASE,
)
LONGEST_LOOKUP = 20
"""Words."""


def looks_up(request: str) -> bool:
    """Whether it asks what is so, not what to do or how something works: a short question for a name, a number, a
    date."""
    text = request.strip()
    if not text.endswith("?") or "\n" in text or len(text.split()) > LONGEST_LOOKUP:
        return False
    return _LOOKUP.match(text) is not None and _ADVICE.search(text) is None


def stated(text: str) -> str:
    """A clause as a sentence."""
    text = " ".join(text.split()).rstrip(".!… ")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
