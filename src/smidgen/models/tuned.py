"""What `smidgen tune` measured of one model file, kept in the store under the file's SHA-256, and applied at its load.

Only the dialect and the weights of `ToolUse` come from there; all else is the family's, written by hand (profiles.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from smidgen.events import Notice
from smidgen.models.profiles import Dialect, Profile
from smidgen.models.store import Store
from smidgen.models.tool_use import ToolUse

VERSION = 1
"""Of what is kept. Counts up when a weight changes its meaning: an older profile is then ignored."""


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """version: VERSION of the smidgen that wrote it, whose own is `smidgen`. model: its name then. date: ISO 8601, UTC.
    measured: what the choice rests on, for people."""

    version: int
    smidgen: str
    date: str
    model: str
    sha256: str
    dialect: Dialect
    tool_use: ToolUse
    measured: dict[str, Any] = {}


def applied(profile: Profile, store: Store, sha256: str) -> tuple[Profile, tuple[Notice, ...]]:
    """The family's profile with what was measured of this file, if anything was."""
    found, notices = find(store, sha256)
    if found is None:
        return profile, notices
    return msgspec.structs.replace(profile, dialect=found.dialect, tool_use=found.tool_use), notices


def find(store: Store, sha256: str) -> tuple[Tuned | None, tuple[Notice, ...]]:
    """None if there is none, or none that can be used, which is told. Never raises."""
    path = store.profile(sha256)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, ()
    except OSError as error:
        return _ignored(f"it can't be read: {error.strerror or error}")
    try:
        kept = msgspec.json.decode(content, type=dict[str, Any])
        if kept.get("version") != VERSION:
            return _ignored("another version of smidgen wrote it")
        found = msgspec.convert(kept, Tuned)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _ignored("its file is damaged")
    use = found.tool_use
    usable = found.sha256 == sha256 and use.shortlist >= 1 and use.most >= 1
    if not usable or not all(map(math.isfinite, _numbers(msgspec.to_builtins(use)))):
        return _ignored("its file is damaged")
    return found, ()


def keep(store: Store, found: Tuned) -> None:
    """Replaces what was kept for the same file. Raises DiskFull, StoreUnwritable."""
    store.write_profile(found.sha256, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def told(found: Tuned) -> str:
    """In a line."""
    use = found.tool_use
    weights = f"choice {use.choice:g}, shortlist {use.shortlist} {use.order}"
    return f"tuned on {found.date[:10]}: dialect {found.dialect}, {weights}"


def _ignored(why: str) -> tuple[None, tuple[Notice, ...]]:
    message = f"The model's tuned profile is not used: {why}. `smidgen tune` makes it again, `--reset` removes it."
    return None, (Notice(code="profile_ignored", message=message),)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for item in cast(dict[str, object], value).values():
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value
