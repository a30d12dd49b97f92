"""What only a parameter's description tells of its values: choices named there, a format of dates, "City, State". Pure.

Many tools say in words what a schema could have said: "Can be 'asc' or 'desc'", "in the format MM-DD-YYYY". What is
said plainly enough becomes part of the schema that the call is written and settled under; the model still reads the
tool as it was given.
"""

from __future__ import annotations

import re

import msgspec

from smidgen.agent.ground import default_of, properties_of
from smidgen.agent.rules.spans import dates
from smidgen.dialects.convert import types_of
from smidgen.dialects.grammar import TWO_PARTS
from smidgen.messages import JsonSchema, ToolSpec

_EXAMPLES = re.compile(r"\be\.?g\b|\bfor instance\b|\bsuch as\b|\blike\b|\betc\b|\.\.\.|\bexample", re.IGNORECASE)
_DEFAULT = re.compile(
    r"[(,;]?\s*(?:\boptional\b,?\s*)?(?:\bthe\s+)?\bdefaults?\b(?:\s+value)?\s*(?:is|are|to|:|=)?\s*(?:set to\s*)?"
    r"(?:'[^']*'|\"[^\"]*\"|`[^`]*`|[\w/-]+)|(?:'[^']*'|\"[^\"]*\"|[\w-]+) (?:as|is)(?: the)? default",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(?<!\w)(?:'(?P<a>[\w /+-]{1,40})'|\"(?P<b>[\w /+-]{1,40})\"|`(?P<c>[\w /+-]{1,40})`)(?!\w)")
_EITHER = re.compile(
    r"\((?P<bracket>[\w-]+(?:,\s*[\w-]+)*,?\s+or\s+[\w-]+)\)"
    r"|\b(?:one of|options?(?: are)?|choices(?: are)?|allowed values?|possible values?|supported values?)\s*:\s*"
    r"(?P<after>[\w-]+(?:,\s*[\w-]+)*(?:,?\s+(?:and|or)\s+[\w-]+)?)\s*(?:[.;)]|$)",
    re.IGNORECASE,
)
_DATE_FORMAT = re.compile(
    r"\b(?:(?P<y>YYYY)(?P<s>[-/.])(?P<m>MM)(?P=s)DD|MM(?P<us>[-/.])DD(?P=us)YYYY|DD(?P<eu>[-/.])MM(?P=eu)YYYY)\b",
    re.IGNORECASE,
)
_CITY_AND_STATE = re.compile(r"\bcity\s+and\s+(?:the\s+)?state\b|\bcity,\s*state\b(?!\s*(?:,|/|\bor\b))", re.IGNORECASE)


def spelled_out(spec: ToolSpec, said: str) -> ToolSpec:
    """The tool with what its descriptions tell of texts in their schemas. said: what dates may be taken from."""
    properties = properties_of(spec)
    told = {name: _told(schema, said) for name, schema in properties.items()}
    if told == properties:
        return spec
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": told})


def _told(schema: JsonSchema, said: str) -> JsonSchema:
    description = str(schema.get("description", ""))
    if types_of(schema) != {"string"} or not description or {"enum", "const", "format", "pattern"} & set(schema):
        return schema
    options = choices_told(description)
    if options:
        default = default_of(schema)
        others = [default] if isinstance(default, str) and default else []
        return {**schema, "enum": list(dict.fromkeys([*options, *others]))}
    written = dates_told(description, said)
    if written:
        return {**schema, "enum": list(written)}
    if _CITY_AND_STATE.search(description):
        return {**schema, "format": TWO_PARTS}
    return schema


def choices_told(description: str) -> tuple[str, ...]:
    """The choices that a description names, two or more, () if it names none or only examples of them."""
    if _EXAMPLES.search(description):
        return ()
    rest = _DEFAULT.sub(" ", description)
    found = [match["a"] or match["b"] or match["c"] for match in _QUOTED.finditer(rest)]
    if len(found) < 2:
        plain = next(_EITHER.finditer(rest), None)
        listed = (plain["bracket"] or plain["after"]) if plain else ""
        found = [word for word in re.split(r",\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+", listed) if word]
    names = tuple(dict.fromkeys(name.strip() for name in found if name.strip()))
    return names if len(names) >= 2 else ()


def dates_told(description: str, said: str) -> tuple[str, ...]:
    """The dates that were said, in the format that a description asks for; () if it asks for none, or a date's year
    wasn't said."""
    from smidgen.tools.builtin.dates import parse_date

    wanted = _DATE_FORMAT.search(description)
    if wanted is None:
        return ()
    separator = wanted["s"] or wanted["us"] or wanted["eu"]
    order = "%Y{0}%m{0}%d" if wanted["y"] else "%m{0}%d{0}%Y" if wanted["us"] else "%d{0}%m{0}%Y"
    spans = [span for span in dates(said) if re.search(r"\d", span.text)]
    if not all(re.search(r"\d{4}", span.text) for span in spans):
        return ()  # a day without its year can't be written out
    return tuple(dict.fromkeys(parse_date(span.text).strftime(order.format(separator)) for span in spans))
