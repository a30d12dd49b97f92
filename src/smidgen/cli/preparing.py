"""What commands that ask a model do before the first word: the model fetched and loaded, the agent made."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from smidgen.cli import options, terminal
from smidgen.errors import SmidgenError
from smidgen.messages import ToolCall

if TYPE_CHECKING:
    from smidgen.models.library import Library
    from smidgen.runtime.agent import Agent, ApproveLike
    from smidgen.runtime.runtime import Runtime


DEFAULT_TOOLS = ("calculator", "current_time", "weekday", "days_between", "date_add")
"""Given unless the command line says otherwise: they only read, and touch no files."""


async def make_ready(runtime: Runtime, arguments: argparse.Namespace, spec: str | None = None) -> None:
    """Fetch the model, the runtime's if no other is named, if it isn't there yet, with a notice. Raises the library's
    errors."""
    from smidgen.cli.fetching import fetch_if_missing
    from smidgen.runtime.loading import library_of

    library = library_of(runtime.config)
    await fetch_if_missing(library, spec or runtime.model_name, arguments, runtime.config)
    embedder = runtime.config.embedder
    if embedder and not getattr(arguments, "no_tools", True) and not is_here(library, embedder):
        told = f"note: without {embedder} tools are chosen less surely. Fetch it once: smidgen models pull {embedder}"
        terminal.say(told, quiet=arguments.quiet)


def is_here(library: Library, spec: str) -> bool:
    try:
        library.resolve(spec)
    except SmidgenError:
        return False
    return True


def agent_for(runtime: Runtime, arguments: argparse.Namespace, system: str | None = None) -> Agent:
    """The agent that the command line describes. Raises UnknownTool."""
    from smidgen.runtime.agent import Agent

    chosen: tuple[str, ...] = DEFAULT_TOOLS if arguments.tools is None else arguments.tools
    if arguments.no_tools or arguments.pattern:
        chosen = ()
    given: dict[str, Any] = options.agent_options(arguments)
    return Agent(
        model=runtime.model_name,
        runtime=runtime,
        tools=chosen,
        system=arguments.system if system is None else system,
        approve=approver(arguments.yes),
        dry_run=arguments.dry_run,
        pattern=arguments.pattern,
        **given,
    )


def approver(yes: bool) -> ApproveLike:
    """Yes beforehand; or ask at the terminal, once per call. Without a terminal the answer is no."""
    if yes:
        return True

    async def ask(call: ToolCall, preview: str) -> bool:
        if not sys.stdin.isatty():
            terminal.say(f"note: {call.name} was not allowed, as nobody can be asked here; --yes allows it: {preview}")
            return False
        return await asyncio.to_thread(terminal.confirm, f"Allow {preview}?")

    return ask
