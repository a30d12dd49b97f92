"""What a run asks of its models: loaded when first needed, under the run's time limit, with everything accounted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from smidgen.agent import AgentModel, Supply
from smidgen.agent.account import Account
from smidgen.agent.deadline import Deadline
from smidgen.dialects import Dialect
from smidgen.dialects.choose import dialect
from smidgen.errors import SmidgenError
from smidgen.events import EngineEvent, Failed, Generated, Notice
from smidgen.messages import Constraint, GenerateRequest, Message, Prompt, ScoreRequest, Segment, ToolSpec

STREAM_GRACE_S = 1.5
"""An engine ends its stream itself at the run's time limit, and then its figures are exact; this much later it is cut.
All else that a run waits for is cut at the limit."""


class Asking:
    """embedder: the model that tells how near texts are, None to do without."""

    def __init__(self, supply: Supply, deadline: Deadline, embedder: Supply | None = None) -> None:
        self.deadline = deadline
        self.account = Account()
        self._supply = supply
        self._embedder = embedder
        self._loaded: AgentModel | None = None
        self._embedding: AgentModel | None = None

    @property
    def name(self) -> str:
        return (self._loaded or self._supply).name

    @property
    def is_loaded(self) -> bool:
        return self._loaded is not None

    @property
    def model(self) -> AgentModel:
        if self._loaded is None:
            raise RuntimeError("an action that counts as one without a model asked for the model")
        return self._loaded

    @property
    def dialect(self) -> Dialect:
        return dialect(self.model.profile.dialect)

    def constraint(self, tool: ToolSpec) -> Constraint:
        """A grammar of one call of the tool in the model's dialect. Raises ConstraintError."""
        return self.dialect.constraint((tool,), special=self.model.special)

    async def load(self) -> tuple[Notice, ...]:
        """Raises what the supply raises, DeadlineExceeded."""
        self._loaded, notices = await self.deadline.model(self._supply.name, self._supply.load)
        return notices

    async def vectors(self, texts: Sequence[str]) -> dict[str, tuple[float, ...]] | None:
        """A vector of length 1 for each text; None without an embedder. Raises what the embedder raises."""
        if self._embedder is None:
            return None
        if self._embedding is None:
            self._embedding, _ = await self.deadline.model(self._embedder.name, self._embedder.load)
        engine = self._embedding.engine
        asked = tuple(dict.fromkeys(texts))
        found = await self.deadline.wait(lambda: engine.embed(asked, timeout_s=self.deadline.remaining()))
        return dict(zip(asked, found.vectors, strict=True))

    def without_embedder(self) -> None:
        """It failed: the run goes on without."""
        self._embedder = None

    async def stream(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        """The engine's events, accounted, up to and with `Generated`. Raises what a `Failed` holds."""
        self.account.begin()
        async with aclosing(cast(Any, self.model.engine.generate(request))) as events:
            while True:
                try:
                    event: EngineEvent = await self.deadline.wait(events.__anext__, STREAM_GRACE_S)
                except StopAsyncIteration:
                    return
                self.account.see(event)
                if isinstance(event, Failed):
                    raise event.error.to_exception()
                yield event

    async def generated(self, request: GenerateRequest) -> Generated:
        """The whole text at once. Raises what `stream` raises."""
        async with aclosing(cast(Any, self.stream(request))) as events:
            async for event in events:
                if isinstance(event, Generated):
                    return event
        raise RuntimeError("a model's stream ended without an end")

    async def score(
        self, prompt: Prompt | Sequence[Message], candidates: tuple[str, ...], *, against_all: bool = False
    ) -> tuple[float, ...]:
        """Log-probability of each candidate among them, or `against_all` other texts."""
        rendered = prompt if not prompt or not isinstance(prompt[0], Message) else None
        request = ScoreRequest(
            prompt=cast(Prompt, rendered) if rendered is not None else self._render(cast(Sequence[Message], prompt)),
            candidates=candidates,
            normalize="none" if against_all else "choices",
            timeout_s=self.deadline.remaining(),
        )
        result = await self.deadline.wait(lambda: self.model.engine.score(request))
        self.account.usage += result.usage
        return result.logprobs

    def _render(self, messages: Sequence[Message]) -> Prompt:
        return self.model.template.render(messages)

    async def settle(self, text: str) -> None:
        """Account a generation that was broken off by its text's tokens, or by its pieces if those can't be counted."""
        try:
            tokens = await self.deadline.wait(lambda: self.model.engine.tokenize((Segment(text, special=False),)))
        except SmidgenError:
            self.account.settle()
        else:
            self.account.settle(len(tokens))
