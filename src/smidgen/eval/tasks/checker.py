"""Are these the calls that were asked for? Calls compare as a set, values as what they mean to the tool.

An accepted value is a plain one or says what is accepted: `{"any": true}` all that isn't empty, `{"contains": "text"}`
every string with this in it, `{"contains": ["a", "b"]}` with all of these. Texts compare without regard to capitals,
white space, quotes and punctuation, but for a dot or slash inside a word ("notes.txt", "docs/plan"). Dates compare by
the day that the date tools read, the calculator's expressions by the value and the unit that come out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isclose
from typing import Any, cast

import msgspec

from smidgen.errors import SmidgenError
from smidgen.eval import Verdict
from smidgen.messages import JsonSchema, ToolCall, ToolSpec
from smidgen.tools.builtin.arithmetic import compute
from smidgen.tools.builtin.calculator import format_value
from smidgen.tools.builtin.dates import Clock, parse_date, system_clock
from smidgen.tools.builtin.quantity import Value

TOLERANCE = Decimal("1e-9")
"""How far two results may lie apart, as a share of the larger: less than any rounding a person would do."""
MAX_TOLD = 4
"""Accepted values that a reason names."""

_IN_A_WORD = re.compile(r"(?<=\w)[./\\](?=\w)|(?<!\w)-(?=\d)")
_PUNCTUATION = re.compile(r"""[\s.,:;!?/\\_*^()\[\]{}'"`´’‘‚‛“”„«»‹›‐‑‒–—―…、。「」『』¡¿-]""")
_DATE = re.compile(
    r"\d{4}-\d\d?-\d|\b(?:19|20)\d{6}\b|\d{4}-?W\d|\d[/.]\d+[/.]\d|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:to|yester)day\b|\bnow\b|\btomorrow\b|\beve\b|\bday\b"
    r"|\bnew year|\bhalloween\b|\bchristmas\b",
    re.IGNORECASE,
)
_TIME = re.compile(r"\d\s*(?::|h\b|[ap]\.?m\b)|\dT\d", re.IGNORECASE)


class Expected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A call that must be made. arguments: the values accepted for each. may_omit: arguments that may be left out; so
    may those whose default is accepted. or: other calls that do as well."""

    tool: str
    arguments: dict[str, list[Any]] = {}
    may_omit: tuple[str, ...] = ()
    alternatives: tuple[Expected, ...] = msgspec.field(name="or", default=())


def check(
    expect: Sequence[Expected],
    calls: Sequence[ToolCall],
    tools: Sequence[ToolSpec],
    *,
    ask: Sequence[str] = (),
    clock: Clock = system_clock,
) -> Verdict:
    """Each expected call must be made once, in any order, and no other. `ask`: what the user should be asked for."""
    if not expect:
        due = f"the user should be asked for {' and '.join(ask)}" if ask else "no call fits"
        called = ", ".join(call.name for call in calls)
        return Verdict(correct=not calls, reason=f"{due}, but there was a call of {called}" if calls else "")
    now = clock()
    judge = _Judge({tool.name: tool.parameters for tool in tools}, lambda: now)
    table = [[judge.mistakes(expected, call) for call in calls] for expected in expect]
    pairs = _paired([[not mistakes for mistakes in row] for row in table])
    reasons = _reasons(expect, calls, table, pairs)
    return Verdict(correct=not reasons, reason="; ".join(reasons))


def same(got: Any, wanted: Any, clock: Clock = system_clock) -> bool:
    """Does a value mean what an accepted one says?"""
    if isinstance(wanted, dict):
        return _same_object(got, cast(dict[str, Any], wanted), clock)
    if isinstance(wanted, list):
        items = cast(list[Any], wanted)
        if not isinstance(got, list | tuple) or len(cast(Sequence[Any], got)) != len(items):
            return False
        return all(same(one, other, clock) for one, other in zip(cast(Sequence[Any], got), items, strict=True))
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, int | float) and isinstance(wanted, int | float):
        return got == wanted or isclose(got, wanted, rel_tol=float(TOLERANCE))
    if isinstance(got, str) and isinstance(wanted, str):
        return plain(got) == plain(wanted) or same_date(got, wanted, clock)
    return bool(got == wanted)


def plain(text: str) -> str:
    """A text without what may be written in one way or another."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("−", "-").strip()
    kept = {match.start() for match in _IN_A_WORD.finditer(folded)}
    bare = "".join(sign for i, sign in enumerate(folded) if i in kept or not _PUNCTUATION.match(sign))
    return bare.replace("\\", "/") or folded.rstrip("/")


def same_date(one: str, other: str, clock: Clock = system_clock) -> bool:
    """Do both read as a date, without a time of day, and as the same?"""
    if not all(_DATE.search(text) and not _TIME.search(text) for text in (one, other)):
        return False
    try:
        return parse_date(one, clock) == parse_date(other, clock)
    except SmidgenError:
        return False


def result(expression: str) -> Value:
    """What the calculator makes of it. Raises ArithmeticProblem."""
    return compute(expression.strip().rstrip("=?").strip()).value


def same_result(one: Value, other: Value) -> bool:
    """The same number of the same unit; 24% is 0.24."""
    gap = abs(one.number - other.number)
    return one.unit == other.unit and gap <= TOLERANCE * max(abs(one.number), abs(other.number))


def _same_object(got: Any, wanted: dict[str, Any], clock: Clock) -> bool:
    if wanted == {"any": True}:
        return got is not None and got not in ([], {}) and (not isinstance(got, str) or bool(got.strip()))
    if set(wanted) == {"contains"}:
        parts: list[str] = [wanted["contains"]] if isinstance(wanted["contains"], str) else wanted["contains"]
        return isinstance(got, str) and all(part.casefold() in got.casefold() for part in parts)
    if not isinstance(got, dict):
        return False
    found = cast(dict[str, Any], got)
    return found.keys() == wanted.keys() and all(same(found[name], value, clock) for name, value in wanted.items())


class _Judge:
    """Compares one call with one expected; knows the tools' schemas and what day it is."""

    def __init__(self, schemas: Mapping[str, JsonSchema], clock: Clock) -> None:
        self._schemas = schemas
        self._clock = clock

    def mistakes(self, expected: Expected, call: ToolCall) -> list[str]:
        """[] if it is the call, or one of those that do as well; else what is wrong, by the likest of them."""
        found: list[str] | None = None
        for option in (expected, *expected.alternatives):
            if option.tool != call.name:
                continue
            wrong = list(self._wrong_arguments(option, call))
            if not wrong:
                return []
            found = wrong if found is None or len(wrong) < len(found) else found
        return [_wrong_tool(expected, call)] if found is None else found

    def _wrong_arguments(self, expected: Expected, call: ToolCall) -> Sequence[str]:
        schema = self._schemas.get(call.name, {})
        properties = cast(dict[str, JsonSchema], schema.get("properties", {}))
        required = cast(list[str], schema.get("required", []))
        given = {name: value for name, value in call.arguments.items() if value is not None or name in required}
        wrong: list[str] = []
        for name, accepted in expected.arguments.items():
            default = properties.get(name, {}).get("default")
            if name in given:
                if not any(self._is(call.name, name, given[name], value) for value in accepted):
                    wrong.append(f"argument {name} was {self._told(call.name, name, given[name])}, {_one_of(accepted)}")
            elif name not in expected.may_omit and not any(same(default, value, self._clock) for value in accepted):
                wrong.append(f"argument {name} was left out, {_one_of(accepted)}")
        for name in given.keys() - expected.arguments.keys():
            default = properties.get(name, {}).get("default", ...)
            if default is ... or not same(given[name], default, self._clock):
                wrong.append(f"argument {name} was {given[name]!r}, but nobody asked for it")
        return [f"{call.name}: {reason}" for reason in wrong]

    def _is(self, tool: str, name: str, got: Any, wanted: Any) -> bool:
        if (tool, name) != ("calculator", "expression") or not isinstance(wanted, str):
            return same(got, wanted, self._clock)
        if not isinstance(got, str):
            return False
        try:
            return same_result(result(got), result(wanted))
        except SmidgenError:
            return False

    def _told(self, tool: str, name: str, got: Any) -> str:
        if (tool, name) != ("calculator", "expression") or not isinstance(got, str):
            return repr(got)
        try:
            return f"{got!r} (which is {format_value(compute(got.strip().rstrip('=?').strip()))})"
        except SmidgenError as error:
            return f"{got!r} (which can't be computed: {error.message})"


def _paired(fits: Sequence[Sequence[bool]]) -> dict[int, int]:
    """Expected to call, one to one, as many as can be."""
    taken: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fit in enumerate(fits[row]):
            if fit and column not in seen:
                seen.add(column)
                if column not in taken or place(taken[column], seen):
                    taken[column] = row
                    return True
        return False

    for row in range(len(fits)):
        place(row, set())
    return {row: column for column, row in taken.items()}


def _reasons(
    expect: Sequence[Expected],
    calls: Sequence[ToolCall],
    table: Sequence[Sequence[list[str]]],
    pairs: Mapping[int, int],
) -> list[str]:
    """What is wrong with the calls that belong to nothing, each held against what is left: the same tool first."""
    missing = [i for i in range(len(expect)) if i not in pairs]
    spare = [i for i in range(len(calls)) if i not in pairs.values()]
    reasons: list[str] = []
    for alike in (True, False):
        for row in tuple(missing):
            near = [i for i in spare if not alike or calls[i].name in _names(expect[row])]
            if near:
                column = min(near, key=lambda i: len(table[row][i]))
                reasons += table[row][column]
                missing.remove(row)
                spare.remove(column)
    reasons += [f"missing call: {expect[i].tool}({_written(expect[i].arguments)})" for i in missing]
    reasons += [f"one call too many: {calls[i].name}({_written(calls[i].arguments)})" for i in spare]
    return reasons


def _names(expected: Expected) -> tuple[str, ...]:
    """Of the tools that do, each once."""
    return tuple(dict.fromkeys(option.tool for option in (expected, *expected.alternatives)))


def _wrong_tool(expected: Expected, call: ToolCall) -> str:
    return f"wrong tool: {call.name} was called, expected {' or '.join(_names(expected))}"


def _one_of(accepted: Sequence[Any]) -> str:
    told = ", ".join(repr(value) for value in accepted[:MAX_TOLD]) + (", …" if len(accepted) > MAX_TOLD else "")
    return f"expected {told}" if len(accepted) == 1 else f"expected one of {told}"


def _written(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
