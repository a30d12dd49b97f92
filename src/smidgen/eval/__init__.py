"""MEASURES: how often a model, with and without smidgen's help, does what a benchmark expects, and at what price.

A suite knows its items. For a model it gives two things: a solver, which is a way from an item to an outcome, with
smidgen's help or without, and a checker, which judges outcomes. Benchmarks of others come with their publisher's own
data and checker, which are never copied here. The runner brings all together and keeps every result.

suites      the suites by name
bfcl/       tool calls: the Berkeley Function Calling Leaderboard, single turn
tasks/      tool calls: everyday requests to smidgen's tools, and tasks to calibrate a model with
calls/      solvers of tool calls: the agent's own way, and the model alone
gsm8k/      word problems, by `smidgen.patterns.solving`
humaneval/  functions, by the micro-agent that writes them
intents/    CLINC150 and BANKING77, by the router
given       files of items that the user gives
patterned   a pattern as a solver; alone: the model's own text
record      a result, and the file that results are kept in: what a run depends on is its key
runner      one item after the other
summary     accuracy, intervals, time and tokens by category
intervals   the statistics
evaluation  all of it: a model, a suite, and the solvers that were asked for
ablation    what each step of a solver is worth
report      tables for the terminal, JSON
plot, page  the same as one HTML page
calibrate/  tunes a model by what it measures
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from smidgen.messages import Message, ToolCall, ToolSpec

if TYPE_CHECKING:
    from smidgen.agent import AgentModel
    from smidgen.runtime.runtime import Runtime

Request = str | list[Message]
"""What is asked: a user's words, or a conversation that ends in them."""
Measured = Literal["model", "embedder"]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a suite. `tools`: on offer. `expected`: what a right outcome looks like, for people. `tuning`: it
    may be looked at while things are tuned, so a score on it proves nothing."""

    id: str
    category: str
    request: Request
    tools: tuple[ToolSpec, ...] = ()
    expected: Any = None
    tuning: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a solver made of one item: calls, or a text that is the answer and nothing beside it; () and "" where it has
    none. prompt_tokens count those that were in the cache too. seconds: from the request to the outcome. notes: for
    people who look into a failure, JSON-able: the model's text, what was chosen and why."""

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    notes: dict[str, Any] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`reason`: the checker's own words where it said no."""

    correct: bool
    reason: str = ""


class Solver(Protocol):
    """A way from an item to an outcome."""

    @property
    def name(self) -> str:
        """Part of a run's key and its label in tables."""
        ...

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps that can be switched off, in the order in which they happen."""
        ...

    def with_steps(self, off: Collection[str]) -> Solver:
        """The same without these steps. Raises InvalidRequest for a name that is no step."""
        ...

    async def solve(self, item: Item) -> Outcome:
        """Raises the typed errors of smidgen.errors; an InvalidRequest counts against the item, others end the run."""
        ...


Checker = Callable[[Item, Outcome], Awaitable[Verdict]]


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What a suite is measured with. model: what is measured, held until the end. stack: where whatever else is held
    until then goes. baseline: without smidgen's help. seed: for whatever is drawn."""

    runtime: Runtime
    model: AgentModel
    stack: AsyncExitStack
    baseline: bool = False
    seed: int = 0


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A suite for one model."""

    solver: Solver
    check: Checker


class Suite(Protocol):
    """`fingerprint`: a hash of data and checker. `groups`: names that stand for several categories."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def measures(self) -> Measured:
        """Whose figures these are: the model's, or those of the sentence embedder, and no other model is needed."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """What else results depend on: options of its own."""
        ...

    @property
    def categories(self) -> tuple[str, ...]: ...

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]: ...

    @property
    def default_categories(self) -> tuple[str, ...]: ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What of its installation the user must be told."""
        ...

    def fingerprint(self, category: str) -> str: ...

    def items(self, category: str, skip: int = 0, limit: int | None = None) -> list[Item]:
        """In the publisher's order."""
        ...

    async def prepare(self, bench: Bench) -> Prepared: ...


def as_messages(request: Request) -> tuple[Message, ...]:
    return (Message(role="user", content=request),) if isinstance(request, str) else tuple(request)


def switched_off(steps: Sequence[str], off: Collection[str]) -> frozenset[str]:
    """`off`, checked. Raises InvalidRequest."""
    from smidgen.errors import InvalidRequest

    for name in off:
        if name not in steps:
            there = ", ".join(steps) or "none that can be switched off"
            raise InvalidRequest(f"There is no step {name!r}.", hint=f"There are: {there}.")
    return frozenset(off)
