"""`smidgen run`: one request, one answer."""

from __future__ import annotations

import argparse
import itertools
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.events import Finished

_BY_FINISH = {"deadline": exits.DEADLINE, "cancelled": exits.INTERRUPTED}


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="answer one request",
        description="Answer one request. Text goes to stdout as it is written, everything else to stderr.",
        allow_abbrev=False,
    )
    parser.add_argument("request", nargs="*", help="what is asked; `-` stands for standard input")
    options.add_answering(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of text")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end

    request = request_text(arguments.request)
    config = options.configured(arguments)
    return run_to_end(lambda: answer(arguments, config, request))


def request_text(words: list[str]) -> str:
    """The words in a row; a `-` among them, or no words at all, stands for standard input. Raises ConfigError."""
    from smidgen.errors import ConfigError

    parts = [" ".join(run) for dash, run in _runs(words) if not dash]
    if "-" in words or not words:
        if sys.stdin.isatty():
            if not words:
                raise ConfigError("Nothing was asked.", hint='Write smidgen run "…", or pipe text into it.')
            terminal.say("Write the text, then Ctrl-D.")
        position = words.index("-") if "-" in words else 0
        parts.insert(0 if position == 0 else 1, terminal.stdin_text().strip("\n"))
    elif terminal.stdin_is_waiting():
        terminal.say("note: standard input was not read; add `-` after the request to include it.")
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise ConfigError("The request is empty.", hint='Write smidgen run "…", or pipe text into it.')
    return text


def _runs(words: list[str]) -> list[tuple[bool, list[str]]]:
    return [(dash, list(run)) for dash, run in itertools.groupby(words, lambda word: word == "-")]


async def answer(arguments: argparse.Namespace, config: Config, request: str) -> int:
    from smidgen.cli.preparing import agent_for, make_ready
    from smidgen.cli.printing import Printer
    from smidgen.events import Failed, Finished, Notice
    from smidgen.runtime.runtime import Runtime

    async with Runtime(config) as runtime:
        await make_ready(runtime, arguments)
        agent = agent_for(runtime, arguments)
        printer = Printer(trace=arguments.trace, quiet=arguments.quiet, silent_text=arguments.json)
        notices: list[str] = []
        async with aclosing(agent.astream(request, **options.agent_options(arguments))) as events:
            try:
                async for event in events:
                    printer.feed(event)
                    if isinstance(event, Notice):
                        notices.append(event.message)
                    elif isinstance(event, Failed):
                        raise event.error.to_exception()
                    elif isinstance(event, Finished):
                        return ended(event, tuple(notices), arguments)
            except BaseException:
                printer.end_line()
                raise
    return exits.INTERNAL


def ended(event: Finished, notices: tuple[str, ...], arguments: argparse.Namespace) -> int:
    from smidgen.runtime.answers import answer_of

    if arguments.json:
        terminal.write_json(answer_of(event, notices))
    for warning in event.warnings:
        if warning not in notices:
            terminal.say(f"note: {warning}", quiet=arguments.quiet)
    if event.finish_reason == "deadline":
        terminal.say("error: the time was up before the answer was complete.")
        terminal.say("hint: give it longer with --timeout, or ask for less with --max-tokens.")
    elif event.finish_reason == "length":
        terminal.say("note: the answer was cut at its length limit; --max-tokens sets it.", quiet=arguments.quiet)
    return _BY_FINISH.get(event.finish_reason, exits.OK)
