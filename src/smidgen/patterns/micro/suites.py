"""A suite of tests as a text: calls of a function with what they return, chosen so that mistakes are noticed. Pure."""

from __future__ import annotations

import ast
import builtins
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from smidgen.patterns.micro.trials import SHOWN, Outcome

Origin = Literal["documented", "expected", "recorded"]
"""Where a test's value comes from: the docstring shows it; a model expected it, and it is so; or it is what the
function gives today, whether that is right or not."""

TITLES: Mapping[Origin, str] = {"documented": "_as_documented", "expected": "", "recorded": "_stays_the_same"}
LEAST_DOCUMENTED = 6
LEAST_EXPECTED = 2


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A call and its outcome, which is a value that can be written down, or an exception. kills: which mutants it
    notices, by number."""

    call: str
    outcome: Outcome
    origin: Origin
    kills: frozenset[int] = frozenset()


_OF_THE_PLACE = (OSError, ImportError, EOFError, NameError, SyntaxError, RecursionError, MemoryError)
"""Exceptions that tell of where a call is made (without files and network here), or of a wrong call."""


def is_writable(outcome: Outcome, classes: frozenset[str] = frozenset()) -> bool:
    """A literal that equals itself, or an exception that says something of the function. classes: those beside it."""
    if outcome.kind == "raised":
        kind = _builtin(outcome.shown)
        if kind is None:
            return outcome.shown in classes
        return issubclass(kind, Exception) and not issubclass(kind, _OF_THE_PLACE)
    if outcome.kind != "value" or len(outcome.shown) >= SHOWN:
        return False
    try:
        value = ast.literal_eval(outcome.shown)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return bool(value == value) and (not _has_float(value) or _is_flat(value))


def notices(case: Case, outcome: Outcome) -> bool:
    """Whether the test of that case fails where the function gives this instead. A mutant's exception of another
    class that isn't known may be a subclass, so it counts for nothing."""
    if case.outcome.kind == "raised":
        if outcome.kind != "raised":
            return True
        given, wanted = _builtin(outcome.shown), _builtin(case.outcome.shown)
        return bool(given and wanted and not issubclass(given, wanted))
    if outcome.kind != "value":
        return True
    try:
        value: Any = ast.literal_eval(outcome.shown)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return True
    wanted_value: Any = ast.literal_eval(case.outcome.shown)
    if wanted_value is None or isinstance(wanted_value, bool):
        return value is not wanted_value
    return not _close(value, wanted_value) if _has_float(wanted_value) else bool(value != wanted_value)


def _close(value: Any, wanted: Any) -> bool:
    """As pytest.approx has it."""
    if isinstance(wanted, dict):
        pairs = cast("dict[Any, Any]", wanted)
        return (
            isinstance(value, dict)
            and value.keys() == pairs.keys()
            and all(_close(value[key], one) for key, one in pairs.items())
        )
    if isinstance(wanted, (list, tuple)):
        items = cast("Sequence[Any]", wanted)
        if not isinstance(value, (list, tuple)):
            return False
        given = cast("Sequence[Any]", value)
        return len(given) == len(items) and all(map(_close, given, items))
    return isinstance(value, (int, float)) and math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-12)


def _builtin(name: str) -> type[BaseException] | None:
    kind = getattr(builtins, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseException) else None


def chosen(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The documented ones, then a few that were expected, then whatever notices a mutant that none before does."""
    ranks: dict[Origin, int] = {"documented": 0, "expected": 1, "recorded": 2}
    kept: list[Case] = []
    noticed: set[int] = set()
    counts: dict[Origin, int] = {"documented": 0, "expected": 0, "recorded": 0}
    wanted: dict[Origin, int] = {"documented": LEAST_DOCUMENTED, "expected": LEAST_EXPECTED, "recorded": 0}
    rest = sorted(cases, key=lambda case: ranks[case.origin])
    for case in rest:
        if counts[case.origin] < wanted[case.origin]:
            kept.append(case)
            counts[case.origin] += 1
            noticed |= case.kills
    left = [case for case in rest if case not in kept]
    while left:
        best = max(left, key=lambda case: (len(case.kills - noticed), -ranks[case.origin], -len(case.call)))
        if not best.kills - noticed:
            break
        kept.append(best)
        left.remove(best)
        noticed |= best.kills
    return tuple(sorted(kept, key=lambda case: ranks[case.origin]))


def suite_of(name: str, cases: Sequence[Case]) -> str:
    """Test functions, one for each origin; those whose values nobody has said to be right say so."""
    parts: list[str] = []
    for origin, title in TITLES.items():
        mine = [case for case in cases if case.origin == origin]
        if not mine:
            continue
        lines = [f"def test_{name.strip('_')}{title}() -> None:"]
        if origin == "recorded":
            lines.append(f'    """What {name} gives today; nobody has said that it is right."""')
        for case in mine:
            lines += _lines(case)
        parts.append("\n".join(lines) + "\n")
    return "\n\n".join(parts)


def file_of(module: str, suites: Mapping[str, str]) -> str:
    """A file for pytest. module: what the functions are imported from, and exceptions that aren't Python's own."""
    body = "\n\n".join(text for text in suites.values() if text)
    head = "import pytest\n\n" if re.search(r"\bpytest\.", body) else ""
    own = {
        name for name in re.findall(r"^    with pytest\.raises\((\w+)\):$", body, re.MULTILINE) if not _builtin(name)
    }
    return f"{head}from {module} import {', '.join(sorted({*suites, *own}))}\n\n\n{body}"


def _lines(case: Case) -> list[str]:
    if case.outcome.kind == "raised":
        return [f"    with pytest.raises({case.outcome.shown}):", f"        {case.call}"]
    value = ast.literal_eval(case.outcome.shown)
    if value is None or isinstance(value, bool):
        return [f"    assert {case.call} is {value}"]
    if _has_float(value):
        return [f"    assert {case.call} == pytest.approx({case.outcome.shown})"]
    return [f"    assert {case.call} == {case.outcome.shown}"]


def _has_float(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_has_float(one) for one in cast("Sequence[Any]", value))
    if isinstance(value, dict):
        return any(_has_float(one) for one in cast("dict[Any, Any]", value).values())
    return isinstance(value, float)


def _is_flat(value: Any) -> bool:
    """As far as pytest.approx goes."""
    if isinstance(value, dict):
        value = list(cast("dict[Any, Any]", value).values())
    if isinstance(value, (list, tuple)):
        return all(isinstance(one, (int, float)) for one in cast("Sequence[Any]", value))
    return isinstance(value, float)
