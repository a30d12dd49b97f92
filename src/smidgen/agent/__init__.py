"""DECIDES: what to do next to answer a request. Engines produce, agents judge.

run      the loop: performs the planner's actions and yields events; `run(model, tools, history, settings, guard)`
plan     pure: state in, one action out
asking   what is asked of the models: loaded when needed, under the time limit, accounted
choosing which tool, if any, and whether another call follows
relevance, several    pure: how near a request is to a tool; what of it no call holds yet
enumerations, apportion    pure: lists that calls are made of; which part of a request a call is about
rules, route          requests that need no model; sorting by example, where there is no embedder
writing  calls under a grammar of what the request says; answering: answers in words
ground, settle, described, numbers, words    pure: what a request says, and what a call's values may be
verify, conformity    checks of calls; of values against a schema. answer_checks: of answers against results
context  what of the history fits, counted in the model's own tokens
calling  one tool call with its limits and its permission; returned: results of calls that whoever asked made
completion the plan for a text that is only to be continued; infill: the prompt for code around a cursor
deadline the run's time limit, around each wait, the one for the model included
account  tokens and seconds used, also of what was broken off; journal: what is told of the run at its end

Plain chat is an agent without tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from smidgen.engine import Engine
from smidgen.errors import InvalidRequest
from smidgen.events import Notice
from smidgen.messages import Constraint, Message, Prompt, Sampling, SamplingChange, ToolSpec
from smidgen.models.detect import FimTokens
from smidgen.models.tool_use import ToolUse
from smidgen.tools.registry import near_names
from smidgen.wire import ModelInfo

Strategy = Literal["rules", "constrained", "simplified", "plain"]

STEPS = ("rules", "shortlist", "gate", "choose", "ground", "check", "several", "simplified")
"""The steps towards a tool call that can be switched off, in their order."""


class Profile(Protocol):
    """What an agent takes from a model family's profile; `smidgen.models.profiles.Profile` is one."""

    @property
    def family(self) -> str: ...
    @property
    def sampling(self) -> Sampling: ...
    @property
    def tool_sampling(self) -> Sampling: ...
    @property
    def dialect(self) -> str: ...
    @property
    def stop(self) -> tuple[str, ...]: ...
    @property
    def tool_use(self) -> ToolUse: ...


class Template(Protocol):
    """Renders a conversation as the model was trained to read it; `smidgen.models.template.ChatTemplate` is one."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] | None = None,
        add_generation_prompt: bool = True,
    ) -> Prompt: ...


class AgentModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model ready to be used by an agent: its engine, and how to talk to it. `name` is what users call it.
    `fim`: the marks by which it fills in the middle, None if it can't."""

    name: str
    engine: Engine
    profile: Profile
    template: Template
    info: ModelInfo | None = None
    fim: FimTokens | None = None

    @property
    def special(self) -> tuple[str, ...]:
        """Texts of its control tokens, as far as they are known: a dialect's marks among them are written as such."""
        return self.info.control_tokens if self.info else ()

    async def load(self) -> tuple[AgentModel, tuple[Notice, ...]]:
        """Itself: it is a `Supply` that has nothing left to do."""
        return self, ()


class Supply(Protocol):
    """A model that is made ready when a run first needs it, which is never for a request that rules answer."""

    @property
    def name(self) -> str:
        """What users call it, known before it is loaded."""
        ...

    async def load(self) -> tuple[AgentModel, tuple[Notice, ...]]:
        """The model, fetched and opened if need be, and what was decided meanwhile that the user must be told.

        Awaited at most once a run. At the run's time limit it is cancelled. Raises typed errors."""
        ...


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One run's settings.

    system: text of the system message; "" leaves it to the model's template.
    max_tokens: tokens of the answer at most, 0 for as many as fit. sampling: replaces the profile's for the answer;
    `temperature`, `seed` and `change` override single fields of it. stop, constraint and logprobs are for the answer
    only.
    timeout_s: seconds for the whole run, tools included. max_steps: tool calls at most.
    tool_choice: "auto" lets the agent decide, "none" forbids tools, "required" asks for one, else a tool's name.
    strategies: which ways may be tried, in this order; "plain" answers without tools.
    tool_timeout_s: seconds for one tool call. result_chars: characters of a tool's result that the model reads
    at once, less where its context is small.
    given: of the history, so many turns come from elsewhere: what the assistant says there may be a tool's text.
    conversation: a number by which tools that keep something between calls know whose it is.
    off: steps of a tool call to do without, to measure what each is worth: STEPS. Another name raises InvalidRequest.
    """

    system: str = ""
    max_tokens: int = 512
    sampling: Sampling | None = None
    temperature: float | None = None
    seed: int | None = None
    change: SamplingChange = SamplingChange()
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    logprobs: int = 0
    timeout_s: float | None = None
    tool_timeout_s: float = 30.0
    max_steps: int = 8
    tool_choice: str = "auto"
    strategies: tuple[Strategy, ...] = ("rules", "constrained", "simplified", "plain")
    result_chars: int = 4000
    given: int = 0
    conversation: int = 0
    off: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in sorted(self.off - set(STEPS)):
            near = near_names(name, STEPS)
            hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(STEPS)}."
            raise InvalidRequest(f"There is no step called {name!r} to switch off.", hint=hint, near=list(near))
