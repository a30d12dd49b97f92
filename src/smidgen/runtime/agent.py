"""`Agent`: a model with tools and instructions, or a pattern, wired to a runtime."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import msgspec

from smidgen.agent import AgentSettings, Strategy
from smidgen.errors import InvalidRequest
from smidgen.events import AgentEvent, Finished, Notice
from smidgen.messages import Constraint, Message, Sampling, SamplingChange, ToolCall
from smidgen.runtime.answers import Answer, Collector
from smidgen.runtime.leased import Leased
from smidgen.runtime.runtime import MessageLike, Runtime, conversation
from smidgen.tools import Preparing, Tool
from smidgen.tools.conversation import new_conversation
from smidgen.tools.external import is_external
from smidgen.tools.mcp.toolset import expanded
from smidgen.tools.permissions import Ask
from smidgen.tools.permissions.guard import Guard
from smidgen.tools.results import Results

if TYPE_CHECKING:
    from smidgen.patterns import Pattern
    from smidgen.runtime.chat import Chat

ToolLike = Tool | Callable[..., Any] | str
"""A tool, a plain function, or the name of a built-in tool or of a group of them: "dates", "files", "data", "programs",
"web", "all". "mcp:NAME" stands for the tools of a server in the configuration, "mcp:NAME.TOOL" for one of them."""

OF_PATTERNS = ("max_tokens", "seed", "timeout_s")
"""Options of an agent that its pattern heeds; the others are its own to decide."""

ApproveLike = bool | Callable[[ToolCall, str], bool | Awaitable[bool]]
"""True says yes to whatever would be asked about, but not to what only a text from a tool asks for. A function, sync or
async, gets the call and in words what it would do, and says yes with True."""


class AgentOptions(TypedDict, total=False):
    """Keyword arguments of an agent and of one run; see `smidgen.agent.AgentSettings` for their meaning. A run's own
    win over the agent's."""

    max_tokens: int
    sampling: Sampling | None
    temperature: float | None
    seed: int | None
    change: SamplingChange
    stop: tuple[str, ...]
    constraint: Constraint | None
    logprobs: int
    timeout_s: float | None
    tool_timeout_s: float
    max_steps: int
    tool_choice: str
    strategies: tuple[Strategy, ...]
    result_chars: int
    off: frozenset[str]


class Agent:
    """Answers requests with a model and tools.

    model: catalogue name or path; None uses the runtime's. tools: tools, functions, or names of built-in tools.
    runtime: None uses one that all such agents of this process share, closed at exit.
    system: instructions. approve: who says yes to calls that are asked about; None says no. dry_run: calls that would
    change something only say so. What is asked about at all is the user's rules: docs/permissions.md.
    pattern: how it answers instead, with tools of its own: a `smidgen.patterns.Pattern`, or the TOML file of one.

    `run` and `stream` block, `arun` and `astream` are awaited; all keep nothing between calls. For a conversation use
    `chat()`, or give the messages yourself. Tools run on the runtime's loop.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        tools: Sequence[ToolLike] = (),
        system: str = "",
        runtime: Runtime | None = None,
        approve: ApproveLike | None = None,
        dry_run: bool = False,
        pattern: Pattern | str | Path | None = None,
        **options: Unpack[AgentOptions],
    ) -> None:
        self._given_runtime = runtime
        self._approve, self._dry_run = approve, dry_run
        self._pattern = _as_pattern(pattern, tools)
        self._model = model
        self._options = options
        self._system = system
        self._settings(AgentOptions())
        self._tools = as_tools(tools, self.runtime)
        own = [tool for tool in self._tools if not is_external(tool)]
        self._guard = self._guarded(approve, dry_run) if own else None

    def _guarded(self, approve: ApproveLike | None, dry_run: bool) -> Guard:
        toolbox = self.runtime.toolbox
        return Guard(toolbox.policy, _asker(approve), toolbox.audit, yes=approve is True, dry_run=dry_run)

    @property
    def runtime(self) -> Runtime:
        return self._given_runtime or shared_runtime()

    @property
    def tools(self) -> tuple[Tool, ...]:
        return self._tools

    @property
    def system(self) -> str:
        return self._system

    @property
    def pattern(self) -> Pattern | None:
        """How it answers instead."""
        return self._pattern

    @property
    def model(self) -> str:
        return self._model or self.runtime.model_name

    def run(self, request: str | Sequence[MessageLike], **options: Unpack[AgentOptions]) -> Answer:
        """Answer a request, or the last user message of a conversation. Raises the typed errors of `smidgen.errors`."""
        return self.runtime.bridge.call(lambda: self._run(request, options))

    async def arun(self, request: str | Sequence[MessageLike], **options: Unpack[AgentOptions]) -> Answer:
        return await self.runtime.bridge.await_(lambda: self._run(request, options))

    def stream(
        self, request: str | Sequence[MessageLike], **options: Unpack[AgentOptions]
    ) -> Generator[AgentEvent, None, None]:
        """The same as events, ending in one `Finished` or `Failed`. Closing the generator cancels the run."""
        return self.runtime.bridge.iterate(lambda: self._stream(request, options))

    def astream(
        self, request: str | Sequence[MessageLike], **options: Unpack[AgentOptions]
    ) -> AsyncGenerator[AgentEvent, None]:
        return self.runtime.bridge.aiterate(lambda: self._stream(request, options))

    def chat(self, messages: Sequence[MessageLike] = ()) -> Chat:
        """A conversation that remembers, starting from `messages`."""
        from smidgen.runtime.chat import Chat

        return Chat(self, conversation(messages))

    def forget(self, number: int) -> None:
        """A conversation is over: what tools keep for it isn't needed any more. Returns at once."""
        if self._tools and self.runtime.bridge.started and not self.runtime.closed:
            loop, toolbox = self.runtime.bridge.home(), self.runtime.toolbox
            loop.call_soon_threadsafe(lambda: asyncio.ensure_future(toolbox.forget(number)))

    async def _run(self, request: str | Sequence[MessageLike], options: AgentOptions) -> Answer:
        collector = Collector(self.model)
        async for event in self._stream(request, options):
            collector.feed(event)
        return collector.answer()

    async def _stream(
        self, request: str | Sequence[MessageLike], options: AgentOptions
    ) -> AsyncGenerator[AgentEvent, None]:
        """A conversation of its own, of which nothing is kept."""
        number = new_conversation()
        try:
            async with aclosing(self.events(request, options, number, Results(lasting=False))) as events:
                async for event in events:
                    yield event
        finally:
            if self._tools:
                await self.runtime.toolbox.forget(number)

    async def events(
        self,
        request: str | Sequence[MessageLike],
        options: AgentOptions,
        number: int,
        results: Results,
        given: int | None = None,
    ) -> AsyncGenerator[AgentEvent, None]:
        """On the home loop only. number: of the conversation, for tools that keep something between calls. results:
        what of it is too long to be read at once. given: so many of its messages come from elsewhere, all if None."""
        from smidgen.agent.run import run

        history = conversation([{"role": "user", "content": request}] if isinstance(request, str) else request)
        if self._pattern is not None:
            async with aclosing(self._by_pattern(self._pattern, history, options)) as events:
                async for event in events:
                    yield event
            return
        turns = len(history) if given is None else given
        settings = msgspec.structs.replace(self._settings(options), conversation=number, given=turns)
        if not history or history[-1].role not in ("user", "tool"):
            raise InvalidRequest("There is nothing to answer.", hint="The last message must be the user's.")
        async with AsyncExitStack() as stack:
            model = Leased(self.runtime, self._model, stack)
            nearest = self.runtime.embedder_name() if self._tools else ""
            embedder = Leased(self.runtime, nearest, stack) if nearest else None
            found, notices = await expanded(self._tools)
            for notice in notices:
                yield notice
            tools = (*[await prepared(tool) for tool in found], *results.tools())
            events = run(model, tools, history, settings, self._guard, embedder, results)
            async with aclosing(cast("AsyncGenerator[AgentEvent, None]", events)) as source:
                async for event in source:
                    yield event

    async def _by_pattern(
        self, pattern: Pattern, history: Sequence[Message], options: AgentOptions
    ) -> AsyncGenerator[AgentEvent, None]:
        from smidgen.agent.prompts import with_system
        from smidgen.patterns import Task
        from smidgen.runtime.patterned import answered

        settings = self._settings(options)
        given = {**self._options, **options}
        task = Task(
            messages=with_system(history, self._system),
            model=self._model or "",
            seed=settings.seed or 0,
            max_tokens=settings.max_tokens if "max_tokens" in given else 0,
        )
        unused = _unheeded(settings, given)
        told: tuple[str, ...] = ()
        if unused:
            told = (f"{pattern.name} decides this itself, so it was not used: {', '.join(unused)}.",)
            yield Notice(code="option_unused", message=told[0])
        events = answered(
            self.runtime,
            pattern,
            task,
            timeout_s=settings.timeout_s,
            approve=self._approve,
            dry_run=self._dry_run,
        )
        async with aclosing(events) as source:
            async for event in source:
                if isinstance(event, Finished):
                    event = msgspec.structs.replace(event, warnings=(*told, *event.warnings))
                yield event

    def _settings(self, options: AgentOptions) -> AgentSettings:
        given = {**self._options, **options}
        unknown = sorted(set(given) - set(AgentOptions.__annotations__))
        if unknown:
            raise TypeError(f"an agent has no option {unknown[0]!r}; it has {', '.join(AgentOptions.__annotations__)}")
        config = self.runtime.config
        given.setdefault("max_tokens", config.max_tokens)
        given["timeout_s"] = self.runtime.timeout(cast("float | None", given.get("timeout_s")))
        try:
            return msgspec.convert({**given, "system": self._system}, AgentSettings)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"An option of the agent can't be used: {error}.") from error


def _unheeded(settings: AgentSettings, given: Iterable[str]) -> list[str]:
    """Of the options that were given, those that a pattern doesn't heed and that aren't as they always are."""
    usual, change = AgentSettings(), settings.change
    changed = [name for name in change.__struct_fields__ if getattr(change, name) is not None]
    names = [name for name in given if getattr(settings, name) != getattr(usual, name) and name != "change"]
    return [name for name in (*names, *changed) if name not in OF_PATTERNS]


def _as_pattern(pattern: Pattern | str | Path | None, tools: Sequence[ToolLike]) -> Pattern | None:
    if pattern is not None and tools:
        raise InvalidRequest("Both tools and a pattern were given.", hint="Give the pattern its tools.")
    if isinstance(pattern, (str, Path)):
        from smidgen.patterns.files import load_pattern

        return load_pattern(pattern)
    return pattern


def as_tools(tools: Sequence[ToolLike], runtime: Runtime) -> tuple[Tool, ...]:
    """Tools from tools, functions and names. Raises UnknownTool, InvalidRequest, ConfigError."""
    from smidgen.tools.registry import Registry

    tools = [tool for number, tool in enumerate(tools) if not (isinstance(tool, str) and tool in tools[:number])]
    named = [tool for tool in tools if isinstance(tool, str)]
    built_in = {tool.spec.name: tool for tool in runtime.toolbox.tools(named)} if named else {}
    ready: list[Tool] = []
    for tool in tools:
        if isinstance(tool, str):
            if tool in built_in:
                ready.append(built_in[tool])
            else:
                ready += [one for one in built_in.values() if one not in ready and one.spec.name not in named]
        elif isinstance(tool, Tool):
            ready.append(tool)
        elif callable(tool):
            from smidgen.tools.function import FunctionTool

            ready.append(FunctionTool(tool))
        else:
            raise InvalidRequest(f"{tool!r} is not a tool.", hint="Give a function, a Tool, or a built-in tool's name.")
    return tuple(Registry(ready))


async def prepared(tool: Tool) -> Tool:
    return await tool.prepared() if isinstance(tool, Preparing) else tool


def _asker(approve: ApproveLike | None) -> Ask | None:
    if approve is None or isinstance(approve, bool):
        return None

    async def ask(call: ToolCall, preview: str) -> bool:
        said = approve(call, preview)
        return bool(await said if inspect.isawaitable(said) else said)

    return ask


_shared_lock = threading.Lock()
_shared: list[Runtime] = []


def shared_runtime() -> Runtime:
    """The runtime of agents that were given none; made at first use, closed at exit."""
    with _shared_lock:
        if not _shared or _shared[0].closed:
            _shared[:] = [Runtime()]
        return _shared[0]
