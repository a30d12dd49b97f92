"""The held-back tasks through the whole agent, with one profile or another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from smidgen.agent import AgentModel
from smidgen.errors import DeadlineExceeded, InvalidRequest
from smidgen.eval import Item
from smidgen.eval.calibrate.collect import together
from smidgen.eval.calls.pipeline import Pipeline
from smidgen.eval.tasks.suite import Tasks
from smidgen.models.profiles import Dialect, Profile
from smidgen.models.tool_use import ToolUse


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """What of a profile is tuned."""

    dialect: Dialect
    tool_use: ToolUse


def manner_of(model: AgentModel) -> Manner:
    return msgspec.convert({"dialect": model.profile.dialect, "tool_use": model.profile.tool_use}, Manner)


def in_manner(model: AgentModel, manner: Manner) -> AgentModel:
    profile = model.profile
    if not isinstance(profile, Profile):
        raise TypeError("only a family's own profile can be replaced")
    changed = msgspec.structs.replace(profile, dialect=manner.dialect, tool_use=manner.tool_use)
    return msgspec.structs.replace(model, profile=changed)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the items were right, in their order. seconds: the sum of what each took, several at once."""

    right: tuple[bool, ...]
    seconds: float = 0.0

    @property
    def n(self) -> int:
        return len(self.right)

    @property
    def total(self) -> int:
        return sum(self.right)

    def against(self, other: Score) -> tuple[int, int]:
        """How many only this one got right, and how many only the other."""
        pairs = list(zip(self.right, other.right, strict=True))
        return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)


async def score(
    model: AgentModel, embedder: AgentModel | None, manner: Manner, suite: Tasks, items: Sequence[Item]
) -> Score:
    """Several at a time. An item's own InvalidRequest counts against it. Raises what else the engines raise."""
    pipeline = Pipeline(in_manner(model, manner), embedder)

    def one(item: Item) -> Callable[[], Awaitable[tuple[bool, float]]]:
        async def work() -> tuple[bool, float]:
            try:
                outcome = await pipeline.solve(item)
            except (InvalidRequest, DeadlineExceeded):
                return False, 0.0
            return suite.check(item, outcome.calls).correct, outcome.seconds

        return work

    found = await together([one(item) for item in items])
    return Score(right=tuple(right for right, _ in found), seconds=sum(seconds for _, seconds in found))
