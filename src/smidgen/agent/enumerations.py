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
_NUMBER = r"[$€£]?\d[\d.]*(?:,\d{3})*(?:\s?(?:%|percent))?(?![\w])"
_NUMBERS = re.compile(rf"{_NUMBER}(?:,\s*{_NUMBER})*{_AND}{_LEAD}{_NUMBER}(?!\w)", re.IGNORECASE)
_WORD = r"[A-Z](?:[\w'’&-]|\.(?=\w|,|\s+(?:and|or|to|in|for)\b))*"
_NAME = rf"{_WORD}(?:\s+(?:(?:of|the|de|del|la|von|van)\s+)?{_WORD})*(?:\s+\d+\b)?"
_PLACE = rf"{_NAME},\s{_NAME}"
_QUOTE = r"['\"‘“][^'\"’”\n]{1,60}['\"’”]"
_PLAIN = (
    r"[a-z][\w'’-]*(?:\s+(?!(?:and|or|for|in|with|at|on|to|from|of|by|using|as|is|are|then|also|please|that|which)\b)"
    r"[a-z][\w'’-]*){0,2}"
)
_POINTING = frozenset({
    "i", "you", "he", "she", "it", "we", "they", "them", "me", "my", "your", "his", "her", "its", "our", "their", "what",
    "how", "which", "who", "when", "where", "why", "that", "this", "these", "those", "there", "so", "if", "all",
})  # fmt: skip
"""What begins no member of a list of its own."""
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
    quoted = at > 0 and request[at - 1] in "'\"‘“"
    if quoted:
        return _members(rf"{_QUOTE}(?:(?:,\s*|{_AND}){_LEAD}{_QUOTE})+", _QUOTE, value, at, request)
    if request[at].isupper():
        if "," in value:
            return _members(rf"{_PLACE}(?:(?:[,;]?{_AND}|[,;]\s+){_LEAD}{_PLACE})+", _PLACE, value, at, request)
        if re.match(rf",\s{_NAME}{_AND}{_LEAD}{_PLACE}", request[at + len(value) :]):
            return ()  # "Rome, Italy and Paris, France": no list of four
        return _members(rf"{_NAME}(?:,\s+{_LEAD}{_NAME})*{_AND}{_LEAD}{_NAME}(?!,\s[A-Z])", _NAME, value, at, request)
    return _plain(value, at, request)


def _members(listing: str, member: str, value: str, at: int, request: str) -> tuple[str, ...]:
    for found in re.finditer(listing, request):
        if not found.start() <= at < found.end():
            continue
        items = [match[0].strip("'\"‘’“”").rstrip(".,") for match in re.finditer(member, found[0])]
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


def _plain(value: str, at: int, request: str) -> tuple[str, ...]:
    """Members behind a value in small letters: up to three words each; the last behind "and"."""
    found, end = [value], at + len(value)
    closed = False
    while not closed and len(found) < MOST:
        following = re.compile(rf"(?:,\s+(?P<comma>(?!and\b|or\b))|(?P<and>{_AND})){_LEAD}(?P<item>{_PLAIN})").match(
            request, end
        )
        if following is None or following["item"].split()[0].lower() in _POINTING:
            return ()
        found.append(following["item"])
        end, closed = following.end(), following["and"] is not None
    words = max(len(item.split()) for item in found[:-1]) if len(found) > 1 else 1
    found[-1] = " ".join(found[-1].split()[:words])
    return tuple(dict.fromkeys(found)) if closed else ()


def stands_for(call: ToolCall, request: str) -> tuple[ToolCall, ...]:
    """The calls that this one stands for, itself among them; only itself where none of its values is one of a list."""
    lists = {name: found for name, value in call.arguments.items() if (found := _own_list(name, value, call, request))}
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


def _own_list(name: str, value: object, call: ToolCall, request: str) -> Sequence[Value]:
    """Not a list whose other members are values of the same call, as of a route from one to the other."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ()
    found = listed_with(value, request)
    held = {""}
    for key, other in call.arguments.items():
        items = cast(list[object], other) if isinstance(other, list) else [other]
        held |= {str(item).lower().rstrip(".") for item in items if key != name}
    return () if any(str(item).lower().rstrip(".") in held for item in found if item != value) else found
