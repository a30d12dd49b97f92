"""Whether two requests that sentence embeddings put near each other may mean the same. Pure.

Embeddings hardly see what decides: numbers, names, a "not", a "from" for a "to". So whatever differs in one of these is
another request, and so is one where a word stands for another, or words come in another order. The lists are of
English words; in other languages the rule about replaced words holds nearly alone, which is the strict one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

LONGEST = 300
"""Characters of a request that is compared at all: in a longer one, what decides hardly moves its vector."""

_QUOTED = re.compile(
    r"\"([^\"]+)\"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)|(?<!\w)‘([^’]+)’"
)
_EXACT = re.compile(r"\w+(?:[@/\\:#_.]+\w+)+|\w*[^\W\d_]\d\w*|--?[a-z][\w-]*")
"""Addresses, paths, identifiers, options: what is the same only if it is the same."""
_SIGNS = re.compile(
    r"[^\w\s.,;:!?…¿¡'\"‘’“”„«»`–—\-。，、？！；：]|_|(?<![^\W\d_])[-–](?=\s|\d)|(?<=\d)!|(?<!\S)[.,;:!?…'–—\-]+(?=\s)"
)
"""Of calculations, brackets, currencies, emoji, accents that stand alone; all but what ends or parts a sentence, and
that too where it stands alone or, as a factorial, behind a number."""
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_PIECE = re.compile(f"(?P<number>{_NUMBER.pattern})|(?P<sign>{_SIGNS.pattern})|(?P<word>{_WORD.pattern})")
_POLITE = re.compile(
    r"^(?:(?:(?:can|could|would|will) you(?: please)?(?: just)? (?:tell me|explain(?: to me)?|help me(?: to)?|show me)|"
    r"(?:i(?:'d| would) like to|i want to|i need to) know|do you know|tell me|explain(?: to me)?|show me|"
    r"please|kindly|hi(?: there)?|hello|hey)\b[\s,.:!]*)+|"
    r"(?:\bplease|[,.?!]\s*(?:thanks(?: a lot)?|thank you))[\s.?!]*$",
    re.IGNORECASE,
)
"""What is said around a question, and isn't part of it."""


def _kinds() -> dict[str, str]:
    """Words that decide by being there, and what they stand for. Those that stand for the same may be exchanged."""
    same = {
        "not": "not no never none nobody nothing neither nor without cannot can't cant don't dont doesn't doesnt "
        "didn't didnt isn't isnt aren't arent wasn't wasnt weren't weren won't wont wouldn't wouldnt shouldn't "
        "shouldnt haven't havent hasn't hasnt couldn't couldnt unable impossible hardly except excluding unless "
        "instead",
        "I": "i me my mine myself i'm im i've ive i'd i'll",
        "you": "you your yours yourself you're you've",
        "he": "he him his himself he's",
        "she": "she her hers herself she's",
        "we": "we us our ours ourselves we're",
        "they": "they them their theirs themselves they're",
        "past": "was were did had been wasn't wasnt weren't didn't didnt hadn't ago",
        "future": "will won't wont i'll upcoming",
        "who": "who who's whos whom whose",
        "how": "how how's hows",
    }
    alone = (
        "when where why which must should may might could would "
        "in on at by for with about of "
        "from before after above below over under off out up down against than until till since into onto through "
        "during between among within outside inside behind beyond via per only also again still already yet even "
        "all some any every each both either if or and but because while "
        "more most less least fewer many much long far old often fast deep tall high low big large small short "
        "better best worse worst larger largest smaller smallest bigger biggest longer longest shorter shortest higher "
        "highest lower lowest older oldest newer newest younger youngest first last next previous earliest "
        "left right north south east west same different other another opposite "
        "january february march april june july august september october november december "
        "monday tuesday wednesday thursday friday saturday sunday am pm noon midnight morning afternoon evening night "
        "second seconds minute minutes hour hours day days week weeks month months year years decade century "
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
        "billion dozen "
        "half quarter third twice double triple plus minus times divided"
    )
    found = {word: word for word in alone.split()}
    found |= {word: meant for meant, words in same.items() for word in words.split()}
    return found


_DECIDING: Mapping[str, str] = _kinds()
_LIGHT_WORDS = (
    "a an the to as is are am be being it its it's this that these those there here what what's whats do does has have "
    "can so then ok okay"
)
_LIGHT = frozenset(_LIGHT_WORDS.split())
"""Words that may be there or not."""
_ASKING_WORDS = "is are am was were do does did has have had can could may might should would will must"
_ASKING = frozenset(_ASKING_WORDS.split())
"""Words that a question begins with that wants a yes or a no."""
_MOVABLE = frozenset({"why", "past", "still", "yet", "already"})
"""What may stand elsewhere: "Why was I charged?", "I have been charged, why?"."""
_PRESENT = frozenset({"is", "are", "am", "be", "do", "does", "it's", "what's"})
"""Beside these it matters which of the verbs is in the past."""
_ENDINGS = ("'s", "’s", "ies", "es", "s")


def difference(one: str, other: str) -> str:
    """Why they can't mean the same, in words for people; "" if they can. Symmetric."""
    if max(len(one), len(other)) > LONGEST or "\n" in one.strip() or "\n" in other.strip():
        return "only single lines of moderate length are compared"
    for what, parts in (("quoted or exact texts", _exact), ("numbers", _numbers), ("signs", _signs)):
        if parts(one) != parts(other):
            return f"their {what} differ"
    ours, theirs = _words(one), _words(other)
    if _asks_yes_or_no(ours) != _asks_yes_or_no(theirs):
        return "only one asks for a yes or a no"
    if different := _unlike(map(_decides, ours), map(_decides, theirs)):
        return f"only one says {different!r}"
    if different := _unlike(_content(ours), _content(theirs)):
        return f"only one speaks of {different!r}"
    return "" if _pieces(one) == _pieces(other) else "their words come in another order"


def _exact(text: str) -> list[str]:
    quoted = ["".join(groups) for groups in _QUOTED.findall(text)]
    rest = _QUOTED.sub(" ", text)
    # "IT" isn't "it", nor is "Mb" "MB", though embedders see no capitals.
    capitals = (word for word in _WORD.findall(rest) if word[1:] != word[1:].lower() and word not in ("AM", "PM"))
    return [*quoted, *_EXACT.findall(rest), *capitals]


def _numbers(text: str) -> list[str]:
    return _NUMBER.findall(text)


def _signs(text: str) -> list[str]:
    return _SIGNS.findall(text)


def _words(text: str) -> list[str]:
    return [_spelt(word) for word in _WORD.findall(_POLITE.sub(" ", text.strip()))]


def _spelt(word: str) -> str:
    return word.replace("’", "'").casefold()


def _pieces(text: str) -> list[str]:
    """Whatever decides or carries meaning, in its order: "to Rome from Paris" has all the words of the way back."""
    said = _POLITE.sub(" ", text.strip())
    free = _MOVABLE if _PRESENT.isdisjoint(_words(text)) else _MOVABLE - {"past"}
    found: list[str] = []
    for match in _PIECE.finditer(said):
        word = _spelt(match[0])
        if not match["word"]:
            found.append(match[0])
        elif word in _DECIDING:
            found += [_DECIDING[word]] if _DECIDING[word] not in free else []
        else:
            found += _content([word])
    return found


def _asks_yes_or_no(words: list[str]) -> bool:
    return bool(words) and words[0] in _ASKING


def _decides(word: str) -> str:
    return _DECIDING.get(word, "")


def _content(words: Iterable[str]) -> list[str]:
    """Of words that carry what a text is about, the stems, in their order."""
    return [_stem(word) for word in words if word not in _LIGHT and word not in _DECIDING]


def _stem(word: str) -> str:
    """Without the endings of a plural or a genitive; no others, as "married" and "marry" needn't be the same."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _unlike(ours: Iterable[str], theirs: Iterable[str]) -> str:
    """Something that one has more often than the other, "" if there is nothing."""
    mine, others = Counter(filter(None, ours)), Counter(filter(None, theirs))
    return next(iter((mine - others) + (others - mine)), "")
