"""Which tool, if any, and whether a further call follows: similarity first, then the model's likelihood.

With an embedder, the request's nearness to each tool decides whether one is wanted at all and which few the model is
told of; the model's likelihood of beginning a call of each is weighed with it. Without one, the model sorts the request
by example (route.py). It does so as well where every tool shows examples of its arguments, as smidgen's own do: then
that tells better whether a tool is wanted (docs/quality.md).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from weakref import WeakKeyDictionary

from smidgen.agent import AgentSettings, prompts, relevance, route, rules, several
from smidgen.agent.asking import Asking
from smidgen.agent.relevance import Relevance, Stretch
from smidgen.agent.route import Likelihoods
from smidgen.agent.state import Choice
from smidgen.dialects import Dialect
from smidgen.engine import Engine
from smidgen.errors import DeadlineExceeded, SmidgenError
from smidgen.events import Notice
from smidgen.messages import Message, Prompt, Segment, ToolCall, ToolSpec
from smidgen.tools import Knowing, Tool

SIMPLE_TOOLS = 3
"""Tools offered when the prompt is simplified."""
MAX_PRIORS = 64
NEXT_CHOICE, NEXT_MOST = 0.5, 20.0
"""How much less similarity counts for a further call than for the first, and its weight at most: beside a larger one,
which tools were called already would not count."""
KNOWN = 0.6
"""Share of a request that a tool's own data must know, for it to be chosen without looking any further."""
UNCALLED = 2.0
"""What speaks for a tool that a part of the request is about and that wasn't called yet."""
_PRIORS: WeakKeyDictionary[Engine, dict[str, tuple[float, ...]]] = WeakKeyDictionary()


class Chooser:
    """For one run. `notices`: what went wrong with the embedder, to be told."""

    def __init__(
        self,
        asking: Asking,
        settings: AgentSettings,
        history: Sequence[Message],
        offered: Sequence[ToolSpec],
        tools: Sequence[Tool] = (),
    ) -> None:
        self._asking = asking
        self._settings = settings
        self._history = history
        self._offered = tuple(offered)
        self._tools = tuple(tools)
        self._request = next((turn.content for turn in reversed(history) if turn.role == "user"), "")
        self._relevance: Relevance | None = None
        self._measured = False
        self._looked_at = 0
        self.notices: list[Notice] = []

    async def choose(self, *, simplified: bool, failed: Collection[str] = ()) -> Choice:
        """Raises InvalidRequest where the tools don't fit into the prompt."""
        self.look_again()
        wanted = self._settings.tool_choice
        if wanted not in ("auto", "required"):
            return Choice(tool=wanted, reason="the caller chose the tool", shortlist=(wanted,))
        plain = None if simplified or "rules" in self._settings.off else rules.speaks_for(self._request, self._offered)
        if plain is not None:
            return Choice(tool=plain, reason=f"the request is plainly for {plain}", shortlist=(plain,))
        known = known_to(self._request, self._tools, failed if simplified else ())
        if known is not None and wanted == "auto":
            return Choice(tool=known, reason=f"the request is about what {known} holds", shortlist=(known,), known=True)
        near = await self._near()
        if near is None:
            return await self._by_example(simplified, failed)
        use = self._asking.model.profile.tool_use
        sorted_to: Likelihoods | None = None
        if wanted == "auto" and "gate" not in self._settings.off:
            if route.shows_examples(self._offered):
                sorted_to = await self._sorted(self._offered)
                chance = sorted_to.tools[sorted_to.best]
            else:
                odds = near.log_odds
                if use.gate.likelihood:
                    odds += use.gate.likelihood * await self._begins(near)
                chance = 1 / (1 + math.exp(-odds))
            if chance < route.THRESHOLD:
                return Choice(tool="", reason=f"no tool is near enough ({chance:.0%})", probability=1 - chance)
        tools = [tool for tool in self._offered if not (simplified and tool.name in failed)]
        if not tools:
            return Choice(tool="", reason="every tool failed")
        keeps_all = "shortlist" in self._settings.off
        similar = {tool.name: value for tool, value in zip(self._offered, near.similarities, strict=True)}
        most = len(tools) if keeps_all else SIMPLE_TOOLS if simplified else use.shortlist
        short = relevance.shortlist(tools, [similar[tool.name] for tool in tools], most, use.order)
        names = tuple(tool.name for tool in short)
        likelihoods = await self._likelihoods(short)
        weight = 0.0 if "choose" in self._settings.off else use.choice
        scores = [said + weight * similar[name] for name, said in zip(names, likelihoods, strict=True)]
        if sorted_to is not None:
            scores = [
                score + math.log(max(sorted_to.tools[name], 1e-6)) for name, score in zip(names, scores, strict=True)
            ]
        best = max(range(len(names)), key=scores.__getitem__)
        focus = (0, 0)
        if names[best] in self._wanted and "several" not in self._settings.off:
            following = self._following((), names)
            if following is not None:
                best, focus = names.index(following.tool), (following.start, following.end)
        peak = max(scores)
        share = math.exp(scores[best] - peak) / sum(math.exp(score - peak) for score in scores)
        return Choice(
            tool=names[best], reason=f"{names[best]} {share:.0%}", probability=share, shortlist=names, focus=focus
        )

    async def _sorted(self, tools: Sequence[ToolSpec]) -> Likelihoods:
        before = prompts.exchange_before(self._history)
        names = (*(tool.name for tool in tools), route.CHAT)
        said = await self._asking.score(route.routing_messages(self._request, tools, before), names)
        return route.weigh(tools, said, await self._usual(tools, names), self._request)

    async def _near(self) -> Relevance | None:
        """Once per run."""
        if not self._measured:
            self._measured = True
            try:
                texts = [*relevance.parts_of(self._request), *(relevance.text_of(tool) for tool in self._offered)]
                vectors = await self._asking.vectors(texts)
            except DeadlineExceeded:
                raise
            except SmidgenError as error:
                self._asking.without_embedder()
                said = f"Tools are chosen without the sentence embedder: {error.message}"
                self.notices.append(Notice(code="embedder_failed", message=said))
                return None
            if vectors is not None:
                gate = self._asking.model.profile.tool_use.gate
                self._relevance = relevance.relevance(self._request, self._offered, vectors, gate)
        return self._relevance

    async def _begins(self, near: Relevance) -> float:
        """The model's log-probability of beginning a call of one of the nearest tools."""
        dialect, use = self._asking.dialect, self._asking.model.profile.tool_use
        tools = relevance.shortlist(self._offered, near.similarities, use.shortlist, use.order)
        messages = prompts.call_messages(self._history, tools, dialect)
        leads = tuple(lead(dialect, tool.name) for tool in tools)
        return either(await self._asking.score(messages, leads, against_all=True))

    async def _likelihoods(self, tools: Sequence[ToolSpec]) -> tuple[float, ...]:
        if len(tools) == 1:
            return (0.0,)
        dialect = self._asking.dialect
        messages = prompts.call_messages(self._history, tools, dialect)
        return await self._asking.score(messages, tuple(lead(dialect, tool.name) for tool in tools))

    # --- a further call -----------------------------------------------------------------------------------------------

    async def further(self, prompt: Prompt, calls: Sequence[ToolCall], tools: Sequence[ToolSpec]) -> Choice | None:
        """The tool of the next call, None if none follows. prompt: that of the calls so far, without them."""
        dialect, use = self._asking.dialect, self._asking.model.profile.tool_use
        names = tuple(tool.name for tool in tools)
        part = self.next_part(calls)
        if part is not None:
            return part
        about = self._relevance.about if self._relevance else ()
        if self._relevance is not None:
            tools = [tool for tool in tools if tool.name in {*about, *(call.name for call in calls)}]
            names = tuple(tool.name for tool in tools)
            if not tools:
                return None
        left = several.leftover(self._request, calls, [name for name in about if name in names], tools)
        said: Sequence[float] = ()
        if len(tools) > 1 or use.more.likelihood:
            if not use.more.likelihood and several.log_odds(left, 0.0, use.more) < 0:
                return None
            written = Segment(written_calls(dialect, calls), special=False)
            said = await self._asking.score((*prompt, written), further_leads(dialect, tools), against_all=True)
        if several.log_odds(left, either(said) if said else 0.0, use.more) < 0:
            return None
        if len(tools) == 1:
            return Choice(tool=names[0], reason=f"a further call, of {names[0]}", shortlist=names)
        called = {call.name for call in calls}
        near = self._similar()

        def score(index: int) -> float:
            name = tools[index].name
            bonus = UNCALLED if name in about and name not in called else 0.0
            return said[index] + min(NEXT_CHOICE * use.choice, NEXT_MOST) * near.get(name, 0.0) + bonus

        best = max(range(len(tools)), key=score)
        return Choice(tool=names[best], reason=f"a further call, of {names[best]}", shortlist=names)

    @property
    def about(self) -> tuple[str, ...]:
        """Tools that a part of the request is about; without an embedder, all that are offered."""
        return self._relevance.about if self._relevance else tuple(tool.name for tool in self._offered)

    def look_again(self) -> None:
        """No part of the request is done."""
        self._looked_at = 0

    def next_part(self, calls: Sequence[ToolCall], *, is_done: bool = False) -> Choice | None:
        """The tool of the next part of the request that is not done; None if all are, or it has no such parts. is_done:
        whatever is left of the part that was looked at last, nothing more is to be called for it."""
        self._looked_at += is_done
        names = tuple(tool.name for tool in self._offered)
        following = self._following(calls, names)
        if following is None:
            return None
        reason = f"a part of the request is plainly for {following.tool}"
        near = self._similar()
        most = self._asking.model.profile.tool_use.shortlist
        short = sorted(names, key=lambda name: -near.get(name, 0.0))[:most]
        shortlist = tuple(name for name in names if name in short or name == following.tool)
        focus = (following.start, following.end)
        return Choice(tool=following.tool, reason=reason, shortlist=shortlist, focus=focus)

    def _following(self, calls: Sequence[ToolCall], names: Sequence[str]) -> Stretch | None:
        """The next part of the request that is for a tool not called yet, or that says what no call holds; only where
        several tools are plainly wanted."""
        if self._relevance is None or not self._wanted:
            return None
        called, more = {call.name for call in calls}, self._asking.model.profile.tool_use.more
        for index, part in enumerate(relevance.stretches(self._request, self._relevance.parts)):
            if index < self._looked_at or part.tool not in names:
                continue
            left = several.leftover(self._request[part.start : part.end], [c for c in calls if c.name == part.tool])
            uncalled = part.tool in self._wanted and part.tool not in called
            if uncalled or (part.tool in called and several.log_odds(left, 0.0, more) >= 0):
                self._looked_at = index
                return part
        return None

    @property
    def _wanted(self) -> tuple[str, ...]:
        """Tools that parts of the request are plainly about, if they are several."""
        found = self._relevance.wanted if self._relevance else ()
        return found if len(found) > 1 else ()

    def _similar(self) -> dict[str, float]:
        if self._relevance is None:
            return {}
        return {tool.name: near for tool, near in zip(self._offered, self._relevance.similarities, strict=True)}

    # --- without an embedder ------------------------------------------------------------------------------------------

    async def _by_example(self, simplified: bool, failed: Collection[str]) -> Choice:
        required = self._settings.tool_choice == "required"
        tools = self._offered
        if simplified:
            likely = [
                tool
                for tool in tools
                if tool.name not in failed and (required or route.evidence(self._request, tool) > 0)
            ]
            tools = tuple(sorted(likely, key=lambda tool: -route.evidence(self._request, tool))[:SIMPLE_TOOLS])
            if not tools:
                return Choice(tool="", reason="nothing in the request speaks for a tool")
        found = await self._sorted(tools)
        best = found.best
        told = f"{best} {found.tools[best]:.0%}, no tool {found.chat:.0%}"
        if not required and found.tools[best] < route.THRESHOLD and "gate" not in self._settings.off:
            return Choice(tool="", reason=f"no tool is needed ({told})", probability=found.chat)
        return Choice(tool=best, reason=told, probability=found.tools[best], shortlist=(best,))

    async def _usual(self, tools: Sequence[ToolSpec], names: tuple[str, ...]) -> tuple[float, ...]:
        """What the model says of an empty request; measured once per engine and set of tools."""
        known = _PRIORS.setdefault(self._asking.model.engine, {})
        messages = route.routing_messages(route.EMPTY_REQUEST, tools)
        key = messages[0].content
        if key not in known:
            if len(known) >= MAX_PRIORS:
                known.pop(next(iter(known)))
            known[key] = await self._asking.score(messages, names)
        return known[key]


def known_to(request: str, tools: Sequence[Tool], failed: Collection[str] = ()) -> str | None:
    """The tool whose own data know most of the request, if they know enough."""
    shares = {
        tool.spec.name: tool.knows(request)
        for tool in tools
        if isinstance(tool, Knowing) and tool.spec.name not in failed
    }
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] >= KNOWN else None


def lead(dialect: Dialect, name: str) -> str:
    """What a call of this tool begins with, up to its name's end."""
    written = dialect.write_call(ToolCall(name=name, arguments={}))
    end = written.index(name) + len(name)
    return written[: end + 1]


def further_leads(dialect: Dialect, tools: Sequence[ToolSpec]) -> tuple[str, ...]:
    """What a further call of each tool begins with, after the calls before."""
    return tuple(separator(dialect) + lead(dialect, tool.name) for tool in tools)


def either(logprobs: Sequence[float]) -> float:
    """Log-probability that one of several things that exclude each other happens."""
    peak = max(logprobs)
    return peak + math.log(sum(math.exp(value - peak) for value in logprobs))


def written_calls(dialect: Dialect, calls: Sequence[ToolCall]) -> str:
    """Calls as they stand in one answer, one below the other or as the dialect parts them."""
    return separator(dialect).join(dialect.write_call(call) for call in calls)


def separator(dialect: Dialect) -> str:
    """What stands between two calls of one answer; a line break where the dialect puts them into brackets together."""
    call = ToolCall(name="f", arguments={})
    one, two = dialect.write_call(call), dialect.write_calls((call, call))
    apart = two.startswith(one) and two.endswith(one)
    return two[len(one) : len(two) - len(one)] if apart else "\n"
