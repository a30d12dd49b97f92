"""The numbers that an answer says. None is guessed: what may be read in two ways is no number. Pure."""

from __future__ import annotations

import re
from decimal import Context, Decimal

from smidgen.agent.compounds import Said
from smidgen.agent.numbers import SCALES, said_numbers

DIGITS = 15
"""From how many on an exponent is easier to read."""

_NUMBER = re.compile(
    r"(?<![\w.,])(?:[-–−](?=\.?\d|[$€£¥])|−\s|(?:minus|negative)\s+)?\+?(?P<money>[$€£¥]\s?-?)?"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})++|\d++)(?:\.\d++)?|\.\d++)(?P<exponent>[eE][-+]?\d{1,3})?"
    r"(?P<scale>(?:\s?-?(?:hundred|thousand|million|billion|trillion|dozen)s?\b)++|(?:bn|[kKmMbB])\b)?+"
    r"(?!\w*\d)(?!\.\d|,\d)(?P<share>\s*+(?:[%‰]|per\s?cent\b|pct\b|percentage\b))?",
    re.IGNORECASE,
)
_GROUPS = re.compile(r"(?<![\d.,])\d{1,3}(?:([\u00a0\u202f\u2009'’])\d{3})(?:\1\d{3})*+(?![\d'’])")
_PART_BEFORE = re.compile(r"\d(?:[-–−/:^*×÷]|\*\*|\^[{(])$")
_PART_AFTER = re.compile(r"[-–−/:*×÷]\d|\*\*\d|\^[{(]?[-−]?\d|[¹²³⁰-₉½¼¾⅐-⅞]| \d{3}(?!\w)")
_SPACE_BEFORE = re.compile(r"(?<!\d)\d{1,3} $|\d \d{3} $")
_BELOW = re.compile(r"\bbelow\s+zero\b", re.IGNORECASE)
_MINUS = re.compile(r"\b(?:minus|negative)\s+$", re.IGNORECASE)
_SHARE = re.compile(r"\s*(?:[%‰]|per\s?cent\b|pct\b|percentage\b)", re.IGNORECASE)
_FRACTION = re.compile(
    r"[\s-]*(?:point[\s-]+\w|halves\b|quarters?\b"
    r"|(?:third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|twelfth|hundredth|thousandth|millionth|billionth)s?\b)",
    re.IGNORECASE,
)
_POINT = re.compile(r"\bpoint[\s-]+$", re.IGNORECASE)
_NO_COUNT = frozenset({
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "pair", "couple",
    "once", "single", "decade", "century", "fortnight", "twice", "double", "triple",
})  # fmt: skip
"""Words that stand for a number only now and then: "at first", "a single word"."""
_ONE_BEFORE = re.compile(
    r"\b(?:no|any|every|each|some|that|this|the|which|another|other|last|next|only|right|wrong|correct)[\s-]+$",
    re.IGNORECASE,
)
_ONE_AFTER = re.compile(
    r"\s+(?:another|can|could|should|must|may|might|would|will|has|is|was|does|knows?|day|by)\b", re.IGNORECASE
)
_ONE_OF = re.compile(r"\s+of\b", re.IGNORECASE)
_OPERATION = re.compile(
    r"\d[\w²³°$€£%)]*(?:\s?[a-z°²³/]{1,12})?\s*(?:[-+*/×÷^·−–]|(?:of|in|to|plus|minus|times|divided\s+by)\b)\s*[\w($€£]",
    re.IGNORECASE,
)
_AROUND = 24
"""Characters beside a number that are looked at."""


def numbers_in(text: str) -> list[Decimal]:
    """The different numbers that a text says, in digits, or in words where there are no digits. Percentages are none:
    whether 15% is 15 or 0.15 isn't to be guessed. Of a calculation only its result counts ("2 + 2 = 4"). Parts of
    something else ("10:30", "2/3", "12 500", "10²³") count one by one, so that they are never the only number."""
    text = result_in(text)
    if not re.search(r"\d", text):
        return list(dict.fromkeys(_in_words(text)))
    text = _GROUPS.sub(lambda match: match[0].replace(match[1], ","), text)
    alone, parts = dict[Decimal, None](), list[Decimal]()
    for match in _NUMBER.finditer(text):
        if match["share"]:
            continue
        number, sure = _read(match)
        if sure and not _is_part(text, match):
            alone[number] = None
        else:
            parts.append(number)
    if alone and _BELOW.search(text):
        parts.append(Decimal(0))
    return [*alone, *(parts if alone or len(parts) > 1 else 2 * parts)]


def result_in(text: str) -> str:
    """What stands behind the only equals sign, if a calculation stands before it, as calculators answer; else all."""
    before, sign, after = text.partition("=")
    is_result = sign and "=" not in after and _OPERATION.search(before) and re.search(r"\d", after)
    return after if is_result else text


def has_percentage(text: str) -> bool:
    return _SHARE.search(text) is not None


def plain(number: Decimal) -> str:
    """In digits, all of them, without zeros that say nothing and without an exponent where it stays readable."""
    if not number:
        return "0"
    number = _trimmed(number)
    return f"{number:f}" if -DIGITS <= number.adjusted() <= DIGITS else str(number)


def as_number(number: Decimal) -> int | float:
    """int where it is one that every JSON reader keeps."""
    return int(number) if number == number.to_integral_value() and abs(number) < 2**53 else float(number)


def decimals(number: Decimal) -> int:
    """Digits after the point that say something."""
    exponent = _trimmed(number).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _trimmed(number: Decimal) -> Decimal:
    return _exact(number).normalize(number)


def _exact(number: Decimal) -> Context:
    return Context(prec=len(number.as_tuple().digits) + 2 * DIGITS)


def _read(match: re.Match[str]) -> tuple[Decimal, bool]:
    """The number, and whether it can't be another: 5M may be 5 million or 5 of something that is called M."""
    number = Decimal(match["digits"].replace(",", "") + (match["exponent"] or ""))
    before = match[0][: match.start("digits") - match.start()]
    if re.search(r"[-–−]|minus|negative", before, re.IGNORECASE):
        number = -number
    scale = match["scale"] or ""
    if len(scale) > 2:
        for word in re.findall(r"[a-z]+", scale.lower()):
            number = _exact(number).multiply(number, SCALES[word.removesuffix("s")])
    elif scale.lower() in ("k", "bn") or (scale and match["money"]):
        factor = 10**9 if scale in "bB" else SCALES[scale.lower()]
        number = _exact(number).multiply(number, Decimal(factor))
    elif scale in ("M", "B"):
        return number, False
    return number, True


def _is_part(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _AROUND) : match.start()]
    is_group = len(match[0]) == 3 and _SPACE_BEFORE.search(before)
    return bool(
        is_group
        or _PART_BEFORE.search(before)
        or _PART_AFTER.match(text, match.end())
        or _FRACTION.match(text, match.end())
    )


def _in_words(text: str) -> list[Decimal]:
    found: list[Decimal] = []
    for said in said_numbers(text):
        words = re.findall(r"[a-z]+", text[said.start : said.end].lower())
        before, after = text[max(0, said.start - _AROUND) : said.start], text[said.end : said.end + _AROUND]
        if _NO_COUNT & set(words) or _SHARE.match(after):
            continue
        if words == ["one"] and (_ONE_BEFORE.search(before) or _ONE_AFTER.match(after)):
            continue
        if words == ["one"] and _ONE_OF.match(after):
            return []
        if said.unit or _FRACTION.match(after) or _POINT.search(before) or not _is_plain(words, said):
            return []
        found.append(-said.readings[0] if _MINUS.search(before) else said.readings[0])
    return found


def _is_plain(words: list[str], said: Said) -> bool:
    """Of several words for powers of a thousand, what they come to together isn't told."""
    return len(said.readings) == 1 and sum(word in ("thousand", "million", "billion") for word in words) <= 1
