"""What an intent is: data, checked when it is made."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from smidgen.errors import ConfigError
from smidgen.patterns import Pattern
from smidgen.patterns.chain.steps import names_read, parameters
from smidgen.patterns.chain.templates import placeholders
from smidgen.patterns.router.slots import Slot

Rule = Callable[..., Any]
"""Of the values that its parameters name: `request` and slots. Its value is the answer; with None the next way is
gone. It may be a coroutine. A ValueError is a reason to go the next way too."""

REQUEST, VALUE = "request", "value"
LONGEST_EXAMPLE = 1000
"""Characters. The embedder reads about 256 tokens."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that people want, told by examples of how they say it, and the ways to its answer, in this order. The
    next way is gone where one can't answer; after the last, the router's own `otherwise`. Raises ConfigError.

    name: what it is called in answers and traces.
    examples: how people say it; some ten, in different words, serve well.
    rule: a function, or the text of a program for the sandbox, in which `request` and the slots are variables and whose
    last expression is the value. With a template, its value is `{value}` there.
    template: the answer, with `{request}`, slots and `{value}` put in.
    prompt: what a model is asked, with the same put in. system, model, max_tokens, temperature: of that.
    pattern: another way to an answer. tools: names of tools that an agent gets.
    check: a verifier of `smidgen.patterns.verified`, a function, or several: what a model says counts only if it
    passes, else it is asked again, `retries` times, with the reason.
    slots: values that code finds in the request. Where one is missing that a way needs, the user is asked for it; with
    missing = "next" the ways that need it are left out.
    threshold: from which probability on a request counts as this intent's; None for the router's.
    """

    name: str
    examples: tuple[str, ...]
    rule: Rule | str | None = None
    template: str = ""
    prompt: str = ""
    system: str = ""
    model: str = ""
    max_tokens: int = 256
    temperature: float | None = None
    pattern: Pattern | None = None
    tools: tuple[str, ...] = ()
    check: Any = None
    retries: int = 1
    slots: tuple[Slot, ...] = ()
    missing: str = "ask"
    threshold: float | None = None

    def __post_init__(self) -> None:
        for problem, hint in self._problems():
            raise ConfigError(f"intent {self.name}: {problem}.", hint=hint)

    def _problems(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if not self.name.strip():
            found.append(("it has no name", "Name it after what people want."))
        if isinstance(self.examples, str) or not [text for text in self.examples if text.strip()]:
            found.append(("it has no examples", "Write some as a list; ten serve well."))
        elif too_long := next((text for text in self.examples if len(text) > LONGEST_EXAMPLE), ""):
            found.append((f"an example has {len(too_long)} characters", f"At most {LONGEST_EXAMPLE}."))
        if not self.ways:
            found.append(("it has no way to an answer", "Give it a rule, template, prompt, pattern or tools."))
        if self.missing not in ("ask", "next"):
            found.append((f"missing = {self.missing!r} can't be", 'It is "ask" or "next".'))
        if self.check is not None and not {"prompt", "pattern", "tools"} & set(self.ways):
            found.append(("check is of no effect", "It is for what a model says: a prompt, a pattern or tools."))
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            found.append((f"threshold = {self.threshold} is no probability", "0 to 1."))
        if self.max_tokens < 1:
            found.append((f"max_tokens = {self.max_tokens} is out of range", "1 or more."))
        names = [slot.name for slot in self.slots]
        if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            found.append((f"two slots are called {repeated[0]}", ""))
        known = {REQUEST, *names, *({VALUE} if self.rule is not None else ())}
        for key in ("template", "prompt"):
            unknown = [path for path in placeholders(getattr(self, key)) if path not in known - {VALUE}]
            if unknown and not (key == "template" and unknown == [VALUE] and VALUE in known):
                hint = f"There are: {', '.join(sorted(known))}. Write {{{{{unknown[0]}}}}} for the braces themselves."
                found.append((f"its {key} names {unknown[0]}, which there isn't", hint))
        if isinstance(self.rule, str):
            try:
                ast.parse(self.rule)
            except (SyntaxError, ValueError) as error:
                found.append((f"its rule is not valid Python: {error}", ""))
        elif self.rule is not None:
            strange = [name for name in parameters(self.rule) if name not in {REQUEST, *names}]
            if strange:
                found.append((f"its rule takes {strange[0]}, which there isn't", f"There are: {REQUEST} and slots."))
        return found

    def needs(self, way: str) -> tuple[str, ...]:
        """Names of the slots that a way can't do without."""
        names = {slot.name for slot in self.slots}
        taken: list[str] = []
        if way == "rule" and self.rule is not None:
            taken = names_read(self.rule) if isinstance(self.rule, str) else parameters(self.rule)
            taken += placeholders(self.template) if VALUE in placeholders(self.template) else ()
        elif way in ("template", "prompt"):
            taken = [*placeholders(getattr(self, way))]
        return tuple(name for name in dict.fromkeys(taken) if name in names)

    @property
    def ways(self) -> tuple[str, ...]:
        """Names of those that it has, in their order."""
        ways = {
            "rule": self.rule is not None,
            "template": bool(self.template),
            "prompt": bool(self.prompt),
            "pattern": self.pattern is not None,
            "tools": bool(self.tools),
        }
        if ways["rule"] and VALUE in placeholders(self.template):
            ways["template"] = False
        return tuple(way for way, there in ways.items() if there)


def checked(intents: Sequence[Intent]) -> tuple[Intent, ...]:
    """Raises ConfigError for fewer than one, and for two of one name."""
    if not intents:
        raise ConfigError("The router has no intents.", hint="Give it at least one, with examples.")
    names = [intent.name for intent in intents]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two intents are called {name}.", hint="Put their examples into one, or rename one.")
    return tuple(intents)
