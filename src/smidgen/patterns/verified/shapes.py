"""Answers of a certain shape: a regular expression, a JSON schema, a quote of a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from smidgen.agent.conformity import schema_problems
from smidgen.errors import InvalidRequest
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.patterns.verified.checked import LONGEST, Checked, held, unfenced, wrong

CHECKED_KEYWORDS = frozenset({
    "type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
    "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
})  # fmt: skip
ANNOTATIONS = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$comment",
})  # fmt: skip
_MARKS = "\"'“”„‟‘’«»"
_SAME = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "\u00a0": " "})


class Regex(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer matches, apart from white space around it. The value is the named groups, else the text."""

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise InvalidRequest(f"{self.pattern!r} is no regular expression: {error}.") from error

    @property
    def name(self) -> str:
        return "regex"

    @property
    def constraint(self) -> Constraint | None:
        return Constraint(kind="regex", source=self.pattern)

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        written = text.strip()
        match = re.fullmatch(self.pattern, written)
        if match is None:
            return wrong(f"it must match {self.pattern}, and be nothing else")
        return held(written, match.groupdict() or written)


class Json(msgspec.Struct, frozen=True, kw_only=True):
    """JSON, in a code block or not, of this schema. The value is what it says. Keywords of JSON Schema that can't be
    checked are refused when this is made."""

    schema: dict[str, Any] = {}

    def __post_init__(self) -> None:
        unknown = sorted(set(_unchecked(self.schema)))
        if unknown:
            raise InvalidRequest(
                f"The schema says what isn't checked here: {', '.join(unknown)}.",
                hint=f"Use {', '.join(sorted(CHECKED_KEYWORDS))}, and check the rest with a function.",
            )

    @property
    def name(self) -> str:
        return "json"

    @property
    def constraint(self) -> Constraint | None:
        return Constraint(kind="json_schema", source=json.dumps(self.schema))

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        written = unfenced(text).strip()
        if len(written) > LONGEST:
            return wrong(f"it is longer than {LONGEST} characters")
        try:
            value = json.loads(written, parse_constant=_no_number)
        except ValueError as error:
            return wrong(f"it is no valid JSON: {error}")
        except RecursionError:
            return wrong("it is nested too deep")
        problems = list(schema_problems(value, self.schema, ""))
        if problems:
            told = "; ".join(problems[:3]).replace("the arguments", "the whole")
            return wrong(told.replace("there is no parameter", "it must have no property"))
        return Checked(ok=True, text=written, value=value)


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The answer stands in the source word for word, apart from white space, dashes and the shape of quotation marks.
    It is told as the source has it. source: "" for what the conversation says before the answer. words: it has at
    least so many."""

    source: str = ""
    words: int = 1

    @property
    def name(self) -> str:
        return "quote"

    @property
    def constraint(self) -> Constraint | None:
        return None

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        source = self.source or "\n".join(message.content for message in task.messages)
        wanted = _words(text.strip())
        for words in (wanted, _words(text.strip().strip(_MARKS)), _words(text.strip().strip(_MARKS + "."))):
            if len(words) < max(1, self.words):
                return wrong(f"it must quote at least {max(1, self.words)} words" if words else "it quotes nothing")
            found = _found(words, source)
            if found:
                return held(found)
        return wrong("it must be copied word for word from the text, and be nothing else")


def _words(text: str) -> list[str]:
    return text.translate(_SAME).split()


def _found(words: list[str], source: str) -> str:
    """Where the source has these words, not within longer ones, as it has them; "" if nowhere."""
    pattern = r"(?<!\w)" + r"\s+".join(re.escape(word) for word in words) + r"(?!\w)"
    match = re.search(pattern, source.translate(_SAME))
    return source[match.start() : match.end()] if match else ""


def _no_number(said: str) -> Any:
    raise ValueError(f"{said} is no number of JSON")


def _unchecked(schema: object) -> Iterator[str]:
    """Keywords that `schema_problems` doesn't heed, or not in this form."""
    if not isinstance(schema, Mapping):
        return
    told = cast("Mapping[str, Any]", schema)
    yield from (key for key in told if key not in CHECKED_KEYWORDS and key not in ANNOTATIONS)
    if isinstance(told.get("additionalProperties"), Mapping):
        yield "additionalProperties as a schema"
    for key in ("minLength", "maxLength", "minItems", "maxItems"):
        if key in told and not isinstance(told[key], int):
            yield f"{key} that is no whole number"
    for part in cast("Mapping[str, Any]", told.get("properties", {})).values():
        yield from _unchecked(part)
    for part in cast("list[Any]", told.get("anyOf", [])):
        yield from _unchecked(part)
    yield from _unchecked(told.get("items"))
