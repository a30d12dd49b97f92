"""Answers by code: a pattern and a template for each kind of request, and what an agent's own rules answer."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from smidgen.errors import NoAnswer
from smidgen.events import AgentEvent, Failed, Finished, Routed, TextDelta
from smidgen.patterns import AgentWork, Resources, Task
from smidgen.patterns.fallback.refusal import by_code
from smidgen.patterns.run import guarded

MAX_REQUEST = 2000
"""Characters of a request that rules look at; a longer one is never plain."""
ENDS, BEGINNINGS = " .?!\u2026\u3002\uff0e\uff1f\uff01\u061f\u06d4\u0964", " \u00bf\u00a1"
"""Marks of sentences in several scripts, and what Spanish begins them with."""
_HOLE = re.compile(r"\{(\w+)\}")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """when: a regular expression that the whole request must match, in whatever case, but for space and the
    marks of a sentence around it. say: the answer, with `{name}` or `{1}` for what a group of it matched; or a function
    of the match that gives the answer, "" for none."""

    when: str
    say: str | Callable[[re.Match[str]], str]

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.when)
        except re.error as error:
            raise ValueError(f"the pattern {self.when!r} can't be read: {error}") from None
        holes = set[str](_HOLE.findall(self.say)) if isinstance(self.say, str) else set[str]()
        known = {*compiled.groupindex, *(str(number) for number in range(compiled.groups + 1))}
        if unknown := sorted(holes - known):
            raise ValueError(f"the answer names {{{unknown[0]}}}, but the pattern {self.when!r} has no such group")

    def answer(self, request: str) -> str:
        """ "" if it isn't about this request."""
        found = re.fullmatch(self.when, request, re.IGNORECASE | re.DOTALL)
        if found is None:
            return ""
        if not isinstance(self.say, str):
            return self.say(found)
        return _HOLE.sub(lambda hole: found[int(hole[1]) if hole[1].isdigit() else hole[1]] or "", self.say)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """rules: the first that speaks of a request answers it. tools: names of tools that an agent's rules may use for
    plain requests ("calculator", "dates"). No model is asked by either; a request that none is about is an error of the
    kind `no_answer`."""

    name: str = "rules"
    rules: tuple[Rule, ...] = ()
    tools: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.rules and not self.tools:
            raise ValueError("rules need either rules or tools")

    @property
    def quick(self) -> bool:
        """It needs no time to speak of."""
        return True

    def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        return guarded(lambda: self._answer(task, resources))

    async def _answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        request = task.request.strip().rstrip(ENDS).lstrip(BEGINNINGS)
        if len(request) <= MAX_REQUEST:
            for rule in self.rules:
                if text := rule.answer(request):
                    yield Routed(strategy=self.name, reason=f"the request matches {rule.when!r}")
                    yield TextDelta(text=text)
                    yield by_code(text, self.name, task, resources)
                    return
        if self.tools:
            end, held = None, list[AgentEvent]()
            work = AgentWork(tools=self.tools, options={"strategies": ("rules",)})
            async with aclosing(resources.agent(work, task)) as events:
                async for event in events:
                    if isinstance(event, (Finished, Failed)):
                        end = event
                    held.append(event)
            if not (isinstance(end, Finished) and end.strategy == "refusal" and not end.tool_calls):
                for event in held:
                    yield event
                return
        raise NoAnswer(
            "No rule is about such a request.", hint="Ask in a plainer way.", unmatched=True, tried=[self.name]
        )
