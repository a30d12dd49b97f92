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

from smidgen.agent.numbers import said_numbers
from smidgen.messages import ToolCall

MOST = 8
"""Calls that one call stands for."""
Value = str | int | float

_AND = r"(?:,?\s+(?:and|or|&|as\s+well\s+as)\s+|\s*&\s*)"
_LEAD = r"(?:(?:in|on|at|for|to|from|of|with|by|the|an?)\s+)*"
_NUMBER = r"[$€£]?(?<![\d.])\d[\d.]{0,20}(?:,\d{3})*(?:\s?(?:%|percent))?(?!\w|\.\d)"
_NUMBERS = re.compile(rf"{_NUMBER}(?:,\s*{_NUMBER}){{0,{MOST}}}{_AND}{_LEAD}{_NUMBER}(?!\w)", re.IGNORECASE)
_WORD = r"(?<!\w)[A-Z](?:[\w'’&-]|\.(?=\w|,|\s+(?:and|or|to|in|for)\b)){0,40}"
_NAME = rf"{_WORD}(?:\s+(?:(?:of|the|de|del|la|von|van)\s+)?{_WORD})*(?:\s+\d+\b)?"
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
_OBJECT = re.compile(r"\s+(?:the|a|an|my|your|its|their|his|her|our|me|us|it|them|that|this|what|how|if|whether)\b")
_RESPECTIVELY = re.compile(r"\brespective(?:ly)?\b", re.IGNORECASE)


def listed_with(value: Value, request: str) -> tuple[Value, ...]:
    """The list that a value stands in, the value included, of its own type and in the request's order; () if it stands
    in none."""
    if isinstance(value, str):
        return _texts(value, request)
    for series in _NUMBERS.finditer(request):
        said = said_numbers(series[0])
        fractions = all(len(number.readings) > 1 for number in said) and isinstance(value, float) and abs(value) < 1
        read = [float(number.readings[-1 if fractions else 0]) for number in said]
        if float(value) in read:
            return tuple(int(item) if isinstance(value, int) and item.is_integer() else item for item in read)
    return ()


def _texts(value: str, request: str) -> tuple[str, ...]:
    if not value.strip() or (at := request.lower().find(value.lower())) < 0:
        return ()
    if value.isdecimal():
        series = next((found[0] for found in _NUMBERS.finditer(request) if found.start() <= at < found.end()), "")
        return tuple(dict.fromkeys(re.findall(r"\d+", series)))
    quoted = at > 0 and request[at - 1] in "'\"‘“"
    if quoted:
        return _members(rf"{_QUOTE}(?:(?:,\s*|{_AND}){_LEAD}{_QUOTE})+", _QUOTE, value, at, request)
    if request[at].isupper():
        if "," in value:
            return _members(rf"{_PLACE}(?:(?:[,;]?{_AND}|[,;]\s+){_LEAD}{_PLACE})+", _PLACE, value, at, request)
        if re.match(rf",\s{_NAME}{_AND}{_LEAD}{_PLACE}", request[at + len(value) :]):
            return ()  # "Rome, Italy and Paris, France": no list of four
        return _members(
            rf"{_NAME}(?:,\s+{_LEAD}{_NAME}){{0,{MOST}}}{_AND}{_LEAD}{_NAME}(?!,\s[A-Z])", _NAME, value, at, request
        )
    return _plain(value, at, request)


def _members(listing: str, member: str, value: str, at: int, request: str) -> tuple[str, ...]:
    for found in re.finditer(listing, request):
        if not found.start() <= at < found.end():
            continue
        if _each_its_own(found, at, request):
            return ()
        items = [
            re.sub(r"['’]s$", "", match[0].strip("'\"‘’“”").rstrip(".,")) for match in re.finditer(member, found[0])
        ]
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


def _plain(value: str, at: int, request: str) -> tuple[str, ...]:
    """Members behind a value in small letters: up to three words each; the last behind "and"."""
    before = re.search(r"([\w.]+)\s+$", request[:at])
    if before is not None and before[1][0].isdigit():
        return ()  # a unit
    lead = rf"(?:{re.escape(before[1])}\s+)?" if before is not None else ""
    found, end = [value], at + len(value)
    closed = False
    while not closed and len(found) < MOST:
        following = re.compile(rf"(?:,\s+(?P<comma>(?!and\b|or\b))|(?P<and>{_AND})){lead}(?P<item>{_PLAIN})").match(
            request, end
        )
        if following is None or following["item"].split()[0].lower() in _POINTING:
            return ()
        found.append(following["item"])
        end, closed = following.end(), following["and"] is not None
    if closed:
        words = max(len(item.split()) for item in found[:-1])
        last = " ".join(found[-1].split()[:words])
        if _OBJECT.match(request, end - len(found[-1]) + len(last)):
            return ()  # "a and compare the others": no member, but another thing to do
        found[-1] = last
    return tuple(dict.fromkeys(found)) if closed else ()


def stands_for(call: ToolCall, request: str, others: Sequence[ToolCall] = ()) -> tuple[ToolCall, ...]:
    """The calls that this one stands for, itself among them; only itself where none of its values is one of a list.
    A list of which one of the others holds two members together is one of values, not of calls."""
    lists = {name: found for name, value in call.arguments.items() if (found := _own_list(name, value, call, request))}
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
        return repr(float(item))
    return str(item).lower().rstrip(".")


def _own_list(name: str, value: object, call: ToolCall, request: str) -> Sequence[Value]:
    """Not a list whose other members are values of the same call, as of a route from one to the other."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ()
    found = listed_with(value, request)
    held = {"", *_values(call, name)}
    return () if any(_plainly(item) in held for item in found if item != value) else found
