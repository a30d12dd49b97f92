"""What a step is: data, checked when it is made."""

from __future__ import annotations

import ast
import inspect
import json
import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from smidgen.errors import ConfigError
from smidgen.messages import Constraint, JsonSchema
from smidgen.patterns import Pattern
from smidgen.patterns.chain.checks import Check, When
from smidgen.patterns.chain.extraction import Extract
from smidgen.patterns.chain.templates import Value, placeholders

Function = Callable[..., Value]
CheckFunction = Callable[[Value, Mapping[str, Value]], "str | bool | None"]
"""Of a value and all values so far: what is wrong with it, or whether it is right. None and "" mean that it is."""

ITEM = "item"
MOST_ITEMS = 256
RESERVED = ("request", ITEM)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is done. Exactly one of prompt, code and pattern does it; a pattern may have a prompt, which it is
    then asked. Raises ConfigError.

    prompt, system: templates. pattern: another way to an answer than asking the model, "{request}" by default.
    code: a function, called with the values that its parameters name, or the text of a program for the sandbox, in
    which they are variables; a program's value is its last expression's.
    regex, schema, lark, one_of: the grammar of what the model writes, one at most. one_of: texts, or the name of an
    earlier list.
    extract, find, key: what the value is: see `extraction`.
    check: of the value. retries: how often it is written again, with what was wrong as a hint.
    otherwise: the value, or the pattern that is asked, when all that fails; without, the chain fails.
    when: the step is left out, with the value None, unless this holds; a function is called as `code` is.
    each: the name of an earlier list: the step runs for every item, as `{item}`, and its value is the list of what
    came of them. at_most: items.
    after: steps that must be done first without being named. model: "" for the chain's. seed: added to the task's.
    """

    name: str
    prompt: str = ""
    system: str = ""
    code: Function | str | None = None
    pattern: Pattern | None = None
    regex: str = ""
    schema: JsonSchema | None = None
    lark: str = ""
    one_of: tuple[str, ...] | str = ()
    extract: Extract = ""
    find: str = ""
    key: str = ""
    check: Check | CheckFunction | None = None
    retries: int = 1
    otherwise: Value | Pattern = None
    when: When | Function | None = None
    each: str = ""
    at_most: int = 16
    after: tuple[str, ...] = ()
    model: str = ""
    max_tokens: int = 256
    temperature: float | None = 0.0
    seed: int = 0
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or keyword.iskeyword(self.name) or self.name in RESERVED:
            raise ConfigError(
                f"A step can't be called {self.name!r}.",
                hint=f"Use letters, digits and underscores, and none of: {', '.join(RESERVED)}.",
            )
        for problem, hint in self._problems():
            raise ConfigError(f"step {self.name}: {problem}.", hint=hint)

    def _problems(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        ways = [name for name in ("code", "pattern") if getattr(self, name) is not None]
        if len(ways) == 2 or ("code" in ways and self.prompt) or not (ways or self.prompt.strip()):
            found.append(("it needs either a prompt, or code, or a pattern", "A pattern may have a prompt as well."))
        grammars = [name for name in ("regex", "schema", "lark", "one_of") if getattr(self, name)]
        if len(grammars) > 1:
            found.append((f"it has more than one grammar: {', '.join(grammars)}", "Choose one."))
        if ways and grammars:
            found.append((f"{grammars[0]} is for what a model writes, not for {ways[0]}", "Check its value instead."))
        if bool(self.extract) + bool(self.find) > 1 or (self.find and self.key):
            found.append(("it has more than one extraction", "Set one of extract and find."))
        if self.key and self.extract not in ("", "json"):
            found.append((f"key is of JSON, not of {self.extract}", 'Leave extract out, or set it to "json".'))
        try:
            re.compile(self.find)
        except re.error as error:
            found.append((f"find = {self.find!r} is no regular expression: {error}", ""))
        if not 0 <= self.retries <= 10:
            found.append((f"retries = {self.retries} is out of range", "0 to 10."))
        if not 1 <= self.at_most <= MOST_ITEMS:
            found.append((f"at_most = {self.at_most} is out of range", f"1 to {MOST_ITEMS}."))
        if self.max_tokens < 1:
            found.append((f"max_tokens = {self.max_tokens} is out of range", "1 or more."))
        if isinstance(self.code, str):
            try:
                ast.parse(self.code)
            except (SyntaxError, ValueError) as error:
                found.append((f"its code is not valid Python: {error}", ""))
        return found

    def needs(self, names: frozenset[str]) -> tuple[str, ...]:
        """Paths of the values that it takes. names: of all there are, as far as a program's names tell."""
        paths = [*placeholders(self.prompt or "{request}" if self.pattern else self.prompt), *placeholders(self.system)]
        if isinstance(self.one_of, str) and self.one_of:
            paths.append(self.one_of)
        if self.each:
            paths.append(self.each)
        if isinstance(self.check, Check):
            paths += self.check.paths
        if isinstance(self.when, When):
            paths += [self.when.value, *self.when.paths]
        elif self.when is not None:
            paths += parameters(self.when)
        if isinstance(self.code, str):
            paths += [name for name in names_read(self.code) if name in names]
        elif self.code is not None:
            paths += parameters(self.code)
        return tuple(dict.fromkeys((*paths, *self.after)))

    @property
    def extraction(self) -> Extract:
        return self.extract or ("json" if self.schema is not None or self.key else "whole")

    def constraint(self, options: tuple[str, ...] = ()) -> Constraint | None:
        """The grammar of what the model writes. options: of `one_of`."""
        if options:
            return Constraint(kind="regex", source=alternatives(options))
        if self.schema is not None:
            return Constraint(kind="json_schema", source=json.dumps(self.schema))
        if self.regex:
            return Constraint(kind="regex", source=self.regex)
        return Constraint(kind="lark", source=self.lark) if self.lark else None


def parameters(function: Function) -> list[str]:
    """Names of a function's parameters without defaults: the values that it is called with."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.kind in kinds and one.default is inspect.Parameter.empty]


def names_read(program: str) -> list[str]:
    tree = ast.parse(program)
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]


def alternatives(texts: tuple[str, ...]) -> str:
    """A regular expression of exactly these texts, longer ones first."""
    ordered = sorted(dict.fromkeys(texts), key=len, reverse=True)
    return "(?:" + "|".join(re.sub(r"([\\.^$|?*+(){}\[\]/&~#-])", r"\\\1", text) for text in ordered) + ")"


def is_pattern(value: object) -> bool:
    """Is it another way to an answer, and not a value? Tables of values have no method `answer`."""
    return callable(cast(Any, getattr(value, "answer", None)))
