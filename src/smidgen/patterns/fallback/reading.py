"""Chains, cascades, rules and refusals from TOML."""

from __future__ import annotations

from copy import copy
from typing import Any, cast

import msgspec

from smidgen.patterns import Pattern
from smidgen.patterns.fallback import checks, confidence
from smidgen.patterns.fallback.cascade import Cascade
from smidgen.patterns.fallback.fallback import Fallback
from smidgen.patterns.fallback.refusal import Refusal
from smidgen.patterns.fallback.rules import Rule, Rules
from smidgen.patterns.fallback.ways import Way
from smidgen.patterns.files import Table
from smidgen.patterns.verified.reading import read_check as verifier_of

_TESTS: dict[str, type[msgspec.Struct]] = {
    "logprob": confidence.Logprob,
    "agreement": confidence.Agreement,
    "yes/no": confidence.YesNo,
    "nearness": confidence.Nearness,
    "check": confidence.Checked,
}
_CHECKS = ("regex", "schema", "words", "python", "question", "sure")


def read(table: Table) -> Pattern:
    """`kind = "fallback"`, "cascade", "rules" or "refusal". Raises ConfigError."""
    match table.kind:
        case "fallback":
            return table.as_struct(Fallback, ways=_ways(table))
        case "rules":
            return table.as_struct(Rules, rules=tuple(map(_rule, table.tables("rules"))))
        case "refusal":
            return table.as_struct(Refusal)
        case _:
            return _cascade(table)


def _rule(table: Table) -> Rule:
    if not isinstance(table.values.get("say"), str):
        raise table.wrong("say must be a text", "Functions can be given from Python.")
    return table.as_struct(Rule, say=table.values["say"])


def _ways(table: Table) -> tuple[Way, ...]:
    found = table.values.get("ways", [])
    if not isinstance(found, list) or not found:
        raise table.wrong("ways must be a list of patterns", "Write [[ways]] above each, with its `pattern`.")
    # A way may be a pattern alone, which then has none of a way's own keys.
    table.values["ways"] = [
        value if isinstance(value, dict) and "kind" not in value else {"pattern": value}
        for value in cast("list[Any]", found)
    ]
    ways: list[Way] = []
    for inner in table.tables("ways"):
        changes: dict[str, Any] = {"pattern": inner.pattern("pattern")}
        if "check" in inner.values:
            changes["check"] = read_check(inner, "check")
        ways.append(inner.as_struct(Way, **changes))
    return tuple(ways)


def _cascade(table: Table) -> Cascade:
    changes: dict[str, Any] = {"first": table.pattern("first"), "then": table.pattern("then")}
    if "refiner" in table.values:
        changes["refiner"] = table.pattern("refiner")
    if "check" in table.values:
        changes["check"] = read_check(table, "check")
    if "by" in table.values:
        changes["by"] = _test(table)
    return table.as_struct(Cascade, **changes)


def _test(table: Table) -> confidence.Confidence:
    value = table.values["by"]
    values = cast("dict[str, Any]", value) if isinstance(value, dict) else {"kind": value}
    inner = _inner(table, "by", values)
    struct = _TESTS.get(inner.kind)
    if struct is None:
        raise inner.wrong(f"there is no test called {inner.kind!r}", f"There are: {', '.join(_TESTS)}.")
    if struct is confidence.Checked:
        if "check" not in inner.values:
            raise inner.wrong("check is missing", 'Write by = { kind = "check", check = { regex = "..." } }.')
        return inner.as_struct(confidence.Checked, check=read_check(inner, "check"))
    return cast("confidence.Confidence", inner.as_struct(struct))


def read_check(table: Table, key: str) -> checks.Check:
    """`{ regex = "...", schema = {...}, words = [1, 50], python = "...", question = "...", sure = 0.5 }`: all that are
    there must pass, in this order. Or a check of `kind = "verified"`, by its kind. Raises ConfigError."""
    value = table.values[key]
    if isinstance(value, str) or (isinstance(value, dict) and "kind" in value):
        return checks.as_check(verifier_of(table, cast(object, value)))
    if not isinstance(value, dict) or not value:
        raise table.wrong(f"{key} must be a table", f"It may have: {', '.join(_CHECKS)}.")
    inner = _inner(table, key, cast("dict[str, Any]", value))
    wished = inner.values
    if unknown := [name for name in wished if name not in _CHECKS]:
        raise inner.wrong(f"there is no key {unknown[0]!r} in a check", f"There are: {', '.join(_CHECKS)}.")
    found: list[checks.Check] = []
    try:
        if "regex" in wished:
            found.append(checks.Matches(regex=msgspec.convert(wished["regex"], str)))
        if "schema" in wished:
            found.append(checks.Conforms(schema=msgspec.convert(wished["schema"], dict[str, Any])))
        if "words" in wished:
            least, most = msgspec.convert(wished["words"], tuple[int, int])
            found.append(checks.Words(least=least, most=most))
        if "python" in wished:
            found.append(checks.Program(code=msgspec.convert(wished["python"], str)))
        if "question" in wished or "sure" in wished:
            given = {name: wished[name] for name in ("question", "sure") if name in wished}
            found.append(msgspec.convert(given, checks.Asked))
    except (msgspec.ValidationError, ValueError) as error:
        raise inner.wrong(f"it can't be used: {error}") from error
    return cast("checks.Check", checks.every(found))


def _inner(table: Table, key: str, values: dict[str, Any]) -> Table:
    """A table that stands in another under this key."""
    outer = copy(table)
    outer.values = {key: [values]}
    return outer.tables(key)[0]
