"""Words in the plain sense: stems, without the words that every request has. Pure."""

from __future__ import annotations

import re

_COMMON = {
    "the", "a", "an", "of", "to", "in", "is", "it", "and", "or", "what", "how", "do", "does", "me", "my", "i",
    "you", "that", "this", "with", "on", "at", "from", "by", "be", "are", "was", "some", "which", "there", "one",
    "tell", "write", "get", "show", "for", "example", "name", "value", "give", "find", "out", "may", "can", "given",
    "using", "please", "would", "like", "number", "specific", "default", "optional", "whether", "if", "type", "list",
    "string", "should", "calculate", "use", "used", "all", "want", "need", "will", "have", "has", "not",
}  # fmt: skip
_ENDINGS = ("ing", "ies", "ed", "es", "s", "ly", "e")


def spaced(name: str) -> str:
    """An identifier's words: `getUser_name` as "get User name"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").replace(".", " ")


def stems(text: str) -> set[str]:
    """Words of two letters and more, in lower case, without common words and endings."""
    found = re.findall(r"[^\W\d_]{2,}", spaced(text).lower())
    return {_stem(word) for word in found if word not in _COMMON}


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
