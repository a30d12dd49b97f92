"""Measurements of one model on tasks, four at a time: calls it writes, likelihoods, and how near requests are to tools.

Prompts, grammars and what is done with a call afterwards are the agent's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from smidgen.agent import AgentModel, ground, prompts, relevance, settle
from smidgen.agent.choosing import either, further_leads, lead, written_calls
from smidgen.agent.relevance import Relevance, Vector
from smidgen.dialects import Dialect
from smidgen.dialects.choose import dialect as dialect_of
from smidgen.errors import InvalidRequest
from smidgen.eval.alone import generated
from smidgen.eval.calibrate.race import PROMPT_SHARE, Outcome
from smidgen.eval.calibrate.sample import Case
from smidgen.messages import GenerateRequest, Prompt, ScoreRequest, Segment, ToolCall, ToolSpec
from smidgen.models.tool_use import Gate, Order

T = TypeVar("T")
AT_ONCE = 4
"""Requests that run together: their next tokens are computed in one batch."""
CALL_TOKENS = 128
"""A quarter more than the longest call that a task asks for, in the wordiest dialect."""
TEXTS_AT_ONCE = 32


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says of the tools that it was told of. said: log-probability of each among them, in their order;
    begins: that it begins a call at all. further: that it begins another one, after each of the task's calls."""

    names: tuple[str, ...]
    said: tuple[float, ...]
    begins: float = 0.0
    further: tuple[float, ...] = ()


async def together(work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Results in order. The first failure ends all."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(what: Callable[[], Awaitable[T]]) -> T:
        async with turn:
            return await what()

    tasks = [asyncio.ensure_future(one(what)) for what in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Collector:
    """Raises what the engines raise, but for a request that a dialect can't make: that is a wrong call.
    embedder: None to do without nearness."""

    def __init__(self, model: AgentModel, embedder: AgentModel | None) -> None:
        self.model = model
        self._embedder = embedder
        self._vectors: dict[str, Vector] = {}

    @property
    def has_embedder(self) -> bool:
        return self._embedder is not None

    # --- calls --------------------------------------------------------------------------------------------------------

    async def filled(self, name: str, cases: Sequence[Case]) -> list[Outcome]:
        """The first call of each task in a dialect, with the right tool given and no other told of."""

        def one(case: Case) -> Callable[[], Awaitable[Outcome]]:
            tool = case.tool(case.task.expect[0].tool)
            return lambda: self.fill(name, case, (tool,), tool)

        return await together([one(case) for case in cases])

    async def fill(self, name: str, case: Case, shown: Sequence[ToolSpec], tool: ToolSpec) -> Outcome:
        """One call of a tool, when the model is told of those shown, and whether the task asks for it."""
        dialect = dialect_of(name)
        try:
            request = GenerateRequest(
                prompt=self._prompt(dialect, case, shown),
                sampling=self.model.profile.tool_sampling,
                constraint=dialect.constraint((ground.for_grammar(tool, case.said),), special=self.model.special),
                max_tokens=CALL_TOKENS,
            )
            done = await generated(self.model.engine, request)
        except InvalidRequest:
            return Outcome(right=False, cost=float(CALL_TOKENS))
        call: ToolCall | None = None
        if done.finish_reason == "stop" and (calls := dialect.parse(done.text, (tool,)).calls):
            call, _ = settle.without_inventions(calls[0], tool, case.said)
        cost = done.usage.completion_tokens + PROMPT_SHARE * done.usage.prompt_tokens
        return Outcome(right=case.is_right(call), cost=cost)

    # --- likelihoods --------------------------------------------------------------------------------------------------

    async def told(
        self, name: str, case: Case, shown: Sequence[ToolSpec], *, begins: bool = False, calls: Sequence[ToolCall] = ()
    ) -> Told | None:
        """What the model says of the tools shown; None where they don't fit into its context."""
        try:
            return await self._told(name, case, shown, begins, calls)
        except InvalidRequest:
            return None

    async def _told(
        self, name: str, case: Case, shown: Sequence[ToolSpec], begins: bool, calls: Sequence[ToolCall]
    ) -> Told:
        dialect = dialect_of(name)
        prompt = self._prompt(dialect, case, shown)
        leads = tuple(lead(dialect, tool.name) for tool in shown)
        said = await self._score(prompt, leads, "choices") if len(leads) > 1 else (0.0,)
        opens = either(await self._score(prompt, leads, "none")) if begins else 0.0
        further: list[float] = []
        for count in range(1, len(calls) + 1):
            before = Segment(written_calls(dialect, calls[:count]), special=False)
            further.append(either(await self._score((*prompt, before), further_leads(dialect, shown), "none")))
        return Told(names=tuple(tool.name for tool in shown), said=said, begins=opens, further=tuple(further))

    async def _score(self, prompt: Prompt, candidates: tuple[str, ...], normalize: Any) -> tuple[float, ...]:
        request = ScoreRequest(prompt=prompt, candidates=candidates, normalize=normalize)
        return (await self.model.engine.score(request)).logprobs

    def _prompt(self, dialect: Dialect, case: Case, shown: Sequence[ToolSpec]) -> Prompt:
        return self.model.template.render(prompts.call_messages(case.history, shown, dialect))

    # --- nearness -----------------------------------------------------------------------------------------------------

    async def embed(self, cases: Sequence[Case]) -> None:
        """Asks the embedder for all that `near` needs of these tasks."""
        if self._embedder is None:
            return
        wanted: dict[str, None] = {}
        for case in cases:
            texts = (*relevance.parts_of(case.request), *(relevance.text_of(tool) for tool in case.tools))
            wanted.update(dict.fromkeys(texts))
        texts = [text for text in wanted if text not in self._vectors]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            asked = tuple(texts[start : start + TEXTS_AT_ONCE])
            found = await self._embedder.engine.embed(asked)
            self._vectors.update(zip(asked, found.vectors, strict=True))

    def near(self, case: Case, gate: Gate) -> Relevance:
        """Of a task that was embedded."""
        return relevance.relevance(case.request, case.tools, self._vectors, gate)

    def similar(self, case: Case) -> Mapping[str, float]:
        """Nearness by tool; 0 without an embedder."""
        if self._embedder is None:
            return dict.fromkeys((tool.name for tool in case.tools), 0.0)
        near = self.near(case, Gate())
        return {tool.name: value for tool, value in zip(case.tools, near.similarities, strict=True)}

    def short(self, case: Case, most: int, order: Order) -> tuple[ToolSpec, ...]:
        """The tools that the model would be told of."""
        similar = self.similar(case)
        return relevance.shortlist(case.tools, [similar[tool.name] for tool in case.tools], most, order)
