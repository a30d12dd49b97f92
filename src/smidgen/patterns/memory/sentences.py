"""Sentences of a text, and what of a message its sender says themself: not what they pasted into it."""

from __future__ import annotations

import re

_FENCED = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL)
_QUOTED_LINES = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_TITLED = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e|[A-Z])\.$")
_ABBREVIATED = re.compile(r"\b(?:Jr|Sr|etc|approx|a\.m|p\.m)\.$")
"""A sentence may end in these: a capital follows then."""
_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?=\s)|\n+")
_LONGEST_TITLE = 12
"""Characters, at least, that such a word may have with its full stop."""

_BLANK = re.compile(r"\s{20,}")
"""No one's words: shortened, because expressions that try each place of it would take its square in time."""

_ASKED = re.compile(r"\?[.!?…]*[\"'”’)]*$")

_GIVEN = re.compile(
    r"\b(?:translate|summari[sz]e|rewrite|rephrase|paraphrase|proofread|correct|fix|edit|improve|shorten|classify|"
    r"explain|continue|complete|convert|extract|analy[sz]e|review|transcribe|repeat|what does|what do you think of)\b"
    r"[^.!?\n:]{0,400}:",
    re.IGNORECASE,
)
"""Asks for work on a text that follows."""

_GIVEN_BELOW = re.compile(
    r"(?:^|[.!?\n]\s*)(?:(?:please|can you|could you|would you)\s+)*"
    r"(?:translate|summari[sz]e|rewrite|rephrase|paraphrase|proofread|correct|edit|improve|shorten|transcribe)\s"
    r"[^.!?\n]{0,80}?\b(?:this|these|it|following|below|text|letter|e-?mail|message|essay|article|paragraph|note|"
    r"post|speech|cv|cover letter)\b[^.!?\n]{0,80}[.!?]?[ \t]*\n",
    re.IGNORECASE,
)
"""The same without a colon, on a line of its own."""

_QUOTED = re.compile(r"(?<![\w\"“”])[\"“](?=\S)([^\"“”]*)[\"”]?")
_OF_SOMEONE = re.compile(r"\b(?:I|[Mm]y|[Ww]e|[Oo]ur|me|us)\b|[.!?…]\s")
"""In quotes: somebody's words, not a title or a name."""

QUOTED = "\0"
"""Stands for each character of such words."""

_INVENTED = re.compile(
    r"\b(?:pretend|imagine|suppose|role-?play|act as|hypothetically|write (?:me )?(?:a|an|the|some|me)\b|"
    r"make up|tell (?:me |us )?a (?:story|joke))",
    re.IGNORECASE,
)
"""Where "I" needn't be who writes."""


_SUPPOSED = re.compile(
    r"(?:(?:and|but|so|well|ok)\b[\s,]*)*(?:if|unless|assum(?:e|ing)|let['’]s (?:say|assume|pretend))\b", re.I
)
"""What isn't so."""


def sentences(text: str) -> list[str]:
    text = _BLANK.sub(_shorter, text)
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        word = text[max(start, match.end() - _LONGEST_TITLE) : match.end()]
        after = text[match.end() : match.end() + 40].lstrip()[:1]
        if match[0] == "." and (_TITLED.search(word) or (_ABBREVIATED.search(word) and after.islower())):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [piece for piece in found if piece]


def own_sentences(text: str) -> list[tuple[str, str]]:
    """What a user states: no code and no quoted lines, nothing that they only want worked on or invented, and no
    questions. Each as it is written, and with somebody else's words in it as `QUOTED`, of the same length."""
    plain = _FENCED.sub("\n", _BLANK.sub(_shorter, text))
    plain = _BLANK.sub(_shorter, _QUOTED_LINES.sub("\n", plain))
    starts = [match.start() for match in (_GIVEN.search(plain), _GIVEN_BELOW.search(plain)) if match is not None]
    plain = plain[: min(starts, default=len(plain))]
    masked = _QUOTED.sub(_mask, plain)
    stated: list[tuple[str, str]] = []
    end = 0
    for sentence in sentences(plain):
        start = plain.index(sentence, end)
        end = start + len(sentence)
        if _INVENTED.search(sentence):
            break
        if not _ASKED.search(sentence) and not _SUPPOSED.match(sentence):
            stated.append((sentence, masked[start:end]))
    return stated


def _shorter(blank: re.Match[str]) -> str:
    return "\n" if "\n" in blank[0] else " "


def _mask(quote: re.Match[str]) -> str:
    return QUOTED * len(quote[0]) if _OF_SOMEONE.search(quote[1]) else quote[0]
