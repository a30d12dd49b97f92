"""Lists that a request gives, "for Rome, New York and Lima", and the calls that one call stands for. Pure.

A small model writes a call for the first member of a list and stops. If one of its values is such a member, each of the
others is a call like it. Two lists are combined, "A and B in 2018 and 2020", unless they go together member by member
("respectively").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import cast

import msgspec

from smidgen.agent.ground import properties_of
from smidgen.agent.numbers import said_numbers
from smidgen.agent.rules import clauses
from smidgen.agent.rules.spans import dates
from smidgen.agent.words import choices_of
from smidgen.messages import ToolCall, ToolSpec

MOST = 8
"""Calls that one call stands for."""
Value = str | int | float

_AND = r"(?:,?\s+(?:and|or|&|as\s+well\s+as)\s+|\s*&\s*)"
_LEAD = r"(?:(?:in|on|at|for|to|from|of|with|by|the|an?)\s+)*"
_NUMBER = r"[$€£]?(?<![\d.])\d[\d.]{0,20}(?:,\d{3})*(?:\s?(?:%|percent))?(?!\w|\.\d)"
_NUMBERS = re.compile(
    rf"{_NUMBER}(?:,\s*{_NUMBER}){{0,{MOST}}}(?:,?\s+(?:and|&)\s+|\s*&\s*){_LEAD}{_NUMBER}(?!\w)", re.IGNORECASE
)
_BEFORE = re.compile(r"(?:\d\s*(?:[:/×^*-]|x|by|choose)\s*|\b(?:between|from)\s+[$€£]?)$", re.IGNORECASE)
_BEHIND = re.compile(r"\s*(?:[:/×^*-]|x\b|by\b|choose\b)\s*\d", re.IGNORECASE)
"""What makes a number part of another thing: the hours of "10:30 and 11:45", the sides of "3 by 4 and 5 by 6"."""
_WORD = r"(?<!\w)[A-Z](?:[\w'’&-]|\.(?=\w|,|\s+(?:and|or|to|in|for)\b)){0,40}"
_NAME = rf"{_WORD}(?:\s+(?:(?:of|the|de|del|la|von|van)\s+)?{_WORD}){{0,6}}(?:\s+\d+\b)?"
_PLACE = rf"{_NAME},\s{_NAME}"
_QUOTE = r"['\"‘“][^'\"’”\n]{1,60}['\"’”]"
_PLAIN = (
    r"[a-z][\w'’-]*(?:\s+(?!(?:and|or|for|in|with|at|on|to|from|of|by|using|as|is|are|then|also|please|that|which)\b)"
    r"[a-z][\w'’-]*){0,2}(?![\w=+*/^(])"
)
_POINTING = frozenset({
    "i", "you", "he", "she", "it", "we", "they", "them", "me", "my", "your", "his", "her", "its", "our", "their",
    "also", "then", "what", "how", "which", "who", "when", "where", "why", "that", "this", "these", "those", "there",
    "so", "if", "all",
})  # fmt: skip
"""What begins no member of a list of its own."""
_ENDS = re.compile(r"\s*(?:$|[.,;:!?)]|\bof\b|\b(?:and|with)\s+(?:their|its|the|his|her)\b)")
_REGIONS = frozenset({
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware", "Florida",
    "Georgia", "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine",
    "Maryland", "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska", "Nevada",
    "New Hampshire", "New Jersey", "New Mexico", "North Carolina", "North Dakota", "Ohio", "Oklahoma", "Oregon",
    "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota", "Tennessee", "Texas", "Utah", "Vermont",
    "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming", "Ontario", "Quebec", "Alberta", "England",
    "Scotland", "Wales", "Ireland", "UK", "USA", "France", "Germany", "Spain", "Italy", "Portugal", "Switzerland",
    "Austria", "Belgium", "Netherlands", "Poland", "Sweden", "Norway", "Denmark", "Finland", "Greece", "Turkey",
    "Russia", "China", "Japan", "India", "Australia", "Canada", "Mexico", "Brazil", "Argentina", "Chile", "Peru",
    "Egypt", "Kenya", "Nigeria",
})  # fmt: skip
"""What stands behind a town's name and belongs to it: "Paris, Texas and London" are two places."""
_RESPECTIVELY = re.compile(r"\brespective(?:ly)?\b", re.IGNORECASE)


def listed_with(value: Value, request: str, choices: Sequence[str] = ()) -> tuple[Value, ...]:
    """The list that a value stands in, the value included, of its own type and in the request's order; () if it stands
    in none, or elsewhere too. choices: those that the members must be among, if there are any."""
    if isinstance(value, str):
        return _texts(value, request, choices)
    for series in _series(request):
        said = said_numbers(series)
        fractions = all(len(number.readings) > 1 for number in said) and isinstance(value, float) and abs(value) < 1
        read = [float(number.readings[-1 if fractions else 0]) for number in said]
        if value in read:
            return tuple(int(item) if isinstance(value, int) and item.is_integer() else item for item in read)
    return ()


def _series(request: str, at: int | None = None) -> list[str]:
    """Lists of numbers, those that hold the place `at`."""
    found = [match for match in _NUMBERS.finditer(request) if at is None or match.start() <= at < match.end()]
    within = [(span.start, span.end) for span in dates(request)] if found else []
    return [
        match[0]
        for match in found
        if not _BEFORE.search(request, max(0, match.start() - 12), match.start())
        and not _BEHIND.match(request, match.end())
        and not any(start < match.end() and match.start() < end for start, end in within)
    ]


def _texts(value: str, request: str, choices: Sequence[str]) -> tuple[str, ...]:
    places = [match.start() for match in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", request, re.IGNORECASE)]
    if not value.strip() or not places:
        return ()
    at = places[0]
    if value.isdecimal():
        return tuple(dict.fromkeys(re.findall(r"\d+", "".join(_series(request, at)[:1]))))
    if at > 0 and request[at - 1] in "'\"‘“":
        return _members(rf"{_QUOTE}(?:(?:,\s*|{_AND}){_LEAD}{_QUOTE})+", _QUOTE, value, places, request)
    if request[at].isupper():
        if "," in value:
            return _members(rf"{_PLACE}(?:(?:[,;]?{_AND}|[,;]\s+){_LEAD}{_PLACE})+", _PLACE, value, places, request)
        if re.match(rf",\s{_NAME}{_AND}{_LEAD}{_PLACE}", request[at + len(value) :]):
            return ()  # "Rome, Italy and Paris, France": no list of four
        listing = rf"{_NAME}(?:,\s+{_LEAD}{_NAME}){{0,{MOST}}}{_AND}{_LEAD}{_NAME}(?!,\s[A-Z])"
        return _members(listing, _NAME, value, places, request)
    return _plain(value, at, request, choices) if len(places) == 1 else ()


def _members(listing: str, member: str, value: str, places: Sequence[int], request: str) -> tuple[str, ...]:
    at = places[0]
    for found in re.finditer(listing, request):
        if not found.start() <= at < found.end():
            continue
        if places[-1] >= found.end() or _each_its_own(found, at, request):
            return ()
        items = [
            re.sub(r"['’]s$", "", match[0].strip("'\"‘’“”").rstrip(".,")) for match in re.finditer(member, found[0])
        ]
        if len({item in _REGIONS for item in items}) > 1 or any(clauses.is_command(item) for item in items):
            return ()
        # The model may have shortened or completed its own member: its place counts.
        start = [found.start() + match.start() for match in re.finditer(member, found[0])]
        own = max((index for index, place in enumerate(start) if place <= at), default=-1)
        if len(items) < 2 or own < 0 or value.lower().rstrip(".") not in items[own].lower():
            return ()
        if items[own].lower() != value.lower() and len(value) * 2 < len(items[own]):
            return ()
        items[own] = value
        return tuple({item.lower().rstrip("."): item for item in reversed(items)}.values())[::-1]
    return ()


def _each_its_own(listing: re.Match[str], at: int, request: str) -> bool:
    """Is it "the zoo in Bern and the mill in Thun", where Bern is listed with no mill?"""
    before = re.search(r"\b(\w+)\s+(?:the\s+)?$", request[:at])
    behind = re.match(r"\s+(\w+)\s+(?:the\s+)?[A-Z]", request[listing.end() :])
    return before is not None and behind is not None and before[1].lower() == behind[1].lower()


def _plain(value: str, at: int, request: str, choices: Sequence[str]) -> tuple[str, ...]:
    """Members behind a value in small letters, the last behind "and": choices, or as many words each, with nothing that
    goes on behind them."""
    before = re.search(r"([\w.]+)\s+$", request[max(0, at - 40) : at])
    if before is not None and before[1][0].isdigit():
        return ()  # a unit
    lead = rf"(?:{re.escape(before[1])}\s+)?" if before is not None else ""
    following = re.compile(rf"(?:,\s+(?P<comma>(?!and\b|or\b))|(?P<and>{_AND})){lead}(?P<item>{_PLAIN})")
    found, end, closed = [value], at + len(value), False
    while not closed and len(found) < MOST:
        member = following.match(request, end)
        if member is None or member["item"].split()[0].lower() in _POINTING or clauses.is_command(member["item"]):
            return ()
        found.append(member["item"])
        end, closed = member.end(), member["and"] is not None
    if not closed:
        return ()
    known = {choice.lower(): choice for choice in choices}
    if known:
        chosen = [known.get(item.lower()) for item in found[:-1]]
        words = found[-1].lower().split()
        chosen.append(next((known[" ".join(words[:n])] for n in (3, 2, 1) if " ".join(words[:n]) in known), None))
        return tuple(dict.fromkeys(choice for choice in chosen if choice)) if all(chosen) else ()
    longest = max(len(item.split()) for item in found[:-1])
    if len(found[-1].split()) > longest or not _ENDS.match(request, end):
        return ()
    return tuple(dict.fromkeys(found))


def stands_for(
    call: ToolCall, request: str, others: Sequence[ToolCall] = (), spec: ToolSpec | None = None
) -> tuple[ToolCall, ...]:
    """The calls that this one stands for, itself among them; only itself where none of its values is one of a list.
    A list of which one of the others holds two members together is one of values, not of calls. spec: the tool's, for
    its choices."""
    choices = {name: choices_of(schema) for name, schema in properties_of(spec).items()} if spec else {}
    lists = {
        name: found
        for name, value in call.arguments.items()
        if (found := _own_list(name, value, call, request, choices.get(name, ())))
    }
    lists = {name: found for name, found in lists.items() if not any(_holds_two(other, found) for other in others)}
    if not lists:
        return (call,)
    names = tuple(lists)
    if len(lists) > 1 and _RESPECTIVELY.search(request):
        if len({len(items) for items in lists.values()}) > 1:
            return (call,)
        rows: list[tuple[Value, ...]] = list(zip(*lists.values(), strict=True))
        if tuple(call.arguments[name] for name in names) not in rows:
            return (call,)
    elif _RESPECTIVELY.search(request):
        return (call,)  # what goes with its members is not among the values
    else:
        rows = list(product(*lists.values()))
    if len(rows) > MOST:
        return (call,)
    calls = [
        msgspec.structs.replace(call, arguments={**call.arguments, **dict(zip(names, row, strict=True))})
        for row in rows
    ]
    return (call, *(other for other in calls if other != call))


def _holds_two(call: ToolCall, listed: Sequence[Value]) -> bool:
    return len({_plainly(item) for item in listed} & _values(call)) > 1


def _values(call: ToolCall, without: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in call.arguments.items():
        items = cast(list[object], value) if isinstance(value, list) else [value]
        found |= {_plainly(item) for item in items if key != without}
    return found


def _plainly(item: object) -> str:
    """Numbers of either type alike, texts without capitals and a closing dot."""
    if isinstance(item, int | float) and not isinstance(item, bool):
        return repr(float(item)) if abs(item) < 1e300 else repr(item)
    return str(item).lower().rstrip(".")


def _own_list(name: str, value: object, call: ToolCall, request: str, choices: Sequence[str]) -> Sequence[Value]:
    """Not a list whose other members are values of the same call, as of a route from one to the other, nor a pair such
    as "5 and 10 years" where the 5 are percent."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ()
    found = listed_with(value, request, choices)
    held = {"", *_values(call, name)}
    numbers = [item for item in found if isinstance(item, int | float)] if len(found) == 2 else []
    shares = {_plainly(item / 100) for item in numbers if item != value}
    return () if shares & held or any(_plainly(item) in held for item in found if item != value) else found
