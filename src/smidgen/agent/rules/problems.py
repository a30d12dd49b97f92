"""Everyday arithmetic told in words: conversions, shares of a bill, prices by the piece, percentages (percentages.py).

A form applies only if it accounts for every number of the text; a number left over means something else is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from smidgen.agent.numbers import WORDS
from smidgen.agent.rules.percentages import PERCENT, changes, numbers, on_or_off, share_of_whole
from smidgen.agent.rules.spans import NUMBER, UNITS, dates, durations, quantities
from smidgen.errors import SmidgenError
from smidgen.messages import ToolCall

_ASKS = re.compile(r"\?|\b(?:how\s+(?:much|many)|what|convert|calculate|work\s+out)\b", re.IGNORECASE)
_PAIR = re.compile(
    rf"(?<![\w.,])(?P<number>{NUMBER})\s?(?P<unit>{UNITS})\s+(?:in|to|into|as)\s+(?:an?\s+|the\s+)?(?P<target>{UNITS})(?![\w°/])",
    re.IGNORECASE,
)
_TARGET = re.compile(
    rf"\b(?:(?:in|into|to|as)\s+|how\s+many\s+|only\s+(?:has|have|got|shows?|knows?|does|do|takes?|uses?)\s+)(?P<unit>{UNITS})(?![\w°/])",
    re.IGNORECASE,
)
_PEOPLE = re.compile(
    rf"\b(?:(?:we\s+(?:are|were)|we['’]re|there\s+(?:are|were)|between|among|by|for|all|split\s+\w+)\s+(?:the\s+)?(?P<a>{NUMBER}|[a-z]+)(?:\s+of\s+us|\s+people|\s+friends|\s+ways)?\b"
    rf"|(?P<b>{NUMBER}|[a-z]+)\s+(?:people|persons|friends|guests|of\s+us|ways|flatmates|housemates|colleagues|kids|children|players|families)\b)",
    re.IGNORECASE,
)
_SHARED = re.compile(
    r"\b(?:each|per\s+(?:person|head)|split|share[sd]?|everyone|everybody|apiece|divide[sd]?)\b", re.IGNORECASE
)
_PIECES = re.compile(
    rf"(?<![\w.,$€£])(?P<count>{NUMBER})\s+(?P<noun>[a-z]+)\s+(?:cost|costs|are|were|for|come\s+to|go\s+for|sell\s+for)\s+[$€£]?(?P<price>{NUMBER})",
    re.IGNORECASE,
)
_EACH_PERIOD = re.compile(
    rf"[$€£]?(?P<amount>{NUMBER})\s*(?:[a-z]+|€|\$|£)?\s+(?:an?|per|each|every)\s+(?P<unit>hour|night|day|week|month|year)\b",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"\b(?P<count>\d+|[a-z]+)(?P<half>\s+and\s+a\s+half)?\s+(?P<unit>hour|night|day|week|month|year)s?(?P<half2>\s+and\s+a\s+half)?\b",
    re.IGNORECASE,
)
_SIDES = re.compile(
    rf"(?P<a>{NUMBER})\s*(?:{UNITS})?\s*(?:by|x|×)\s*(?P<b>{NUMBER})\s*(?:{UNITS})?(?![\w.,])", re.IGNORECASE
)
_AREA = re.compile(r"\b(?:square|area|carpet|floor\s+space|sq\.?|m2|surface)\b|m²", re.IGNORECASE)
_REPEATED = re.compile(
    rf"\b(?P<count>{NUMBER}|[a-z]+)\s+[a-z]+\s+of\s+(?P<size>{NUMBER})\s+(?P<unit>{UNITS})(?![\w°/])", re.IGNORECASE
)
_HUNDRED = re.compile(r"\bper\s+(?:100|hundred)\s+(?P<unit>km|kilomet(?:re|er)s?|miles?)\b", re.IGNORECASE)
_PERIODS: dict[tuple[str, str], Decimal] = {
    ("month", "year"): Decimal(12),
    ("day", "week"): Decimal(7),
    ("week", "year"): Decimal(52),
}


_SCALED = re.compile(
    rf"{NUMBER}\s?(?:k|bn|thousand|million|billion|hundred|dozen)\b(?!\s+(?:run|race|walk|jog|ride|swim)\b)",
    re.IGNORECASE,
)
"""Numbers that the forms would read as smaller ones."""
_FURTHER = re.compile(
    r"\b(?:remainder|quotient|modulo|round(?:ed)?(?:\s+(?:up|down|to))?|nearest|fraction|perimeter|sterling)\b",
    re.IGNORECASE,
)
"""What no form works out."""
_TOLD_EACH = re.compile(
    rf"{NUMBER}\s*(?:[a-z]+|€|\$|£)?\s+(?:each|apiece|a\s+head|per\s+(?:person|head|ticket|piece|night|day))\b(?!\s*(?:$|[?]))"
    rf"|\beach\s+(?:\w+\s+)?(?:pays?|paid|costs?|is|gets?|got|has|have|had)\s+[$€£]?\d|\bat\s+[$€£]?\d",
    re.IGNORECASE,
)
"""The amount is one person's already."""
_NOT_ALL = re.compile(
    r"\b(?:but|except|not|don['’]t|doesn['’]t|then|groups?\s+of|in\s+total|altogether|all\s+in\s+all|in\s+all)\b",
    re.IGNORECASE,
)
_HOW_MUCH = re.compile(
    r"\b(?:how\s+(?:much|many|far)|what\s+(?:percentage|percent|fraction)|what\s+do\s+(?:i|we)\s+(?:owe|pay)|(?:in\s+)?total\?)",
    re.IGNORECASE,
)


def wanted(text: str) -> str | None:
    """The tool that a request plainly wants, though how to calculate isn't plain: it asks how much, and says at least
    two numbers and no date."""
    said = len(numbers(text))
    if not said or not _HOW_MUCH.search(text) or dates(text):
        return None
    counted = sum(1 for word in re.findall(r"[a-z]+", text.lower()) if (_count(word) or 0) > 1)
    return "calculator" if said + counted >= 2 else None


def calls_of(text: str) -> list[ToolCall]:
    """The calculations that a request asks for in words; [] if that isn't sure. text: the whole request."""
    if not _ASKS.search(text) or re.search(r"[<>{}\[\]=]", text) or _SCALED.search(text) or _FURTHER.search(text):
        return []
    for form in FORMS:
        expressions = form(text)
        if expressions and all(_computes(expression) for expression in expressions):
            return [ToolCall(name="calculator", arguments={"expression": expression}) for expression in expressions]
    return []


def _computes(expression: str) -> bool:
    from smidgen.tools.builtin.arithmetic import compute

    try:
        return compute(expression).operations > 0
    except SmidgenError:
        return False


def _count(word: str | None) -> Decimal | None:
    """A whole number above 1, in digits or as a word."""
    if not word:
        return None
    value = Decimal(word.replace(",", "")) if word[0].isdigit() else WORDS.get(word.lower())
    return Decimal(value) if isinstance(value, int | Decimal) and value > 1 and value == int(value) else None


def _conversions(text: str) -> list[str]:
    pairs = list(_PAIR.finditer(text))
    if pairs and len(pairs) == len(numbers(text)):
        return [f"{pair['number']} {pair['unit']} in {pair['target']}" for pair in pairs]
    found = quantities(text)
    targets = {match["unit"].lower(): match["unit"] for match in _TARGET.finditer(text)}
    spoken = [number for number in numbers(text) if number != 100]
    if len(found) != 1 or len(targets) != 1 or len(spoken) > 1 or dates(text):
        return []
    (quantity,), (target,) = found, targets.values()
    return [] if quantity.unit.lower() == target.lower() else [f"{quantity.number} {quantity.unit} in {target}"]


def _share(text: str) -> list[str]:
    """A sum divided among people, once for each number of people that is said."""
    if not _SHARED.search(text) or PERCENT.search(text) or quantities(text) or durations(text):
        return []
    if _TOLD_EACH.search(text) or _NOT_ALL.search(text):
        return []
    groups = [count for match in _PEOPLE.finditer(text) if (count := _count(match["a"] or match["b"])) is not None]
    rest = [number for number in numbers(text) if number not in groups]
    if not groups or len(rest) != 1:
        return []
    return [f"{rest[0]} / {count}" for count in dict.fromkeys(groups)]


def _by_the_piece(text: str) -> list[str]:
    found = _PIECES.search(text)
    if found is None or PERCENT.search(text) or re.match(r"\s*\w*\s*(?:each|apiece|per\b|a\s)", text[found.end() :]):
        return []
    noun = re.escape(found["noun"].rstrip("s"))
    wanted = re.search(
        rf"(?<![\w.,])(?P<count>{NUMBER}|one|a|an)\s+{noun}(?:e?s)?\b", text[found.end() :], re.IGNORECASE
    )
    if wanted is None or len(numbers(text)) != 2 + wanted["count"][0].isdigit():
        return []
    count = wanted["count"] if wanted["count"][0].isdigit() else "1"
    return [f"{found['price']} / {found['count']} * {count}"]


def _over_time(text: str) -> list[str]:
    rate = _EACH_PERIOD.search(text)
    if rate is None or PERCENT.search(text) or re.search(r"\b(?:half\s+an?|quarter)\b", text, re.IGNORECASE):
        return []
    rest = text[: rate.start()] + " , " + text[rate.end() :]
    spans = [match for match in _SPAN.finditer(rest) if match["count"].isdigit() or _is_number(match["count"])]
    if len(spans) != 1 or len(numbers(text)) != 1 + spans[0]["count"].isdigit():
        return []
    (span,) = spans
    word = span["count"].lower()
    length = Decimal(word) if word.isdigit() else Decimal(1) if word in ("a", "one") else Decimal(WORDS[word])
    length += Decimal("0.5") if span["half"] or span["half2"] else 0
    small, large = rate["unit"].lower(), span["unit"].lower()
    factor = Decimal(1) if small == large else _PERIODS.get((small, large))
    if factor is None or re.search(r"\binterest\b", text, re.IGNORECASE):
        return []
    return [f"{rate['amount']} * {(length * factor).normalize():f}"]


def _is_number(word: str) -> bool:
    return word.lower() == "a" or isinstance(WORDS.get(word.lower()), int)


def _area(text: str) -> list[str]:
    found = _SIDES.search(text)
    if found is None or not _AREA.search(text) or len(numbers(text)) != 2:
        return []
    told = re.finditer(rf"(?<![\w°]){UNITS}(?![\w°/])", text[found.start() :], re.IGNORECASE)
    squares = re.finditer(rf"\bsquare\s+({UNITS})(?!\w)", text, re.IGNORECASE)
    if len({_unit(match[0]) for match in told} | {_unit(match[1]) for match in squares}) > 1:
        return []  # units that would have to be converted
    return [f"{found['a']} * {found['b']}"]


def _unit(name: str) -> str:
    """One spelling of a unit of length."""
    short = {"met": "m", "cent": "cm", "cm": "cm", "mill": "mm", "mm": "mm", "fee": "ft", "foo": "ft", "ft": "ft"}
    return next((unit for start, unit in short.items() if name.lower().startswith(start)), name.lower().rstrip("s"))


def _repeated(text: str) -> list[str]:
    """So many things of one size: "twelve lessons of 45 minutes", asked in another unit."""
    found = _REPEATED.search(text)
    asked = re.search(rf"\bhow\s+many\s+(?P<unit>{UNITS})(?![\w°/])", text, re.IGNORECASE)
    count = _count(found["count"]) if found else None
    if found is None or asked is None or count is None or len(numbers(text)) != 1 + found["count"][0].isdigit():
        return []
    return [f"{count} * {found['size']} {found['unit']} in {asked['unit']}"]


def _consumption(text: str) -> list[str]:
    asked = _HUNDRED.search(text)
    if asked is None or not re.search(
        r"\b(?:how\s+(?:much|many)|what)\b[^.?!]*$", text[: asked.start()], re.IGNORECASE
    ):
        return []
    rest = text[: asked.start()] + text[asked.end() :]
    found = quantities(rest)
    far = [one for one in found if re.match(r"km|kilo|mile", one.unit, re.IGNORECASE)]
    used = [one for one in found if re.match(r"l|gal", one.unit, re.IGNORECASE)]
    if len(far) != 1 or len(used) != 1 or len(numbers(rest)) != 2 or len(found) != 2:
        return []
    wanted = re.search(r"\b(?:how\s+many|what)\s+(\w)", text[: asked.start()], re.IGNORECASE)
    if far[0].unit[0].lower() != asked["unit"][0].lower() or (
        wanted and wanted[1].lower() in "lg" and wanted[1].lower() != used[0].unit[0].lower()
    ):
        return []  # other units than are said
    return [f"{used[0].number} / {far[0].number} * 100"]


FORMS: tuple[Callable[[str], list[str]], ...] = (
    _consumption, _repeated, _conversions, on_or_off, changes, share_of_whole, _share, _by_the_piece, _over_time, _area,
)  # fmt: skip
