"""MEASURES: how often a model, with and without smidgen's help, does what a benchmark expects, and at what price.

A suite knows its items and judges the answers. Benchmarks of others come with their publisher's own data and checker,
which are never copied here.
A caller turns a request and tools into calls. The runner brings the two together and keeps every result.

suites      the suites by name
bfcl/       the Berkeley Function Calling Leaderboard, single turn
tasks/      our own: everyday requests to smidgen's tools, and tasks to calibrate a model with
baseline    the model alone: its own template, greedy, whatever can be read as a call
pipeline    the agent's own way to a call
record      a result, and the file that results are kept in: what a run depends on is its key
runner      one item after the other
summary     accuracy, intervals, time and tokens by category
intervals   the statistics
evaluation  all of it: a model, a suite, and the ways that were asked for
ablation    what each step of a caller is worth
report      tables for the terminal, JSON
plot, page  the same as one HTML page
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec

from smidgen.messages import Message, ToolCall, ToolSpec

Request = str | list[Message]
"""What is asked: a user's words, or a conversation that ends in them."""


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller made of one request.

    calls: () if no tool was called. prompt_tokens count those that were in the cache too. seconds: from the request to
    the calls. notes: for people who look into a failure, JSON-able: the model's text, what was chosen and why.
    """

    calls: tuple[ToolCall, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    notes: dict[str, Any] = {}


class Caller(Protocol):
    """A way from a request to calls. It runs no tool."""

    @property
    def name(self) -> str:
        """Part of a run's key and its label in tables."""
        ...

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps that can be switched off, in the order in which they happen."""
        ...

    def with_steps(self, off: Collection[str]) -> Caller:
        """The same without these steps. Raises InvalidRequest for a name that is no step."""
        ...

    async def call(self, request: Request, tools: Sequence[ToolSpec]) -> CallOutcome:
        """Raises the typed errors of smidgen.errors; an InvalidRequest counts against the item, others end the run."""
        ...


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a suite. `expected`: what a right answer looks like, for people. `tuning`: it may be looked at
    while things are tuned, so a score on it proves nothing."""

    id: str
    category: str
    request: Request
    tools: tuple[ToolSpec, ...]
    expected: Any = None
    tuning: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`reason`: the checker's own words where it said no."""

    correct: bool
    reason: str = ""


class Suite(Protocol):
    """`fingerprint`: a hash of data and checker. `groups`: names that stand for several categories."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def categories(self) -> tuple[str, ...]: ...

    @property
    def groups(self) -> dict[str, tuple[str, ...]]: ...

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

    def check(self, item: Item, calls: Sequence[ToolCall]) -> Verdict: ...


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
