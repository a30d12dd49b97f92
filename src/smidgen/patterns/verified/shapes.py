"""Answers of a certain shape: a regular expression, a JSON schema, a quote of a text."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from typing import Any, cast

import msgspec

from smidgen.agent.conformity import schema_problems
from smidgen.errors import InvalidRequest, ToolFailed
from smidgen.messages import Constraint
from smidgen.patterns import Resources, Task
from smidgen.patterns.verified.checked import LONGEST, Checked, block, held, wrong
from smidgen.patterns.verified.schemas import CHECKED_KEYWORDS, unchecked

DEEPEST = 100
"""Lists and objects within one another; beyond some hundreds not every reader of JSON follows."""
MOST_DIGITS = 1000
"""Of a whole number."""
AT_ONCE = 10_000_000
"""Steps that a regular expression may take at most to be tried here and not in the sandbox: about 0.2 s."""
MATCH_S = 2.0
LONGEST_VALUE = 10_000
"""Characters of named groups that come back from the sandbox."""

_LOOKS = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=)|(?<!\\)(?:\\\\)*\\[1-9bBAZ]")
_MARKS = "\"'“”„‟‘’«»"
_SAME = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "\u00a0": " "})


class Regex(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer matches, apart from white space around it. The value is the named groups, else the text. Where
    it might take very long, it is tried in the sandbox, for 2 seconds at most."""

    pattern: str

    def __post_init__(self) -> None:
        if not isinstance(cast(object, self.pattern), str):
            raise InvalidRequest("A regular expression must be a text.")
        try:
            re.compile(self.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise InvalidRequest(f"{self.pattern!r} is no regular expression: {error}.") from error

    @property
    def name(self) -> str:
        return "regex"

    @property
    def constraint(self) -> Constraint | None:
        """None for what looks around or back: grammars can't."""
        return None if _LOOKS.search(self.pattern) else Constraint(kind="regex", source=self.pattern)

    async def check(self, text: str, task: Task, resources: Resources) -> Checked:
        written = text.strip()
        if len(written) > LONGEST:
            return wrong(f"it is longer than {LONGEST} characters")
        if steps(self.pattern, len(written)) > AT_ONCE:
            return await self._in_sandbox(written, resources)
        match = re.fullmatch(self.pattern, written)
        return self._told(written, match.groupdict() if match else None)

    async def _in_sandbox(self, written: str, resources: Resources) -> Checked:
        """Raises SandboxUnavailable."""
        code = f"import re\nfound = re.fullmatch({self.pattern!r}, {written!r})\nfound and found.groupdict()"
        done = await resources.python(code, MATCH_S)
        if done.stopped == "time":
            return wrong(f"it takes too long to find out whether it matches {self.pattern}")
        if not done.ok or len(done.value) > LONGEST_VALUE:
            raise ToolFailed(f"Whether an answer matches can't be checked: {done.error or done.stopped or 'too long'}")
        return self._told(written, ast.literal_eval(done.value) if done.value else None)

    def _told(self, written: str, groups: dict[str, Any] | None) -> Checked:
        if groups is None:
            return wrong(f"it must match {self.pattern}, and be nothing else")
        return held(written, groups or written)


def steps(pattern: str, length: int) -> float:
    """At most so many steps a match may take, by what repeats and branches in a pattern; never too few."""
    repeats = sum(pattern.count(sign) for sign in "*+{")
    branches = pattern.count("?") - pattern.count("(?") + pattern.count("|")
    if re.search(r"\)[*+{]", pattern) and repeats + branches > 1:
        return math.inf
    return float(max(2, length)) ** min(repeats, 50) * 2.0 ** min(branches, 50)


class Json(msgspec.Struct, frozen=True, kw_only=True):
    """JSON, in a code block or not, of this schema. The value is what it says. Keywords of JSON Schema that can't be
    checked are refused when this is made."""

    schema: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not isinstance(cast(object, self.schema), dict):
            raise InvalidRequest("A schema must be a table.", hint='Write one such as {"type": "object"}.')
        unknown = sorted(set(unchecked(self.schema)))
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
        written = block(text)
        if isinstance(written, Checked):
            return written
        written = written.strip()
        try:
            value = json.loads(
                written, parse_constant=_no_number, parse_float=_finite, parse_int=_whole, object_pairs_hook=_once
            )
            written.encode()
            msgspec.json.encode(value)
        except UnicodeEncodeError:
            return wrong("it is no valid JSON: half of a character is missing")
        except ValueError as error:
            return wrong(f"it is no valid JSON: {error}")
        except RecursionError:
            return wrong("it is nested too deep")
        if _depth(value) > DEEPEST:
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
        written = text.strip()
        if len(written) > LONGEST:
            return wrong(f"it is longer than {LONGEST} characters")
        for bare in (written, written.strip(_MARKS), written.strip(_MARKS + ".")):
            words = bare.translate(_SAME).split()
            count = sum(any(letter.isalnum() for letter in word) for word in words)
            if count < max(1, self.words):
                return wrong(f"it must quote at least {max(1, self.words)} words" if count else "it quotes nothing")
            found = _found(words, source)
            if found:
                return held(found)
        return wrong("it must be copied word for word from the text, and be nothing else")


def _found(words: list[str], source: str) -> str:
    """Where the source has these words, not within longer ones, as it has them; "" if nowhere."""
    before = r"(?<!\w)" if re.match(r"\w", words[0]) else ""
    after = r"(?!\w)" if re.search(r"\w$", words[-1]) else ""
    match = re.search(before + r"\s+".join(map(_spelled, words)) + after, source.translate(_SAME))
    return source[match.start() : match.end()] if match else ""


def _spelled(word: str) -> str:
    """A letter with an accent is written as one character or as two."""
    if word.isascii():
        return re.escape(word)
    forms = {word: None, **{unicodedata.normalize(form, word): None for form in ("NFC", "NFD")}}
    return f"(?:{'|'.join(map(re.escape, forms))})"


def _no_number(said: str) -> Any:
    raise ValueError(f"{said} is no number of JSON")


def _finite(said: str) -> float:
    """Raises ValueError for what is beyond all floats."""
    number = float(said)
    return number if math.isfinite(number) else _no_number(f"{said[:40]} is too large and")


def _whole(said: str) -> int:
    if len(said) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(said)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError where a key is there twice: readers differ in which one they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while inner := [within for one in level if (within := _within(one)) is not None]:
        deepest += 1
        level = [part for within in inner for part in within]
    return deepest


def _within(value: object) -> list[object] | None:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("list[object]", value) if isinstance(value, list) else None
