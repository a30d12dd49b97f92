"""Whether a value is what was asked for, in words that a model can be told; and conditions of steps. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import msgspec

from smidgen.agent.words import holds
from smidgen.errors import ConfigError
from smidgen.patterns.chain.templates import Value, as_text, at, placeholders, variants

Bounds = tuple[int, int]
"""At least and at most."""


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a value must be: all that is set.

    least, most: of a number. words, characters, items: how many of them, (at least, at most).
    one_of: texts, capitals aside. contains: texts that must stand in it as whole words; `{step}` in them stands for the
    text, or each text of the list, that is that step's value; of a step that was left out nothing is asked. lacks:
    texts that mustn't. matches: a regular expression that all of it matches. Raises ConfigError for an expression or
    bounds that can't be used.
    """

    least: float | None = None
    most: float | None = None
    words: Bounds | None = None
    characters: Bounds | None = None
    items: Bounds | None = None
    one_of: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ConfigError(f"matches = {self.matches!r} is no regular expression: {error}.") from error
        for name in ("words", "characters", "items"):
            bounds = cast("Bounds | None", getattr(self, name))
            if bounds is not None and not 0 <= bounds[0] <= bounds[1]:
                raise ConfigError(f"{name} = {list(bounds)} is no range.", hint="Write [at least, at most].")

    @property
    def paths(self) -> tuple[str, ...]:
        """Of values that it names."""
        return tuple(path for text in (*self.contains, *self.lacks) for path in placeholders(text))

    def problem(self, value: Value, values: Mapping[str, Value]) -> str:
        """What is wrong, "" if nothing is. Raises NoSuchValue."""
        return next(self._problems(value, values), "")

    def _problems(self, value: Value, values: Mapping[str, Value]) -> Iterator[str]:
        text = as_text(value)
        if self.least is not None or self.most is not None:
            yield from self._range(value)
        for bounds, count, unit in (
            (self.words, len(text.split()), "words"),
            (self.characters, len(text), "characters"),
            (self.items, len(cast("Sequence[Value]", value)) if isinstance(value, list) else 1, "items"),
        ):
            if bounds is not None and not bounds[0] <= count <= bounds[1]:
                wanted = f"at most {bounds[1]}" if count > bounds[1] else f"at least {bounds[0]}"
                yield f"it has {count} {unit}, and must have {wanted}"
        if self.one_of and text.strip().lower() not in {option.lower() for option in self.one_of}:
            yield f"it must be one of: {', '.join(self.one_of)}"
        missing = [term for term in _terms(self.contains, values) if not holds(text, term)]
        if missing:
            yield f"it must contain: {', '.join(missing)}"
        if unwanted := [term for term in _terms(self.lacks, values) if holds(text, term)]:
            yield f"it must not contain: {', '.join(unwanted)}"
        if self.matches and not re.fullmatch(self.matches, text, re.DOTALL):
            yield f"it must match {self.matches}"

    def _range(self, value: Value) -> Iterator[str]:
        number = _number(value)
        if number is None:
            yield "it must be a number"
        elif self.least is not None and number < self.least:
            yield f"it must be at least {self.least:g}"
        elif self.most is not None and number > self.most:
            yield f"it must be at most {self.most:g}"


class When(Check, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition on an earlier value: its path, and what it must be; set nothing else, and it must be neither empty
    nor false. unless: the contrary."""

    value: str
    unless: bool = False

    def holds(self, values: Mapping[str, Value]) -> bool:
        found = at(values, self.value)
        is_set = any(getattr(self, field.name) != field.default for field in msgspec.structs.fields(Check))
        is_so = not self.problem(found, values) if is_set else bool(found)
        return is_so != self.unless


def _terms(texts: Sequence[str], values: Mapping[str, Value]) -> Iterator[str]:
    return (term for text in texts for term in variants(text, values))


def _number(value: Value) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
