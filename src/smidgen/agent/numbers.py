"""Numbers that a text says, in every reading that a tool may ask for: 15% as 15 and 0.15, 11 PM as 11 and 23."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal

from smidgen.agent.compounds import Said, joined

_WRITTEN = re.compile(
    r"(?P<comma>(?:\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d)|(?<![\d,.])\d+,\d{1,2}(?=\s?(?:[%€]|(?:[ckm]?m|k?g|[mc]?l|k?wh|euros?)\b))))"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3}(?![\w])|\s?[x×*]\s?10\s?\^\s?[-−]?\d{1,3}(?![\w]))?|(?<![\d\w])\.\d+)"
)
_SIGN = re.compile(r"(?:(?<![\w)\d])[-−]\s?|\b(?:minus|negative)\s+)$", re.IGNORECASE)
_PERCENT = re.compile(r"\s*(?:%|per\s?cent\b|percent\b|percentage\b)", re.IGNORECASE)
_SCALE = re.compile(
    r"(?:\s*-?(?:thousand|million|billion|trillion|dozen|hundred)|(?:k|m|bn))\b(?![/^²³])", re.IGNORECASE
)
_PI = re.compile(r"\s*(?:\*\s*)?(?:pi\b|π)", re.IGNORECASE)
_COMPASS = re.compile(r"\s*(?:°\s*)?(?:[WS]\b|west\b|south\b)")
_REST = re.compile(r"\b(?:(?:at|from)\s+rest|standstill|stationary)\b", re.IGNORECASE)
BEYOND = 1e300
PI = Decimal("3.14159265358979")
_CLOCK = re.compile(r"(?::(?P<minutes>\d\d))?\s*(?P<half>[ap])\.?m\b", re.IGNORECASE)
_RATIO = re.compile(r"\s*/\s*(\d+(?:\.\d+)?)(?![\d/])")
SCALES = {
    "k": 1000, "m": 1_000_000, "bn": 10**9, "hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 10**9,
    "trillion": 10**12, "dozen": 12,
}  # fmt: skip
_CARDINALS: dict[str, int | str] = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_ORDINALS: dict[str, int | str] = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10,
}  # fmt: skip
_TIMES: dict[str, int | str] = {
    "dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 10**9,
}  # fmt: skip
"""What multiplies the words before it."""
_SHARES: dict[str, int | str] = {"half": "0.5", "quarter": "0.25", "twice": 2, "double": 2, "triple": 3}
WORDS: dict[str, int | str] = {
    **_CARDINALS, **_ORDINALS, **_TIMES, **_SHARES,
    "pair": 2, "couple": 2, "once": 1, "single": 1, "decade": 10, "century": 100, "fortnight": 14,
}  # fmt: skip
_COUNTING = {*_CARDINALS, *_TIMES, *_SHARES}
_IMPLIED: dict[str, int | str] = {"week": 7}
"""What a check lets pass, but no call is filled with."""
_UNIT_OF_TIME = re.compile(r"(?:\b(?:a|per|each|every|one|any)\s+|[\d/]\s*-?\s*)$", re.IGNORECASE)
"""Before "second"."""
_SHORT = 16
"""Characters before a number that are looked at."""


def said_numbers(text: str) -> tuple[Said, ...]:
    """Numbers in digits and in words, in the order in which they stand; what is at rest has 0. Never raises."""
    rest = (Said(readings=(Decimal(0),), start=match.start(), end=match.end()) for match in _REST.finditer(text))
    found = joined(text, [*_in_digits(text), *_in_words(text), *rest])
    return tuple(sorted(found, key=lambda said: said.start))


def reads_as(readings: Iterable[Decimal], value: float) -> bool:
    """Is one of the readings this number, as far as floats tell? Whole numbers beyond all floats are none."""
    return abs(value) < BEYOND and any(
        abs(float(reading) - value) <= 1e-9 * max(1e-300, abs(value)) for reading in readings
    )


def is_ordinal(text: str, said: Said) -> bool:
    """Does it tell a place in an order ("the first") instead of an amount?"""
    return text[said.start : said.end].lower() in _ORDINALS


def readings(text: str) -> tuple[Decimal, ...]:
    """Every reading of every number said, once each."""
    return tuple(dict.fromkeys(reading for said in said_numbers(text) for reading in said.readings))


def written(text: str) -> Iterator[Decimal]:
    """Numbers in digits as they stand, without their signs, percents and scales. Never raises."""
    for match in _WRITTEN.finditer(text):
        with suppress(ArithmeticError):
            yield _plain(_decimal(_digits(match)))


def known_numbers(text: str) -> set[Decimal]:
    """Whatever number a text may stand for, signs aside: every reading, and every word by itself. Of "two hundred" 200,
    2 and 100, of "three quarters" 3, 0.25 and 4. For checks, which had better let pass too much than too little."""
    known = {abs(reading) for reading in readings(text)}
    for value in (WORDS.get(word, _IMPLIED.get(word)) for word in _words(text)):
        if value is not None:
            number = Decimal(value)
            known |= {_plain(number), _plain(1 / number)} if 0 < number < 1 else {_plain(number)}
    return known


_SPAN_OF_TIME = re.compile(
    r"\b(?:next|last|past|this|coming|previous|an?|per|each)\s+(?:hour|day|week|fortnight|month|quarter|year|decade)\b",
    re.IGNORECASE,
)


def implied_numbers(text: str) -> int:
    """How many numbers are meant without being said: "next week" may be 7 days."""
    return sum(1 for _ in _SPAN_OF_TIME.finditer(text))


def has_number(text: str) -> bool:
    """Does it count anything, in digits or in words? "first" and "once" don't."""
    return any(letter.isdecimal() for letter in text) or any(word in _COUNTING for word in _words(text))


def _words(text: str) -> Iterator[str]:
    """Words in lower case; of a number's plural, the singular. "seconds" are units of time."""
    for word in re.findall(r"[a-z]+", text.lower()):
        single = word[:-1] if word.endswith("s") and word != "seconds" else word
        yield single if single in WORDS or single in _IMPLIED else word


def _in_digits(text: str) -> Iterator[Said]:
    for match in _WRITTEN.finditer(text):
        with suppress(ArithmeticError):
            yield _read(text, match)


def _read(text: str, match: re.Match[str]) -> Said:
    """Raises ArithmeticError for a number beyond all bounds."""
    number = _decimal(_digits(match))
    end = match.end()
    found = [number]
    if percent := _PERCENT.match(text, end):
        found.append(number / 100)
        end = percent.end()
    elif scale := _SCALE.match(text, end):
        word = scale[0].strip(" -").lower()
        # "100m" are metres as often as millions.
        found.insert(1 if word == "m" else 0, number * SCALES[word])
        end = scale.end()
    elif (clock := _CLOCK.match(text, end)) and number <= 12:
        found.append(number % 12 + (12 if clock["half"].lower() == "p" else 0))
        end = clock.end()
    elif pi := _PI.match(text, end):
        found.insert(0, round(number * PI, 4))
        end = pi.end()
    elif _COMPASS.match(text, end):
        found.append(-number)
    elif (ratio := _RATIO.match(text, end)) and Decimal(ratio[1]):
        found.append(number / Decimal(ratio[1]))
    if _SIGN.search(_before(text, match.start())):
        found = [-reading for reading in found] + found
    return Said(readings=tuple(dict.fromkeys(map(_plain, found))), start=match.start(), end=end)


def _digits(match: re.Match[str]) -> str:
    """With a point for the decimal comma that much of the world writes."""
    return match["number"] or match["comma"].replace(".", "").replace(",", ".")


def _decimal(written: str) -> Decimal:
    """Raises ArithmeticError for a number beyond all bounds."""
    plain = re.sub(r"\s?[x×*]\s?10\s?\^\s?", "e", written.replace(",", "")).replace("−", "-")
    return Decimal(plain)


def _in_words(text: str) -> Iterator[Said]:
    """Runs such as "two hundred and fifty", each as one number."""
    total = current = Decimal(0)
    start = end = -1
    last = ""
    for match in re.finditer(r"[A-Za-z]+", text):
        word = match[0].lower()
        if word not in WORDS or (word == "second" and _UNIT_OF_TIME.search(_before(text, match.start()))):
            continue
        if start >= 0 and not _joins(last, text[end : match.start()], word):
            yield Said(readings=(_plain(total + current),), start=start, end=end)
            total = current = Decimal(0)
            start = -1
        if start < 0 and _before(text, match.start()).rstrip()[-1:].isdigit():
            continue  # "2.5 million" was read with its digits
        number = Decimal(WORDS[word])
        start = match.start() if start < 0 else start
        end, last = match.end(), word
        if number >= 1000:
            total, current = (total + (current or 1)) * number, Decimal(0)
        elif word in _TIMES:
            current = (current or 1) * number
        else:
            current += number
    if start >= 0:
        yield Said(readings=(_plain(total + current),), start=start, end=end)


def _joins(last: str, between: str, word: str) -> bool:
    """Is a word one number with the word before: "two | hundred | and fifty | five", but not "five | and ten"?"""
    gap = re.fullmatch(r"[\s-]+(?P<and>and\s+)?", between)
    if gap is None:
        return False
    if word in _TIMES:
        return not gap["and"]
    if word not in _CARDINALS and word not in _ORDINALS:
        return False
    if last in _TIMES and last != "dozen":
        return Decimal(WORDS[word]) < Decimal(WORDS[last])
    return not gap["and"] and 20 <= Decimal(WORDS[last]) < 100 and 0 < Decimal(WORDS[word]) < 10


def _before(text: str, at: int) -> str:
    return text[max(0, at - _SHORT) : at]


def _plain(number: Decimal) -> Decimal:
    """Without trailing zeros, so that equal readings are the same."""
    return number.normalize() if number else Decimal(0)
