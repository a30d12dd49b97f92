"""From a tool's JSON Schema to a Lark grammar (llguidance's variant), in the notation of a dialect.

Every sentence is bounded: no free whitespace, strings, numbers, lists and free-form objects of limited size, properties
in declared order. What a regular notation can't hold (ranges, patterns, uniqueness) is checked after parsing instead;
a keyword that would have to be dropped silently raises ConstraintError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from smidgen.errors import ConstraintError
from smidgen.messages import JsonSchema

MAX_STRING = 2000
MAX_ITEMS = 32
MAX_DEPTH = 12
MAX_RULES = 2000
MAX_SIZE = 500_000
"""Characters of all rules; the engine refuses more than twice as much."""
TWO_PARTS = "two-parts"
"""A text's `format`: two parts with a comma between, as in "City, State"."""
_TOKEN = re.compile(r"<[^<>\s\"]+>")
_PLAIN = r"[^\x{3C}\x00-\x08\x0B-\x1F\x7F]"
_REFUSED = ("$ref", "allOf", "not", "if", "patternProperties", "dependentSchemas", "$dynamicRef")


class Notation(msgspec.Struct, frozen=True, kw_only=True):
    """How values are written. `indent` "" writes objects on one line."""

    true: str
    false: str
    null: str
    indent: str = ""


JSON = Notation(true="true", false="false", null="null", indent="    ")
JSON_LINE = Notation(true="true", false="false", null="null")
PYTHON = Notation(true="True", false="False", null="None")


def literal(text: str) -> str:
    """A quoted terminal of the grammar."""
    return json.dumps(text, ensure_ascii=False)


def mark(text: str, special: Collection[str]) -> str:
    """A mark of a dialect: the control token where the vocabulary has one of this text, else a quoted terminal. A
    control token is no text to the matcher, and one that the vocabulary lacks would make the grammar invalid."""
    return text if text in special and _TOKEN.fullmatch(text) else literal(text)


def several(grammar: Grammar, calls: Sequence[str], separator: str, most: int) -> str:
    """The body for one to `most` of the calls."""
    one = " | ".join(calls)
    if most <= 1:
        return one
    call = grammar.rule(one)
    return f"{call} ({literal(separator)} {call}){{0,{most - 1}}}"


def _pattern(text: str) -> str:
    """A regular expression for exactly this text, in the notation of the grammar."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"\\x{{{ord(letter):X}}}" for letter in text)


def _avoiding(marks: Sequence[str]) -> tuple[str, str]:
    """Regular expressions for a character that completes none of the marks, and for what may be left of their
    beginnings at the end. A mark's beginning counts as one character together with the one that breaks it off.

    Written out like this instead of by negation, which costs the matcher hundreds of times as much.
    """
    begun = sorted({mark[:length] for mark in marks for length in range(1, len(mark))})
    broken: list[str] = []
    for beginning in begun:
        following = {mark[len(beginning)] for mark in marks if mark.startswith(beginning)} | {"<"}
        broken.append(f"{_pattern(beginning)}[^{''.join(_pattern(letter) for letter in sorted(following))}]")
    again = f"({'|'.join(map(_pattern, begun))})"
    return f"{_PLAIN}|{again}{{0,7}}({'|'.join(broken)})", f"{again}{{0,7}}"


class Grammar:
    """Collects rules. `value` and `members` return the name of a rule to refer to."""

    def __init__(self, notation: Notation) -> None:
        self._notation = notation
        self._rules: dict[str, str] = {}
        self._known: dict[str, str] = {}
        self._size = 0

    def rule(self, body: str) -> str:
        """The name of a rule with this body; the same body is not written twice."""
        if body not in self._known:
            self._known[body] = self._add(f"r{len(self._rules)}", body)
        return self._known[body]

    def text_up_to(self, closing: str, never: Sequence[str], fewest: int, most: int) -> str:
        """A rule for `fewest` to `most` characters of any kind and the first `closing` after them. Texts that hold one
        of `never` are no sentences; these begin with "<" and have no other. Where `most` is less than MAX_STRING, no
        text with "<" is a sentence."""
        # Together with the beginnings of marks the length can't be counted exactly; a short text does without "<".
        unit, rest = _avoiding(never) if most == MAX_STRING else (_PLAIN, "")
        body = f"/({unit}){{{fewest},{most}}}{rest}{_pattern(closing)}/"
        if body not in self._known:
            self._known[body] = self._add(f"r{len(self._rules)}", body, "[lazy]")
        return self._known[body]

    def _add(self, name: str, body: str, options: str = "") -> str:
        self._size += len(body)
        if len(self._rules) >= MAX_RULES or self._size > MAX_SIZE:
            raise ConstraintError("The tools' schemas are too large for a grammar.", hint="Offer fewer tools.")
        self._rules[name + options] = body
        return name

    def source(self, start: str) -> str:
        lines = [f"start: {start}", *(f"{name}: {body}" for name, body in self._rules.items())]
        return "\n".join(lines) + "\n"

    def value(self, schema: JsonSchema, level: int = 1, *, required: bool = False) -> str:
        """A rule for one value of the schema. `level` is the depth of indentation it stands at."""
        if level > MAX_DEPTH:
            raise ConstraintError(f"The schema is nested more than {MAX_DEPTH} levels deep.")
        self.check(schema)
        if "const" in schema:
            return self.rule(literal(self._write(schema["const"], level)))
        if "enum" in schema:
            return self._choice([literal(text) for option in schema["enum"] for text in self._spellings(option, level)])
        options: list[JsonSchema] = schema.get("anyOf") or schema.get("oneOf") or []
        if options:
            rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
            return self._choice([self.value({**rest, **option}, level, required=required) for option in options])
        kinds = schema.get("type", "any")
        if isinstance(kinds, list):
            return self._choice(
                [self.value({**schema, "type": kind}, level, required=required) for kind in cast(list[str], kinds)]
            )
        return self._typed(str(kinds), schema, level, required)

    def check(self, schema: JsonSchema) -> None:
        """Raises ConstraintError for keywords that can't be enforced, and for required properties without a schema."""
        for keyword in _REFUSED:
            if keyword in schema:
                raise ConstraintError(
                    f"The schema keyword {keyword!r} can't be enforced.", hint="Write the schema flat."
                )
        unknown = set(cast(list[str], schema.get("required", []))) - set(schema.get("properties", {}))
        if unknown and schema.get("properties"):
            raise ConstraintError(f"The schema requires {sorted(unknown)[0]!r} but doesn't describe it.")

    def _choice(self, options: Sequence[str]) -> str:
        if not options:
            raise ConstraintError("The schema allows no value at all.")
        return self.rule(" | ".join(dict.fromkeys(options)))

    def _typed(self, kind: str, schema: JsonSchema, level: int, required: bool) -> str:
        makers: dict[str, Callable[[], str]] = {
            "string": lambda: self._string(schema, required),
            "integer": lambda: self.rule(f"/{self._sign(schema)}(0|[1-9][0-9]{{0,17}})/"),
            "number": lambda: self.rule(f"/{self._sign(schema)}(0|[1-9][0-9]{{0,17}})(\\.[0-9]{{1,15}})?/"),
            "boolean": lambda: self._choice([literal(self._notation.true), literal(self._notation.false)]),
            "null": lambda: self.rule(literal(self._notation.null)),
            "array": lambda: self._array(schema, level),
            "object": lambda: self._object(schema, level),
            "any": lambda: self._any(level),
        }
        if kind not in makers:
            raise ConstraintError(f"The schema type {kind!r} doesn't exist.")
        return makers[kind]()

    def _sign(self, schema: JsonSchema) -> str:
        lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
        return "" if isinstance(lowest, int | float) and lowest >= 0 else "-?"

    def _string(self, schema: JsonSchema, required: bool) -> str:
        most = min(int(schema.get("maxLength", MAX_STRING)), MAX_STRING)
        fewest = min(int(schema.get("minLength", 1 if required else 0)), most)
        if schema.get("format") == TWO_PARTS:
            part = r"[^\"\\,\x00-\x1F\x7F ][^\"\\,\x00-\x1F\x7F]{0,60}"
            return self.rule(f'/"{part}, {part}"/')
        return self.rule(f'/"([^"\\\\\\x00-\\x1F\\x7F]|\\\\["\\\\nt]){{{fewest},{most}}}"/')

    def _array(self, schema: JsonSchema, level: int) -> str:
        fewest, most = int(schema.get("minItems", 0)), min(int(schema.get("maxItems", MAX_ITEMS)), MAX_ITEMS)
        if fewest > most:
            raise ConstraintError(f"A list of at least {fewest} items is too long for a grammar.")
        if most == 0:
            return self.rule(literal("[]"))
        item = self.value(schema.get("items", {}), level + 1, required=True)
        more = f"{{{max(fewest - 1, 0)},{most - 1}}}"
        layouts = [(", ", "", "")]
        if self._notation.indent:
            layouts.append(self._layout(level))
        filled = [
            f"{literal('[' + opening)} {item} ({literal(separator)} {item}){more} {literal(closing + ']')}"
            for separator, opening, closing in layouts
        ]
        return self.rule(" | ".join(filled if fewest else ['"[]"', *filled]))

    def _object(self, schema: JsonSchema, level: int) -> str:
        if not schema.get("properties"):
            if schema.get("additionalProperties", True) is False:
                return self.rule(literal("{}"))
            return self._map(schema.get("additionalProperties"), level)
        separator, opening, closing = self._layout(level)
        members = self.members(schema, lambda name: f"{json.dumps(name, ensure_ascii=False)}: ", separator, level)
        filled = f"{literal('{' + opening)} {members} {literal(closing + '}')}"
        return self.rule(filled if schema.get("required") else f'"{{}}" | {filled}')

    def _layout(self, level: int) -> tuple[str, str, str]:
        """What stands between members, after the opening and before the closing bracket."""
        indent = self._notation.indent
        if not indent:
            return ", ", "", ""
        return ",\n" + indent * (level + 1), "\n" + indent * (level + 1), "\n" + indent * level

    def _map(self, values: Any, level: int) -> str:
        name = self._string({"maxLength": 64}, True)
        inner = self.value(cast(JsonSchema, values), level + 1) if isinstance(values, dict) else self._any(level + 1)
        return self.rule(f'"{{}}" | "{{" {name} ": " {inner} (", " {name} ": " {inner}){{0,{MAX_ITEMS - 1}}} "}}"')

    def _any(self, level: int) -> str:
        """Any value; lists and objects at most two levels deep."""
        kinds = ["string", "number", "boolean", "null"]
        if level <= 2:
            kinds += ["array", "object"]
        return self._choice(
            [self._typed(kind, {"items": {}} if kind == "array" else {}, level + 1, False) for kind in kinds]
        )

    def members(self, schema: JsonSchema, key: Callable[[str], str], separator: str, level: int) -> str:
        """A rule for the properties in declared order, the optional ones or not; at least one of them.

        Built from the end: after a first member each further one brings its separator along.
        """
        properties = cast(dict[str, JsonSchema], schema["properties"])
        required = set(cast(list[str], schema.get("required", [])))
        self.check(schema)
        rest, first = "", ""
        for name, sub in reversed(properties.items()):
            needed = name in required
            value = self.value(sub, level + 1, required=needed)
            member = f"{literal(key(name))} {value}"
            leading = f"{member} {rest}".strip()
            first = self.rule(leading) if needed or not first else self.rule(f"{leading} | {first}")
            following = f"{literal(separator)} {member}"
            rest = self.rule(f"{following if needed else f'({following})?'} {rest}".strip())
        return first

    def _spellings(self, value: Any, level: int) -> tuple[str, ...]:
        """A very small number also as people write it: small models don't turn 0.00001 into 1e-05."""
        if isinstance(value, float) and 1e-12 <= abs(value) < 1e-4:
            return self._write(value, level), f"{Decimal(repr(value)):f}", re.sub(r"e-0", "e-", repr(value))
        return (self._write(value, level),)

    def _write(self, value: Any, level: int) -> str:
        if isinstance(value, bool):
            return self._notation.true if value else self._notation.false
        if value is None:
            return self._notation.null
        if isinstance(value, str | int | float):
            return json.dumps(value, ensure_ascii=False)
        raise ConstraintError("Only texts, numbers, true, false and null can be fixed choices.")
