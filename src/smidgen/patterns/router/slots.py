"""Values that code finds in a request: by a regular expression, numbers, dates, or one of some texts. Pure."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from smidgen.errors import ConfigError, SmidgenError

Kind = Literal["regex", "number", "date", "one_of", "quoted"]
RESERVED = ("request", "value")
_UNPARTED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese, Korean."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the request, and how it is found. Raises ConfigError.

    kind: number, as a number; date, as YYYY-MM-DD; quoted: a text in quotes. It needn't be told where `regex` or
    `one_of` is given.
    regex: its first group, or all that it matches. one_of: texts, capitals aside, of which exactly one must stand in
    the request. least, most: of a number.
    ask: what the user is asked where it is missing. default: what it is then instead.

    Several numbers, dates or quoted texts go to the slots of that kind in their order, if there are as many as slots,
    or as slots without a default; else it isn't clear which is meant, and they count as missing.
    """

    name: str
    kind: Kind | Literal[""] = ""
    regex: str = ""
    one_of: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    ask: str = ""
    default: Any = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or keyword.iskeyword(self.name) or self.name in RESERVED:
            raise ConfigError(
                f"A slot can't be called {self.name!r}.",
                hint=f"Use letters, digits and underscores, and none of: {', '.join(RESERVED)}.",
            )
        for problem, hint in self._problems():
            raise ConfigError(f"slot {self.name}: {problem}.", hint=hint)

    def _problems(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if self.regex and self.one_of:
            found.append(("it has both regex and one_of", "Choose one."))
        if not self.found_by:
            found.append(
                ("it isn't told how it is found", 'Set regex, one_of, or kind = "number", "date" or "quoted".')
            )
        for kind, given in (("regex", self.regex), ("one_of", self.one_of)):
            if bool(given) != (self.found_by == kind):
                found.append((f"kind is {self.found_by}, but {kind} is {'given' if given else 'missing'}", ""))
        if (self.least is not None or self.most is not None) and self.found_by != "number":
            found.append(("least and most are of a number", ""))
        try:
            re.compile(self.regex)
        except re.error as error:
            found.append((f"regex = {self.regex!r} is no regular expression: {error}", ""))
        return found

    @property
    def found_by(self) -> str:
        return self.kind or ("regex" if self.regex else "one_of" if self.one_of else "")

    @property
    def question(self) -> str:
        return self.ask.strip() or f"I need the {self.name.replace('_', ' ')}. What is it?"


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """values: of the slots that were found, or have a default. missing: names of the others. reasons: why, by name,
    where more can be said than that it isn't there."""

    values: dict[str, Any]
    missing: tuple[str, ...] = ()
    reasons: dict[str, str] = {}


def fill(slots: Sequence[Slot], text: str) -> Filled:
    """Never raises for what stands in the text."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for slot in slots:
        if slot.found_by == "regex":
            match = re.search(slot.regex, text, re.IGNORECASE)
            candidates = [(match[1] if match.re.groups else match[0])] if match else []
        elif slot.found_by == "one_of":
            candidates = _named(slot.one_of, text)
        else:
            candidates = _in_order(slot, [one for one in slots if one.found_by == slot.found_by], text)
            if candidates is None:
                reasons[slot.name] = "it isn't clear which is meant"
                continue
        _take(slot, candidates, values, reasons)
    missing = tuple(slot.name for slot in slots if slot.name not in values)
    return Filled(values=values, missing=missing, reasons=reasons)


def _in_order(slot: Slot, alike: Sequence[Slot], text: str) -> list[Any] | None:
    """What may be the slot's of a kind that several slots can have: its own where there are as many values as slots, or
    as slots without a default; none where nothing was said, None where it isn't clear."""
    found = _found(slot.found_by, text)
    if len(alike) == 1 or not found:
        return found
    needed = [one for one in alike if one.default is None]
    for takers in (alike, needed):
        if len(found) == len(takers):
            return [found[takers.index(slot)]] if slot in takers else []
    return None


def _take(slot: Slot, candidates: Sequence[Any], values: dict[str, Any], reasons: dict[str, str]) -> None:
    if len(candidates) == 1 and candidates[0] is not None:
        value = candidates[0]
        if slot.least is not None and value < slot.least:
            reasons[slot.name] = f"{value:g} is less than {slot.least:g}"
        elif slot.most is not None and value > slot.most:
            reasons[slot.name] = f"{value:g} is more than {slot.most:g}"
        else:
            values[slot.name] = value
        return
    if len(candidates) > 1:
        reasons[slot.name] = f"it could be any of {', '.join(str(one) for one in candidates[:4])}"
    elif slot.default is not None:
        values[slot.name] = slot.default


def fill_all(slots: Sequence[Slot], texts: Sequence[str]) -> Filled:
    """Of texts that were said one after the other: the later ones for what the earlier ones left missing."""
    found = fill(slots, texts[0])
    for text in texts[1:]:
        found = filled_further(slots, found, text)
    return found


def filled_further(slots: Sequence[Slot], found: Filled, text: str) -> Filled:
    """What is missing, from one more text. reasons: of that text."""
    more = fill([slot for slot in slots if slot.name in found.missing], text)
    return Filled(values={**found.values, **more.values}, missing=more.missing, reasons=more.reasons)


def questions(slots: Sequence[Slot], filled: Filled) -> str:
    """What the user is asked for all that is missing."""
    return " ".join(_question(slot, filled.reasons) for slot in slots if slot.name in filled.missing)


def _question(slot: Slot, reasons: Mapping[str, str]) -> str:
    reason = reasons.get(slot.name, "")
    return f"{slot.question} ({reason[:1].upper()}{reason[1:]}.)" if reason else slot.question


def is_question(slots: Sequence[Slot], text: str) -> bool:
    """Is it what `questions` gives for some of the slots?"""
    one_each = "".join(rf"(?:{re.escape(slot.question)}(?: \(.*?\.\))? *)?" for slot in slots)
    return bool(text.strip()) and re.fullmatch(one_each, text.strip(), re.DOTALL) is not None


def _found(kind: str, text: str) -> list[Any]:
    """All values of a kind that goes by the text alone, in their order, each once."""
    match kind:
        case "number":
            return _numbers(text)
        case "date":
            return [value for _, value in _dates(text)]
        case "quoted":
            from smidgen.agent.rules.spans import quoted

            return list(dict.fromkeys(span.text for span in quoted(text)))
        case _:
            return []


def _numbers(text: str) -> list[int | float]:
    """Not those of dates, nor of codes like "AB-12"."""
    from smidgen.agent.numbers import said_numbers

    dates = [span for span, _ in _dates(text)]
    found: list[int | float] = []
    for said in sorted(said_numbers(text), key=lambda one: one.start):
        within = any(start < said.end and said.start < end for start, end in dates)
        if within or re.search(r"[A-Za-z]-?$", text[max(0, said.start - 2) : said.start]):
            continue
        value = float(said.readings[0])
        found.append(int(value) if value == int(value) else value)
    return list(dict.fromkeys(found))


def _dates(text: str) -> list[tuple[tuple[int, int], str]]:
    from smidgen.agent.rules.spans import dates
    from smidgen.tools.builtin.dates import parse_date

    found: dict[str, tuple[int, int]] = {}
    for span in dates(text):
        try:
            found.setdefault(parse_date(span.text).isoformat(), (span.start, span.end))
        except SmidgenError:
            continue
    return [(place, day) for day, place in found.items()]


def _named(options: Sequence[str], text: str) -> list[str]:
    """Those that stand in the text as whole words, but not within a longer one that does. Where writing doesn't part
    words, or joins endings to them, they needn't be whole."""
    places: list[tuple[int, int, str]] = []
    text = unicodedata.normalize("NFC", text)
    for option in sorted(options, key=len, reverse=True):
        sought = unicodedata.normalize("NFC", option)
        before = "" if _UNPARTED.match(sought[:1]) else r"(?<!\w)"
        after = "" if _UNPARTED.match(sought[-1:]) else r"(?!\w)"
        for match in re.finditer(before + re.escape(sought) + after, text, re.IGNORECASE):
            if not any(start < match.end() and match.start() < end for start, end, _ in places):
                places.append((match.start(), match.end(), option))
    return list(dict.fromkeys(option for _, _, option in sorted(places)))
