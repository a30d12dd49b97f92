"""A policy from a TOML file: `[[allow]]`, `[[ask]]` and `[[deny]]` with what each speaks of, and `[otherwise]`."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from smidgen.errors import ConfigError
from smidgen.tools import Verb
from smidgen.tools.permissions import Decision
from smidgen.tools.permissions.policy import Policy, Rule

_SECTIONS = (*get_args(Decision), "otherwise")
_PORT = re.compile(r"^[^:]*:\d+$")
_NAMES = tuple(field.name for field in msgspec.structs.fields(Rule) if field.name != "decision")


def read_policy(path: Path) -> Policy:
    """Raises ConfigError, which says where and what to write instead; FileNotFoundError as it is."""
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} isn't valid TOML: {error}.", hint="docs/permissions.md shows a file.") from error
    return _policy(table, path)


def _policy(table: dict[str, Any], path: Path) -> Policy:
    rules: list[Rule] = []
    for name, entries in table.items():
        if name not in _SECTIONS:
            raise ConfigError(f"{path}: there is no section {name!r}.", hint=_near(name, _SECTIONS))
        if name == "otherwise":
            continue
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in cast("list[Any]", entries)):
            raise ConfigError(f"{path}: {name} is a list of rules.", hint=f"Write [[{name}]] with two brackets.")
        for number, entry in enumerate(cast("list[dict[str, Any]]", entries), start=1):
            rules.append(_rule(name, entry, f"{path}: [[{name}]] number {number}"))
    return Policy(rules=tuple(rules), otherwise=_otherwise(table.get("otherwise", {}), path))


def _rule(decision: str, entry: dict[str, Any], place: str) -> Rule:
    for name in entry:
        if name not in _NAMES:
            raise ConfigError(f"{place}: a rule has no {name!r}.", hint=_near(name, _NAMES))
    if not entry:
        hint = 'Write tool = "*" if it is to speak of everything.'
        raise ConfigError(f"{place} doesn't say what it speaks of.", hint=hint)
    try:
        rule = msgspec.convert({**entry, "decision": decision}, Rule)
    except msgspec.ValidationError as error:
        hint = f'All are texts, as in tool = "write_file"; verb is one of {", ".join(get_args(Verb))}.'
        raise ConfigError(f"{place} can't be used: {error}.", hint=hint) from error
    if any(not value.strip() for value in entry.values()):
        raise ConfigError(f"{place}: an empty text fits nothing.", hint='Leave it out, or write "*" for anything.')
    if rule.path.startswith(("/", "~")) or "\\" in rule.path or ".." in rule.path.split("/"):
        hint = 'As in path = "private/**".'
        raise ConfigError(f"{place}: a path is relative to the workspace, with / between folders.", hint=hint)
    if "/" in rule.host or _PORT.search(rule.host):
        hint = 'As in host = "*.example.com".'
        raise ConfigError(f"{place}: a host is a name alone, without https:// and without a port.", hint=hint)
    return msgspec.structs.replace(rule, host=_ascii(rule.host, place))


def _ascii(host: str, place: str) -> str:
    """As calls name it."""
    host = host.removesuffix(".")
    if host.isascii():
        return host
    import idna

    try:
        labels = [label if label.isascii() else idna.encode(label.lower()).decode() for label in host.split(".")]
    except idna.IDNAError:
        hint = "Write the name in ASCII (xn--…), with * and ? only in labels of their own."
        raise ConfigError(f"{place}: {host!r} can't be the name of a host.", hint=hint) from None
    return ".".join(labels)


def _otherwise(entries: Any, path: Path) -> dict[Verb, Decision]:
    try:
        return msgspec.convert(entries, dict[Verb, Decision])
    except msgspec.ValidationError as error:
        hint = f'As in write = "ask"; for {", ".join(get_args(Verb))} one of {", ".join(get_args(Decision))}.'
        raise ConfigError(f"{path}: [otherwise] can't be used: {error}.", hint=hint) from error


def _near(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known)
    return f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
