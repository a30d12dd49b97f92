"""Calls to try a function with: arguments near those that are known, and small ones by type. Pure.

Nobody knows what they should return: drafts of one function are compared by what they do with them."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence
from typing import Any, cast

from smidgen.patterns.micro.examples import Example
from smidgen.patterns.micro.stubs import Stub

LONGEST = 400
"""Characters of a call."""

_POOLS: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, 2, 3, 5, 7, 10, 12, 25, 100, -1, -4),
    "float": (0.0, 1.0, 0.5, 2.5, 3.75, 10.0, -1.5),
    "str": ("", "a", "ab", "abc", "Hello World", "aab", "racecar", "12 3", "a b c"),
    "bool": (True, False),
    "list": ([], [1], [1, 2, 3], [3, 1, 2], [2, 2, 5, -1], [10, 4, 7, 4]),
    "dict": ({}, {"a": 1}, {"a": 1, "b": 2}),
}


def arguments_of(call: str, name: str) -> tuple[Any, ...] | None:
    """The values of a plain call `name(…)`; None for anything else."""
    try:
        node = ast.parse(call.strip(), mode="eval").body
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name):
            return None
        if node.keywords or not node.args:
            return None
        return tuple(ast.literal_eval(one) for one in node.args)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def calls_for(
    stub: Stub, known: Sequence[Example], also: Sequence[str] = (), most: int = 30, seed: int = 0
) -> list[str]:
    """also: further calls, tried as they are. Calls of `known` are not among them. Empty if nothing is known of the
    arguments."""
    taken = {one.call for one in known}
    found: dict[str, None] = {call: None for call in also if call not in taken}
    seeds = [values for call in (*taken, *also) if (values := arguments_of(call, stub.name)) is not None]
    seeds = [values for values in seeds if stub.takes(len(values))]
    draw = random.Random(seed)
    columns = _columns(stub, seeds)
    for _ in range(most * 6):
        if len(found) >= most:
            break
        if seeds:
            values = list(draw.choice(sorted(seeds, key=repr)))
            place = draw.randrange(len(values))
            values[place] = near(values[place], draw)
            if draw.random() < 0.3:
                values = [
                    draw.choice(column) if column else value for value, column in zip(values, columns, strict=False)
                ]
        elif columns and all(columns):
            values = [draw.choice(column) for column in columns]
        else:
            break
        call = f"{stub.name}({', '.join(map(repr, values))})"
        if len(call) <= LONGEST and call not in taken:
            found[call] = None
    return list(found)


def calls_at_bounds(stub: Stub, source: str, known: Sequence[Example], most: int = 12) -> list[str]:
    """Calls with the whole numbers that the function itself names, and those beside them, in place of one that is
    known."""
    seeds = [values for one in known if (values := arguments_of(one.call, stub.name)) is not None]
    function = next((node for node in ast.parse(source).body if getattr(node, "name", "") == stub.name), None)
    if not seeds or function is None:
        return []
    numbers = [node.value for node in ast.walk(function) if isinstance(node, ast.Constant)]
    bounds = sorted({number + step for number in numbers if type(number) is int for step in (-1, 0, 1)})
    found: dict[str, None] = {}
    for place, value in enumerate(seeds[0]):
        for bound in bounds if type(value) is int else ():
            values = [*seeds[0][:place], bound, *seeds[0][place + 1 :]]
            found[f"{stub.name}({', '.join(map(repr, values))})"] = None
    return [call for call in found if call not in {one.call for one in known}][:most]


def _columns(stub: Stub, seeds: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Values for each parameter: those that are known, else by its annotation."""
    columns: list[list[Any]] = []
    for place, hint in enumerate(stub.hints):
        column = [values[place] for values in seeds if place < len(values)]
        columns.append(column or list(_by_hint(hint)))
    return columns


def _by_hint(hint: str) -> tuple[Any, ...]:
    outer = re.match(r"(?:typing\.)?(?:Optional\[)?(\w+)", hint)
    kind = outer[1].lower() if outer else ""
    inner = re.search(r"\[(?:typing\.)?(\w+)\]?", hint)
    if kind in ("list", "sequence", "iterable", "tuple", "set") and inner and inner[1].lower() in ("str", "float"):
        pool = _POOLS[inner[1].lower()]
        return ([], [pool[1]], list(pool[1:4]), list(pool[2:7]), [pool[2], pool[2], pool[4]])
    return _POOLS.get({"sequence": "list", "iterable": "list", "number": "int"}.get(kind, kind), ())


def near(value: Any, draw: random.Random) -> Any:
    """A value of the same type, somewhat changed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice(
            (value + 1, value - 1, value * 2, value + draw.randrange(2, 9), 0, 1, value // 2, value * 3 + 1, -value)
        )
    if isinstance(value, float):
        return draw.choice((value + 1, value - 0.5, value * 2, -value, 0.0, round(value), value + 0.25)) * 1.0
    if isinstance(value, str):
        return _near_text(value, draw)
    if isinstance(value, (list, tuple)):
        items = _near_items(list(cast("Sequence[Any]", value)), draw)
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        pairs = list(cast("dict[Any, Any]", value).items())
        return {key: near(one, draw) if draw.random() < 0.5 else one for key, one in pairs if draw.random() < 0.8}
    return value


def _near_text(text: str, draw: random.Random) -> str:
    """Its words or characters in another order, some twice, some not at all: no characters that it doesn't have."""
    words = text.split(" ")
    if len(words) > 1 and draw.random() < 0.7:
        return " ".join(_near_items(list(words), draw, inner=False))
    return "".join(_near_items(list(text), draw, inner=False))


def _near_items(items: list[Any], draw: random.Random, *, inner: bool = True) -> list[Any]:
    way = draw.randrange(7 if inner else 5)
    if not items:
        return items
    if way == 0:
        items.pop(draw.randrange(len(items)))
    elif way == 1:
        items.insert(draw.randrange(len(items) + 1), draw.choice(items))
    elif way == 2:
        items.reverse()
    elif way == 3:
        draw.shuffle(items)
    elif way == 4:
        del items[draw.randrange(1, len(items) + 1) :]
    else:
        place = draw.randrange(len(items))
        items[place] = near(items[place], draw)
    return items
