"""What a step's value is, of the text that a model wrote. Pure."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from smidgen.agent.numbers import said_numbers
from smidgen.patterns.chain.templates import NoSuchValue, Value, at

Extract = Literal["", "whole", "number", "lines", "json"]
"""whole: the text as it is. number: the only one that it says. lines: its lines, without marks of a list. json: what it
is as JSON. "": JSON where a schema is given or a key asked for, else the whole."""

_MARK = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_FENCED = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)


class NothingFound(ValueError):
    """The text doesn't hold what was to be extracted; the message tells the model so."""


def extracted(text: str, how: Extract, *, find: str = "", key: str = "") -> Value:
    """find: a regular expression; its first group, or all that it matches. key: of the JSON. Raises NothingFound."""
    if find:
        match = re.search(find, text, re.DOTALL)
        if match is None:
            raise NothingFound(f"nothing in it matches {find}")
        return match[1] if match.re.groups else match[0]
    match how:
        case "number":
            return _number(text)
        case "lines":
            lines = [_MARK.sub("", line).strip() for line in text.splitlines()]
            return list(dict.fromkeys(line for line in lines if line))
        case "json":
            return _json(text, key)
        case _:
            return text.strip()


def _number(text: str) -> int | float:
    found = list(dict.fromkeys(said.readings[0] for said in said_numbers(text)))
    if len(found) != 1:
        listed = ", ".join(f"{number:f}" for number in found[:4])
        raise NothingFound(f"it must hold one number, but holds several: {listed}" if found else "it holds no number")
    value = float(found[0])
    return int(value) if value == int(value) else value


def _json(text: str, key: str) -> Value:
    fenced = _FENCED.search(text)
    try:
        value = msgspec.json.decode((fenced[1] if fenced else text).strip())
    except msgspec.DecodeError as error:
        raise NothingFound(f"it is not valid JSON ({error})") from error
    if not key:
        return value
    try:
        return at({"it": value}, f"it.{key}")
    except NoSuchValue:
        raise NothingFound(f"its JSON has no {key}") from None
