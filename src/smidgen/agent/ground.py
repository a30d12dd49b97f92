"""Grounding before a call is written: what its values may be, from what the request says.

The grammar of a number is narrowed to those that were said, in every reading that the parameter allows, that of a path
to the files that were named; what the request plainly speaks of is required. What is done afterwards: settle.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from smidgen.agent.measures import converted, units_like
from smidgen.agent.numbers import PI, Said, is_ordinal, said_numbers
from smidgen.agent.rules.spans import files
from smidgen.agent.words import choices_of, holds
from smidgen.dialects.convert import convert, types_of
from smidgen.messages import JsonSchema, ToolSpec
from smidgen.tools.words import stems

_DEFAULT = re.compile(
    r"\bdefaults?\s*(?:value\s*)?(?:is|are|to|of|=|:)?\s*(?:set to\s*)?"
    r"[\"'`]?(?P<value>-?\d+(?:\.\d+)?(?:e-?\d+)?|\w[\w/-]*)",
    re.IGNORECASE,
)
_MISSING: Any = object()
MOST_NUMBERS = 40
"""In a text; with more said, a number is not narrowed to them."""


def properties_of(spec: ToolSpec) -> dict[str, JsonSchema]:
    """Of each parameter its schema, {} where it has none that could be read: `true` allows anything."""
    found = cast(dict[str, Any], spec.parameters.get("properties") or {})
    return {name: cast(JsonSchema, schema) if isinstance(schema, dict) else {} for name, schema in found.items()}


def required_of(spec: ToolSpec) -> list[str]:
    known = properties_of(spec)
    return [name for name in cast(list[str], spec.parameters.get("required") or []) if name in known]


def is_numeric(schema: JsonSchema) -> bool:
    return bool(types_of(schema) & {"integer", "number"}) and "enum" not in schema


def default_of(schema: JsonSchema) -> Any:
    """What a parameter is if it's left out: the schema's default, or one its description tells; else a marker that
    equals nothing."""
    if "default" in schema:
        return schema["default"]
    told = _DEFAULT.search(str(schema.get("description", "")))
    return _MISSING if told is None else convert(told["value"], schema)


def about_of(name: str, schema: JsonSchema) -> str:
    """What tells how a number is meant: a parameter's name, its description, its default and its range."""
    default, most = schema.get("default"), schema.get("maximum")
    told = f" default {default}" if isinstance(default, int | float) else ""
    return f"{name} {schema.get('description', '')}{told}{' 0 to 100' if most == 100 else ''}"


def numbers_needed(spec: ToolSpec) -> int:
    """By its required parameters, lists aside."""
    return sum(is_numeric(properties_of(spec)[name]) for name in required_of(spec))


def numbers_missing(request: str, spec: ToolSpec) -> int:
    """How many more numbers the tool requires than the request says; 0 if it says enough."""
    return max(0, numbers_needed(spec) - len(said_numbers(request)))


def for_grammar(spec: ToolSpec, said: str, request: str | None = None) -> ToolSpec:
    """The tool as the grammar of its call shall have it. said: where its numbers may come from; request: what speaks of
    its optional parameters, the same if not given."""
    return with_spoken(named(narrowed(spec, said), said), mentioned(spec, said if request is None else request))


def narrowed(spec: ToolSpec, request: str) -> ToolSpec:
    """The tool with its numeric parameters narrowed to the numbers said, for the grammar only. Where the request says
    fewer numbers than are required, nothing is narrowed: some then come from elsewhere."""
    said = said_numbers(request)
    said = _amounts(spec, request, said)
    if not 0 < len(said) <= MOST_NUMBERS or numbers_missing(request, spec):
        return spec
    required = set(required_of(spec))
    properties = {
        name: _narrowed(schema, said, request, name, () if name in required else (default_of(schema),))
        for name, schema in properties_of(spec).items()
    }
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": properties})


def _amounts(spec: ToolSpec, request: str, said: Sequence[Said]) -> Sequence[Said]:
    """Without ordinals, if enough is said without them; and where just as many numbers as are required stand in digits,
    those: the "two" of "two charges of 5 C and 7 C" only counts."""
    needed = numbers_needed(spec)
    digits = tuple(number for number in said if request[number.start].isdigit())
    numeric = sum(is_numeric(schema) for schema in properties_of(spec).values())
    in_texts = any("string" in types_of(properties_of(spec)[name]) for name in required_of(spec))
    if digits and len(digits) == needed == numeric and not in_texts:
        return digits
    amounts = tuple(number for number in said if not is_ordinal(request, number))
    return amounts if amounts and len(amounts) >= needed else said


def _narrowed(schema: JsonSchema, said: Sequence[Said], text: str, about: str, others: Sequence[Any]) -> JsonSchema:
    about = about_of(about, schema)
    if types_of(schema) == {"array"} and isinstance(schema.get("items"), dict):
        items = cast(JsonSchema, schema["items"])
        return {**schema, "items": _narrowed(items, said, text, about, ())}
    kinds = types_of(schema)
    if not is_numeric(schema) or kinds - {"integer", "number"} or schema.get("anyOf") or schema.get("oneOf"):
        return schema
    options: list[int | float] = [number for number in others if isinstance(number, int | float)]
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    readings = [reading for number in said for reading in fitting(number, text, about)]
    # A small model copies what it reads: the number as it stands is let through, and put right afterwards.
    readings += [reading for number in said if fitting(number, text, about) for reading in number.readings]
    for reading in dict.fromkeys(readings):
        if (lowest is not None and reading < lowest) or (highest is not None and reading > highest):
            continue
        if reading == reading.to_integral_value() and abs(reading) < 10**18:
            options.append(int(reading))
        if "number" in kinds:
            options.append(float(reading))
    kept = {key: value for key, value in schema.items() if key in ("description", "default")}
    return {**kept, "enum": options} if options else schema


def fitting(said: Said, text: str, about: str) -> tuple[Decimal, ...]:
    """The readings that a parameter's name and description allow: of 5%, 5 where it asks for percent, 0.05 for a
    fraction; of 11 PM 23 on a clock of 24 hours; of 74° W -74 for coordinates; an amount in the unit asked for."""
    measured = converted(said, text, about)
    if measured is not None:
        return measured
    if len(said.readings) != 2:
        return said.readings
    first, second = said.readings
    if first == 100 * second:
        if re.search(r"\bdecimal|\bfraction|\b0\.\d", about, re.IGNORECASE):
            return (second,)
        if re.search(r"\b(?:in|as)\s+(?:an?\s+)?percent|%", about, re.IGNORECASE):
            return (first,)
        is_share = _SHARE.search(about) and not _IN_PERCENT.search(about)
        return (second,) if is_share else said.readings
    if first == round(second * PI, 4):
        return (first,)
    if second == first + 12 and re.search(r"\b24[- ]?h(?:ou)?r?s?\b|\bmilitary\b", about, re.IGNORECASE):
        return (second,)
    if second == -first and re.search(r"coord|latitude|longitude|\blat\b|\blong?\b", about, re.IGNORECASE):
        return (-abs(first),)
    return said.readings


_SHARE = re.compile(r"(?:\b|_)(?:rates?|interest|probability|efficiency|confidence|ratio|share)(?:\b|_)", re.IGNORECASE)
"""What 5% of is 0.05, unless it is asked for in percent."""
_IN_PERCENT = re.compile(
    r"percent|pct|\b(?:0|1)\s*(?:-|to)\s*100\b|out of 100"
    r"|\b(?:e\.g\.|examples?|defaults?)[^\d.]{0,15}(?:[1-9]\d|[2-9]|1\.\d)",
    re.IGNORECASE,
)
"""What says that 5% of is 5: it is called percent, goes to 100, or has an example above 1."""
_PATH = re.compile(r"(?:^|_)(?:path|file|file_?name|file_?path)$", re.IGNORECASE)


_OTHER_FILE = re.compile(
    r"\b(?:Makefile|Dockerfile|README|LICENSE)\b(?!\.\w)|(?:^|\s)\.[a-z]\w|\b(?:folder|directory)\b|\\\\"
)
"""Files that have no ending, or a folder that belongs to the path."""
UNIT_NAME = re.compile(r"(?:^|_)units?$", re.IGNORECASE)


def named(spec: ToolSpec, said: str) -> ToolSpec:
    """The tool with its parameters for one file narrowed to the files that were named, if some were."""
    names = list(dict.fromkeys(span.text for span in files(said)))
    if not names or _OTHER_FILE.search(said):
        return spec
    properties = {
        name: {**schema, "enum": names}
        if _PATH.search(name) and types_of(schema) == {"string"} and "enum" not in schema
        else schema
        for name, schema in properties_of(spec).items()
    }
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": properties})


def mentioned(spec: ToolSpec, request: str) -> dict[str, list[Any]]:
    """Optional parameters that the request speaks of, with the values it can mean: the choices it names, where the
    default isn't among them; yes, where it says every word of the parameter's name; the unit, where it says another
    than the default of the same kind; any ([]), for the only number that is said and no required parameter takes."""
    required = set(required_of(spec))
    found: dict[str, list[Any]] = {}
    words = stems(request)
    for name, schema in properties_of(spec).items():
        default = default_of(schema)
        own = stems(name) - stems(spec.name)
        if name in required:
            continue
        spoken_of = bool(own & words)
        if named := [choice for choice in choices_of(schema) if _is_meant(choice, request, spoken_of)]:
            if default not in named:
                found[name] = [] if types_of(schema) == {"array"} else named
        elif types_of(schema) == {"boolean"}:
            if default is not True and own and own <= words and not _NEGATED.search(request):
                found[name] = [True]
        elif UNIT_NAME.search(name) and isinstance(default, str) and (units := units_like(default, request)):
            found[name] = units
    return found | _left_number(spec, request)


_NEGATED = re.compile(r"\b(?:no|not|without|exclud\w*|except|don['’]t|doesn['’]t|isn['’]t|skip)\b", re.IGNORECASE)


def _is_meant(choice: str, request: str, spoken_of: bool) -> bool:
    """Does the request name a choice, and not to exclude it? "First" may be any first thing, unless the parameter is
    spoken of."""
    if not holds(request, choice) or (choice.lower() in _ANY_OF and not spoken_of):
        return False
    plain = re.escape(choice).replace("_", "[ _-]")
    excluded = rf"(?:\b(?:no|not|without|except)|n['’]t)\s+(?:\w+\s+){{0,2}}{plain}(?!\w)"
    return re.search(excluded, request, re.IGNORECASE) is None


_ANY_OF = frozenset({"first", "second", "third", "last", "one", "all", "any", "on", "in", "off", "to", "no"})


def _left_number(spec: ToolSpec, request: str) -> dict[str, list[Any]]:
    """The one optional numeric parameter, where one number more is said than are required."""
    required = set(required_of(spec))
    numeric = [name for name, schema in properties_of(spec).items() if is_numeric(schema)]
    optional = [name for name in numeric if name not in required]
    said = [number for number in said_numbers(request) if request[number.start].isdigit()]
    in_texts = any(types_of(properties_of(spec)[name]) & {"array", "string"} for name in required)
    if len(optional) != 1 or len(said) != len(numeric) or (in_texts and len(said) > 1):
        return {}  # a text, such as a date, or a list may hold numbers too
    told = stems(f"{optional[0]} {properties_of(spec)[optional[0]].get('description', '')}") - stems(spec.name)
    if in_texts and not told & stems(request):
        return {}  # "search iPhone 15"
    return {optional[0]: []}


def with_spoken(spec: ToolSpec, spoken: Mapping[str, Sequence[Any]]) -> ToolSpec:
    """The tool with these parameters required too, and narrowed to these values where there are some."""
    required = set(required_of(spec)) | set(spoken)
    ordered = [name for name in properties_of(spec) if name in required]
    properties = {
        name: {**schema, "enum": list(spoken[name])} if spoken.get(name) else schema
        for name, schema in properties_of(spec).items()
    }
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": properties, "required": ordered})
