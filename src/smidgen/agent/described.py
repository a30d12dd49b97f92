"""What only a parameter's description tells of its values: choices named there, a format of dates, "City, State". Pure.

Many tools say in words what a schema could have said: "Can be 'asc' or 'desc'", "in the format MM-DD-YYYY". What is
said plainly enough becomes part of the schema that the call is written and settled under; the model still reads the
tool as it was given.
"""

from __future__ import annotations

import re

import msgspec

from smidgen.agent.ground import default_of, properties_of
from smidgen.agent.rules.spans import dates, durations
from smidgen.dialects.convert import types_of
from smidgen.dialects.grammar import TWO_PARTS
from smidgen.messages import JsonSchema, ToolSpec
from smidgen.tools.words import spaced

_EXAMPLES = re.compile(r"\be\.?g\b|\bfor instance\b|\bsuch as\b|\blike\b|\betc\b|\.\.\.|\bexample", re.IGNORECASE)
_DEFAULT = re.compile(
    r"[(,;]?\s*(?:\boptional\b,?\s*)?(?:\bthe\s+)?\bdefaults?\b(?:\s+value)?\s*(?:is|are|to|:|=)?\s*(?:set to\s*)?"
    r"(?:'[^']*'|\"[^\"]*\"|`[^`]*`|[\w/-]+)|(?:'[^']*'|\"[^\"]*\"|[\w-]+) (?:as|is)(?: the)? default",
    re.IGNORECASE,
)
_NO_CHOICE = re.compile(r"\b(?:not|never|no|without|wrap\w*|separat\w*|combin\w*|escap\w*)\b|n['’]t\b", re.IGNORECASE)
_QUOTED = r"(?:'[\w /+-]{1,40}'|\"[\w /+-]{1,40}\"|`[\w /+-]{1,40}`)"
_QUOTED_LIST = re.compile(
    rf"(?P<before>.{{0,40}}?)(?<!\w)(?P<list>{_QUOTED}(?:(?:\s*[,/|]\s*|\s*,?\s+)(?:(?:or|and)\s+)?{_QUOTED})+)(?!\w)"
)
_GLOSSED = re.compile(rf"(?<!\w)(?P<name>{_QUOTED})\s*(?:[:=]|\b(?:for|means|meaning|refers\s+to|if|when)\b)")
_CUE = re.compile(
    r"(?:[:(\[]|\b(?:either|between|one of|can be|could be|may be|must be|should be|is|are|options?|choices|values?"
    r"|allowed|supported|possible|available|supports|accepts)\b"
    r"(?:\s+(?:the|be|are|is|values?|either|one of|following|only))*)[\s:(\[]*$",
    re.IGNORECASE,
)
"""What stands right before choices."""
_EITHER = re.compile(
    r"\((?P<bracket>[\w-]+(?:,\s*[\w-]+)*,?\s+or\s+[\w-]+)\)"
    r"|\b(?:one of|options?(?: are)?|choices(?: are)?|allowed values?|possible values?|supported values?)\s*:\s*"
    r"(?P<after>[\w-]+(?:,\s*[\w-]+)*(?:,?\s+(?:and|or)\s+[\w-]+)?)\s*(?:[.;)]|$)",
    re.IGNORECASE,
)
_CHOOSES = frozenset({
    "order", "mode", "unit", "units", "type", "kind", "gender", "sex", "side", "direction", "level", "style", "sort",
    "sorting", "status", "method", "size", "scale", "system", "frequency", "period", "interval", "category", "color",
    "colour", "theme", "speed", "quality", "priority", "position", "shape", "format",
})  # fmt: skip
"""Last words of the names of parameters that are a choice, so that "(metric or imperial)" names the choices."""
MAX_READ = 1000
"""Characters of a description that are read; what other programs describe may be long."""
_DATE_FORMAT = re.compile(
    r"\b(?:(?P<y>YYYY)(?P<s>[-/.])(?P<m>MM)(?P=s)DD|MM(?P<us>[-/.])DD(?P=us)YYYY|DD(?P<eu>[-/.])MM(?P=eu)YYYY)\b",
    re.IGNORECASE,
)
_MORE_DATES = re.compile(r"\bnights?\b|\b(?:day|week)s?\s+(?:after|before|later|earlier)\b", re.IGNORECASE)
_RANGE = re.compile(r"(?<![\w-])\d{1,2}(?:st|nd|rd|th)?\s*(?:to|until|till|and|-|–)\s*$", re.IGNORECASE)
"""Right before a date: the first day of "5 to 8 December"."""
_CITY_AND_STATE = re.compile(r"\bcity\s+and\s+(?:the\s+)?state\b|\bcity,\s*state\b(?!\s*(?:,|/|\bor\b))", re.IGNORECASE)


def spelled_out(spec: ToolSpec, said: str) -> ToolSpec:
    """The tool with what its descriptions tell of texts in their schemas. said: what dates may be taken from."""
    properties = properties_of(spec)
    told = {name: _told(name, schema, said) for name, schema in properties.items()}
    if told == properties:
        return spec
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": told})


def _told(name: str, schema: JsonSchema, said: str) -> JsonSchema:
    description = " ".join(str(schema.get("description", ""))[:MAX_READ].split())
    if types_of(schema) != {"string"} or not description or {"enum", "const", "format", "pattern"} & set(schema):
        return schema
    options = choices_told(description, name)
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


def choices_told(description: str, name: str = "") -> tuple[str, ...]:
    """The choices that a description names, two or more, () if it names none, or only examples of them. Quoted ones
    stand in one list behind a word that says so; without quotes, "(x or y)" counts only for a parameter whose name is
    that of a choice."""
    if _EXAMPLES.search(description):
        return ()
    rest = _DEFAULT.sub(" ", description[:MAX_READ])
    chooses = bool(set(spaced(name).lower().split()[-1:]) & _CHOOSES)
    found = _quoted_choices(rest, cued=chooses)
    if not found and not re.search(_QUOTED, rest):
        plain = next(_EITHER.finditer(rest), None)
        bracket = plain["bracket"] if plain and chooses else None
        listed = (bracket or plain["after"] or "") if plain else ""
        found = [word for word in re.split(r",\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+", listed) if word]
    names = tuple(dict.fromkeys(name.strip() for name in found if name.strip()))
    return names if len(names) >= 2 else ()


def _quoted_choices(description: str, *, cued: bool) -> list[str]:
    """Those of one list, or those that are explained one by one: "'dry' for indoor seats, 'wet' for
    others". cued: no word before the list has to say that it is one of choices."""
    for listing in _QUOTED_LIST.finditer(description):
        sentence = description[: listing.end()].rsplit(". ", 1)[-1]
        if (cued or _CUE.search(listing["before"])) and not _NO_CHOICE.search(sentence):
            return [quoted[1:-1] for quoted in re.findall(_QUOTED, listing["list"])]
    glossed = [found["name"][1:-1] for found in _GLOSSED.finditer(description)]
    quoted = [found[1:-1] for found in re.findall(_QUOTED, description)]
    return glossed if len(glossed) > 1 and set(glossed) == set(quoted) else []


def dates_told(description: str, said: str) -> tuple[str, ...]:
    """The dates that were said, in the format that a description asks for; () if it asks for none, or a date's year
    wasn't said."""
    from smidgen.tools.builtin.dates import parse_date

    wanted = _DATE_FORMAT.search(description)
    if wanted is None:
        return ()
    separator = wanted["s"] or wanted["us"] or wanted["eu"]
    order = "%Y{0}%m{0}%d" if wanted["y"] else "%m{0}%d{0}%Y" if wanted["us"] else "%d{0}%m{0}%Y"
    spans = dates(said)
    if durations(said) or _MORE_DATES.search(said) or any(_RANGE.search(said[: span.start]) for span in spans):
        return ()  # other dates may be meant than are said
    if any(re.search(r"\d", span.text) and not re.search(r"\d{4}", span.text) for span in spans):
        return ()  # a day without its year can't be written out
    return tuple(dict.fromkeys(parse_date(span.text).strftime(order.format(separator)) for span in spans))
