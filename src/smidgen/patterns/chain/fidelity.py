"""What is wrong with a short version of a text: its length, its sentences, and what doesn't stand in the text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from smidgen.agent.answer_checks import is_looping
from smidgen.agent.numbers import known_numbers, said_numbers
from smidgen.patterns.chain.sentences import sentences, word_count
from smidgen.patterns.chain.terms import kept, stems

_OPENING = re.compile(
    r"^(?:(?:\*\*)?(?:summary|answer)(?:\*\*)?\s*:|(?:here is|here's)[^.:\n]{0,60}:)\s*", re.IGNORECASE
)
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_MARKUP = re.compile(r"^\s*(?:[-*•#>|]|\d{1,2}[.)]\s)|```|\*\*", re.MULTILINE)
FEWEST_WORDS = 3
"""Of a sentence."""


class Source:
    """A text that short versions are compared with; what it says is read once. numbers: whatever it may mean; words:
    all of them, in lower case and without endings."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.numbers = frozenset(known_numbers(text))
        self.words = frozenset(_bare(word) for word in _WORD.findall(text))


def tidied(text: str) -> str:
    """Without words around it: "Summary:", quotation marks about all of it."""
    plain = _OPENING.sub("", text.strip()).strip()
    if len(plain) > 1 and plain[0] == plain[-1] == '"' and plain.count('"') == 2:
        plain = plain[1:-1].strip()
    return plain


def problems(short: str, source: Source, *, words: int, keep: Sequence[str] = ()) -> tuple[str, ...]:
    """In words, all of them. words: the most it may have. keep: terms that it must hold."""
    return tuple(_problems(short, source, words, keep))


def _problems(short: str, source: Source, words: int, keep: Sequence[str]) -> Iterator[str]:
    if not short.strip():
        yield "it is empty"
        return
    if (count := word_count(short)) > words:
        yield f"it has {count} words, and may have {words}"
    if _MARKUP.search(short):
        yield "it is written as a list or with markup"
    lines = sentences(short)
    for line in lines:
        if reason := unsound(line):
            yield reason
            break
    if len({line.lower() for line in lines}) < len(lines) or is_looping(short):
        yield "it repeats itself"
    if numbers := invented_numbers(short, source):
        yield f"numbers that are not in the text: {', '.join(numbers)}"
    if names := invented_names(short, source):
        yield f"names that are not in the text: {', '.join(names)}"
    if lost := [term for term in keep if term not in kept(keep, short)]:
        yield f"it has lost: {', '.join(lost)}"


def unsound(sentence: str) -> str:
    """Why it isn't one whole sentence, "" if it looks like one."""
    if not re.search(r"[.!?][\"')\]”’]*$", sentence):
        return f"a sentence has no end: {_beginning(sentence)}"
    if not re.match(r"[\"'(\[“‘`_]?[A-Z0-9]", sentence) and not sentence[0].isalpha():
        return f"a sentence has no beginning: {_beginning(sentence)}"
    if word_count(sentence) < FEWEST_WORDS:
        return f"a sentence is too short: {_beginning(sentence)}"
    if any(sentence.count(left) != sentence.count(right) for left, right in ("()", "[]", "“”")):
        return f"a bracket isn't closed: {_beginning(sentence)}"
    return ""


def invented_numbers(short: str, source: Source) -> tuple[str, ...]:
    """Numbers, in digits or in words, none of whose readings the source can mean."""
    return tuple(
        short[said.start : said.end].strip()
        for said in said_numbers(short)
        if not any(abs(reading) in source.numbers for reading in said.readings)
        and not (len(said.readings) == 1 and said.readings[0] == 1)  # "one of them" counts nothing
    )


def invented_names(short: str, source: Source) -> tuple[str, ...]:
    """Words with a capital within a sentence that stand nowhere in the source, in whatever capitals."""
    found: list[str] = []
    for line in sentences(short):
        for number, match in enumerate(_WORD.finditer(line)):
            word = match[0]
            if number and word[0].isupper() and word not in ("I", "A") and _bare(word) not in source.words:
                found.append(word)
    return tuple(dict.fromkeys(found))


def mended(short: str, source: Source, *, words: int) -> str:
    """Without the sentences that don't stand the checks, and without the last ones where it is too long; "" if none is
    left. What is left may still lack terms."""
    good: list[str] = []
    for line in sentences(re.sub(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+", "", short, flags=re.MULTILINE).replace("**", "")):
        if line in good or problems(line, source, words=words):
            continue
        if word_count(" ".join([*good, line])) > words:
            break
        good.append(line)
    return " ".join(good)


def extract(source: str, terms: Sequence[str], *, words: int) -> str:
    """Sentences of the source itself, those first that add most terms for their words, in the source's order; "" where
    no sentence is short enough."""
    lines = [line for line in dict.fromkeys(sentences(source)) if not unsound(line)]
    counts = [word_count(line) for line in lines]
    wanted = [stems(term) for term in terms]
    named = frozenset[str]().union(*wanted)
    holding = [stems(line) & named for line in lines]
    taken: set[int] = set()
    there: frozenset[str] = frozenset()
    room = words
    while True:
        lacking = [term for term in wanted if not term <= there]
        gains = {
            at: sum(term <= holding[at] for term in lacking) / count
            for at, count in enumerate(counts)
            if at not in taken and count <= room
        }
        best = max(gains, key=lambda at: gains[at], default=None)
        if best is None or (taken and not gains[best]):
            return " ".join(lines[at] for at in sorted(taken))
        taken.add(best)
        there |= holding[best]
        room -= counts[best]


def _bare(word: str) -> str:
    """In lower case, without a genitive's or a plural's ending."""
    return re.sub(r"(?:['’]s?|s)$", "", word.lower())


def _beginning(sentence: str) -> str:
    return repr(sentence if len(sentence) <= 40 else sentence[:39] + "…")
