"""What a user says that is worth keeping, found by rules for English: no model is asked, so nothing is invented.

A statement counts if it is the user's own (see `sentences`) and is about them or theirs: names, numbers, dates,
places, tastes, and whatever they ask to be remembered. What an assistant or a tool says never does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from smidgen.patterns.memory.sentences import QUOTED, own_sentences
from smidgen.patterns.memory.statements import Plain, plain_statement, split_statements
from smidgen.patterns.memory.subjects import PAST, subject, words_of
from smidgen.patterns.memory.wording import stated

MOST_IN_MESSAGE = 12
LONGEST = 300
"""Characters of a statement: longer ones are texts."""

NEAR = 3
"""User messages back to which "no, it's ..." may refer."""

_LEAD = re.compile(
    r"(?:(?:hi|hello|hey|oh|well|ok|okay|so|and|also|but|yes|yeah|right|thanks|thank you|great|btw|by the way|fyi|"
    r"for the record|just so you know|so you know|one more thing|another thing|before i forget|quick note|"
    r"for (?:your )?(?:info|information|context|reference)|please|in case (?:it matters|you need it))\b[\s,.:;!–—-]*)+",
    re.IGNORECASE,
)
_REMEMBER = re.compile(
    r"(?:(?:can|could|would) you )?(?:please )?(?:remember|note|keep in mind|bear in mind|do(?:n['’]t| not) forget|"
    r"make a note|take note|write down)(?: this| for (?:me|later))?\s*[,:]?\s*(?:that\s+)?"
    r"(?!(?:to|when|how|what|where|who|if|me|we|it|this|those|these)\b)(?=\S)",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"(?:(?:no|nope|actually|sorry|wait|correction|oops|ah|hang on|hold on|scratch that|my mistake|my bad|"
    r"i was wrong(?: (?:about|before|earlier)[^,.:;]*)?|i made a mistake(?: (?:about|before|earlier)[^,.:;]*)?|"
    r"i misspoke|i meant(?: to say)?|i mean|that['’]s (?:wrong|not right)|not quite|small update|update|"
    r"change of plans?)\b[\s,.:;!–—-]*)+",
    re.IGNORECASE,
)
_IT = re.compile(
    r"(?:it|that|this|he|she|they)(?:['’]s|['’]re| is| are| was| should (?:be|have been)| will be| ought to be"
    r"|(?:['’]s| has| have)?(?: been)? (?:changed|moved) to)"
    r"\s+(?:now\s+|actually\s+|really\s+|supposed to be\s+)*(?P<value>.+)|"
    r"(?:make|let['’]s make) (?:it|that)\s+(?P<made>.+)",
    re.IGNORECASE,
)
_NOW = re.compile(r"\b(?:now|no longer|any ?more|nowadays|instead|changed|moved|these days|new)\b", re.IGNORECASE)
_NOT = re.compile(r"(?:,\s*(?:and )?not|,?\s*(?:rather than|instead of))\s+(?P<old>[^,.;]+)$", re.IGNORECASE)
_LAST_THING = re.compile(r"\b(?P<thing>(?:my|our)(?:\s+[\w'’-]+){1,2})[.!\s]*$", re.IGNORECASE)
_IS_NOT = re.compile(
    r"(?P<thing>(?:my|our|the)\s+[^\s,.;:!?]+(?:\s+[^\s,.;:!?]+){0,3}?)\s+(?:is|are|was|were)(?:n['’]t| not)\b",
    re.IGNORECASE,
)
_IT_IS = re.compile(
    r"it(?:['’]s| is| was| will be|['’]ll be)\s+(?!(?:a|an|the|so|very|really|too|not|been)\b)", re.IGNORECASE
)
_PLACED = re.compile(r"(?:in|at|on|from|to|for)\b", re.IGNORECASE)


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """source: of the message, as given. place: which of the message's; turn: which of the user's messages, from 1 on.
    subject: see `subjects`; "" if nothing replaces it. family: of statements that are of one form. opening: the text
    without its value."""

    source: str
    turn: int
    place: int
    subject: str
    family: str
    text: str
    value: str
    opening: str
    said: str


class _Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence or clause. around: the whole message. asked: to be remembered. corrects: what was said before. plain:
    as a rule reads it."""

    said: str
    around: str
    text: str
    asked: bool
    corrects: bool
    plain: Plain | None


def statements(messages: Sequence[tuple[str, str]]) -> list[Statement]:
    """messages: of the user, in order, each with its source. Of each, what it states."""
    found: list[Statement] = []
    for turn, (source, text) in enumerate(messages, start=1):
        place = 0
        for piece in pieces(text):
            statement = _read(piece, found, source, turn, place)
            if statement is not None and place < MOST_IN_MESSAGE:
                found.append(statement)
                place += 1
    return found


@lru_cache(maxsize=4096)
def pieces(text: str) -> tuple[_Piece, ...]:
    """What of one message may be a statement, by itself."""
    made: list[_Piece] = []
    thing = ""
    for sentence, masked in own_sentences(text):
        asked = corrects = False
        rest = sentence
        for _ in range(3):
            rest = _LEAD.sub("", rest, count=1) if _LEAD.match(rest) else rest
            if match := _CORRECTION.match(rest):
                corrects, rest = True, rest[match.end() :]
            if match := _REMEMBER.match(rest):
                asked, rest = True, rest[match.end() :]
        if not asked:
            rest = masked[len(masked) - len(rest) :]
        clauses = split_statements(rest)
        for number, clause in enumerate(clauses):
            denied = _IS_NOT.match(clause) if number + 1 < len(clauses) and _IT_IS.match(clauses[number + 1]) else None
            if thing and (match := _IT_IS.match(clause)) and (number or not corrects):
                clause = f"{thing} is {clause[match.end() :]}"  # "I'm planning my trip. It's in May."
            last = denied or _LAST_THING.search(clause)
            thing = last["thing"] if last else ""
            if 0 < len(clause) <= LONGEST and QUOTED not in clause and not denied:
                plain = plain_statement(clause)
                piece = _Piece(said=sentence, around=text, text=clause, asked=asked, corrects=corrects, plain=plain)
                made.append(piece)
    return tuple(made)


def _read(piece: _Piece, before: Sequence[Statement], source: str, turn: int, place: int) -> Statement | None:
    def made(key: str, family: str, text: str, value: str, opening: str = "") -> Statement:
        return Statement(
            source=source,
            turn=turn,
            place=place,
            subject=key,
            family=family,
            text=text,
            value=value,
            opening=opening,
            said=piece.said,
        )

    changes = piece.corrects or bool(_NOW.search(piece.text))
    plain = piece.plain
    if plain is None or not plain.strong:
        corrected = _corrected(piece, before, turn) if changes else None
        if corrected is not None:
            target, value = corrected
            text = _joined(target.opening, value)
            return made(target.subject, target.family, text, value, target.opening)
    if plain is None:
        if not piece.asked:
            return None
        return made("", "", stated(piece.text), "")
    value = _NOT.sub("", plain.value).strip(" .!")
    key = subject(plain.phrase, value, plain.relation) if plain.phrase else ""
    if changes:
        key = _replaced(plain, key, before) or key
    text = stated(f"{plain.opening} {value}" if plain.opening else piece.text)
    return made(key, plain.family, text, value, plain.opening)


def _corrected(piece: _Piece, before: Sequence[Statement], turn: int) -> tuple[Statement, str] | None:
    """What "no, it's ..." is about, and the new value."""
    about = set(words_of(piece.around))
    named = [one for one in before if one.opening and one.subject and set(_base(one.subject)) <= about]
    near = named or [one for one in before if one.opening and turn - one.turn <= NEAR]
    if not near:
        return None
    match = _IT.match(piece.text)
    value = (match["value"] or match["made"]) if match else piece.text
    old = _NOT.search(value)
    value = re.sub(r"\s+now$", "", _NOT.sub("", value).strip(" .!"))
    if not match and not (piece.corrects and len(value.split()) <= 4 and re.search(r"\d|[A-Z]", value)):
        return None
    if not value or len(value.split()) > 12:
        return None
    if old is not None:
        words = set(words_of(old["old"]))
        denied = [one for one in before if one.opening and words and words <= set(words_of(one.value))]
        if denied:
            return denied[-1], value
    return near[-1], value


def _base(key: str) -> list[str]:
    """The words of the thing that a subject is about."""
    return key.partition(" | ")[0].split()


def _joined(opening: str, value: str) -> str:
    """ "You live in" and "in Bergen"; "Your code is" and "5512"."""
    first, _, last = opening.rpartition(" ")
    if _PLACED.match(value) and _PLACED.fullmatch(last):
        opening = first
    return stated(f"{opening} {value}")


def _replaced(plain: Plain, key: str, before: Sequence[Statement]) -> str:
    """The subject of an earlier statement that one which says "now" or "no longer" is about; "" if there is none."""
    about = set(_base(key))
    if not re.search(r"\b(?:was|were)$", plain.opening):
        about.discard(PAST)  # "my old code is now 5512"
    words = set(words_of(plain.value))
    for one in reversed(before):
        if not one.subject:
            continue
        if one.subject == key:
            return key
        if plain.phrase and about and about == set(_base(one.subject)):
            return one.subject
        if plain.family and plain.family == one.family:
            return one.subject
        if plain.negated and words and words <= set(words_of(one.value)):
            return one.subject
    return ""
