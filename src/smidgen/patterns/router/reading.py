"""`kind = "router"`: intents as `[[intents]]`, their slots as `[[intents.slots]]`."""

from __future__ import annotations

from typing import Any, cast, get_args

from smidgen.errors import ConfigError, SmidgenError
from smidgen.patterns import Pattern
from smidgen.patterns.files import Table, made
from smidgen.patterns.router.intents import Intent
from smidgen.patterns.router.router import Router
from smidgen.patterns.router.slots import Kind, Slot

KEYS = {"name": str, "rejects": (int, float), "threshold": (int, float), "embeds": bool}


def read(table: Table) -> Pattern:
    """Raises ConfigError, with the file and the intent's place in it."""
    known = ("kind", "intents", "otherwise", "outside", *KEYS)
    if unknown := [key for key in table.values if key not in known]:
        raise table.wrong(f"there is no key {unknown[0]!r} in router", f"There are: {', '.join(known[1:])}.")
    options: dict[str, Any] = {}
    for key, kinds in KEYS.items():
        if key in table.values:
            value = table.values[key]
            if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
                raise table.wrong(f"{key} = {value!r} can't be used")
            options[key] = value
    if "otherwise" in table.values:
        value = table.values["otherwise"]
        is_file = isinstance(value, str) and value.endswith(".toml")
        options["otherwise"] = value if isinstance(value, str) and not is_file else table.pattern("otherwise")
    outside = table.values.get("outside", [])
    if not isinstance(outside, list):
        raise table.wrong("outside must be a list of examples of what is out of scope")
    texts = [str(text) for text in cast("list[Any]", outside)]
    intents = [_intent(one) for one in table.tables("intents")]
    try:
        return Router(intents, outside=texts, **options)
    except SmidgenError as error:
        raise table.wrong(error.message.rstrip("."), error.hint) from error


def _intent(table: Table) -> Intent:
    changes: dict[str, Any] = {}
    if "pattern" in table.values:
        changes["pattern"] = table.pattern("pattern")
    if "slots" in table.values:
        changes["slots"] = tuple(_slot(one) for one in table.tables("slots"))
    for key in ("check", "checks"):
        if key in table.values:
            changes["check"] = _checks(table, table.values.pop(key))
    if "rule" in table.values:
        if not isinstance(table.values["rule"], str):
            raise table.wrong("rule must be the text of a program")
        changes["rule"] = table.values["rule"]
    return _made(table, Intent, **changes)


def _slot(table: Table) -> Slot:
    """Its kind isn't a pattern's."""
    kind = table.values.get("kind", "")
    if kind and kind not in get_args(Kind):
        raise table.wrong(f"there is no slot of the kind {kind!r}", f"There are: {', '.join(get_args(Kind))}.")
    return _made(table, Slot, kind=kind)


def _checks(table: Table, value: object) -> Any:
    """As `kind = "verified"` reads them."""
    from smidgen.patterns.verified import Verified

    several = "checks" if isinstance(value, list) else "check"
    held = made(Table({"kind": "verified", several: value}, table.path, "check."))
    if not isinstance(held, Verified):
        raise table.wrong("check can't be used")
    return held.checks


def _made(table: Table, struct: Any, **changes: Any) -> Any:
    """Mistakes that a value finds in itself, with the place they stand at."""
    try:
        return table.as_struct(struct, **changes)
    except ConfigError as error:
        if error.message.startswith(str(table.path)):
            raise
        raise table.wrong(error.message.rstrip("."), error.hint) from error
