"""`smidgen do`: one small task by a micro-agent, on a file or on what is piped in. Files change only with --write."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.cli import exits, options, terminal
from smidgen.cli.given import WITH_FUNCTION, Given, check_file, module_of, patch, plain, write

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.events import Finished
    from smidgen.patterns import Pattern

TASKS = {
    "explain-error": "say what went wrong, and where, from a log",
    "write-tests": "tests for a file's functions, which pass on them and fail once a mistake is put in",
    "document": "docstrings for a file's functions, as a patch",
    "complete": "what is missing at FILE:LINE[:COLUMN], or where <GAP> stands",
    "write-code": "a function from its signature and docstring",
}
CHANGING = ("write-tests", "document", "complete", "write-code")
_PLACE = re.compile(r"(.+?):(\d+)(?::(\d+))?")


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "do",
        help="one small task on code or text, checked by running it",
        description="Do one small task. The result goes to stdout; files change only with --write.",
        epilog="Tasks: " + "; ".join(f"{name}: {what}" for name, what in TASKS.items()) + ". `list` shows them.",
        allow_abbrev=False,
    )
    parser.add_argument("task", help="a task's name, `list`, or the TOML file of your own")
    parser.add_argument("file", nargs="?", default="-", help="what it works on; `-` or none is standard input")
    parser.add_argument("--function", default="", metavar="NAME", help="only this function of the file")
    parser.add_argument("--write", action="store_true", help="change the file, or make the file of tests")
    options.add_model(parser)
    parser.add_argument("--seed", type=options.whole, metavar="N", help="for the same draws again")
    parser.add_argument("--timeout", type=options.whole, metavar="SECONDS", help="for the whole task; 0 for no limit")
    parser.add_argument("--trace", action="store_true", help="show each step on stderr as it happens")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of text")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end

    if arguments.task == "list":
        terminal.write(terminal.table(list(TASKS.items()), ("TASK", "WHAT IT DOES")) + "\n")
        return exits.OK
    check_options(arguments)
    given = read(arguments)
    check_file(given, arguments.task, function=arguments.function, change=arguments.write)
    pattern = pattern_for(arguments, given)
    config = options.configured(arguments)
    return run_to_end(lambda: do(arguments, config, pattern, given))


def check_options(arguments: argparse.Namespace) -> None:
    """Raises ConfigError for a task that isn't there, and for what it has no use for."""
    from smidgen.errors import ConfigError

    task: str = arguments.task
    if task not in TASKS and not task.endswith(".toml"):
        near = difflib.get_close_matches(task, TASKS, n=2)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(TASKS)}, or a TOML file."
        raise ConfigError(f"There is no task {task!r}.", hint=hint)
    if arguments.function and task not in WITH_FUNCTION:
        raise ConfigError(f"{task} has no use for --function.", hint=f"It is for: {', '.join(WITH_FUNCTION)}.")
    if arguments.write and task not in CHANGING:
        raise ConfigError(f"{task} changes no file, so there is nothing to --write.", hint="Leave --write out.")
    if arguments.write and arguments.file == "-":
        raise ConfigError("Standard input can't be written to.", hint="Name the file, or leave --write out.")


def read(arguments: argparse.Namespace) -> Given:
    """Raises ConfigError."""
    from smidgen.errors import ConfigError

    if arguments.file == "-":
        if sys.stdin.isatty():
            terminal.say("Write the text, then Ctrl-D.")
        text = terminal.stdin_text()
        if not text.strip():
            raise ConfigError(
                "There is nothing to work on.", hint=f"Name a file, or: smidgen do {arguments.task} < FILE"
            )
        return Given(text=plain(text), raw=text)
    name, line, column = arguments.file, 0, 0
    if arguments.task == "complete" and (place := _PLACE.fullmatch(name)):
        name, line, column = place[1], int(place[2]), int(place[3] or 0)
        if not line:
            raise ConfigError("Lines count from 1.", hint="Write FILE:LINE or FILE:LINE:COLUMN.")
    path = Path(name).expanduser()
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name} isn't there.", hint="Name a file, or pipe text in.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} can't be read: {error}.") from error
    if not text.strip():
        raise ConfigError(f"{name} is empty.")
    return Given(text=plain(text), raw=text, path=path.resolve(), data=data, line=line, column=column)


def pattern_for(arguments: argparse.Namespace, given: Given) -> Pattern:
    """Raises ConfigError."""
    from smidgen.patterns.micro import CodeWriter, Completer, DocWriter, ErrorExplainer, TestWriter

    match arguments.task:
        case "explain-error":
            return ErrorExplainer()
        case "write-tests":
            module = module_of(given.path) if given.path else "module"
            return TestWriter(function=arguments.function, module=module)
        case "document":
            return DocWriter(function=arguments.function)
        case "complete":
            file = given.path.name if given.path else "module.py"
            return Completer(file=file, line=given.line, column=given.column)
        case "write-code":
            return CodeWriter(function=arguments.function)
        case own:
            from smidgen.patterns.files import load_pattern

            return load_pattern(own)


async def do(arguments: argparse.Namespace, config: Config, pattern: Pattern, given: Given) -> int:
    from smidgen.cli.preparing import make_ready
    from smidgen.cli.printing import Printer
    from smidgen.events import Failed, Finished, Notice
    from smidgen.runtime.agent import Agent
    from smidgen.runtime.runtime import Runtime

    async with Runtime(config) as runtime:
        await make_ready(runtime, arguments)
        agent = Agent(model=runtime.model_name, runtime=runtime, pattern=pattern)
        printer = Printer(trace=arguments.trace, quiet=arguments.quiet, silent_text=True)
        notices: list[str] = []
        seed = {} if arguments.seed is None else {"seed": arguments.seed}
        async with aclosing(agent.astream(given.text, **seed)) as events:
            async for event in events:
                printer.feed(event)
                if isinstance(event, Notice):
                    notices.append(event.message)
                elif isinstance(event, Failed):
                    raise event.error.to_exception()
                elif isinstance(event, Finished):
                    return ended(event, tuple(notices), arguments, given)
    return exits.INTERNAL


def ended(event: Finished, notices: tuple[str, ...], arguments: argparse.Namespace, given: Given) -> int:
    """Raises ConfigError for a file that mustn't be written."""
    from smidgen.runtime.answers import answer_of
    from smidgen.tools.visible import without_commands

    for warning in event.warnings:
        if warning not in notices:
            terminal.say(f"note: {warning}", quiet=arguments.quiet)
    if arguments.write:
        written = write(arguments.task, event.text, given)
        terminal.say(f"wrote {written}", quiet=arguments.quiet)
    if arguments.json:
        terminal.write_json(answer_of(event, notices))
    elif not arguments.write:
        text = patch(event.text, given) if arguments.task == "document" else event.text
        text = text if text.endswith("\n") else text + "\n"
        terminal.write(without_commands(text) if sys.stdout.isatty() else text)
    if event.finish_reason == "deadline":
        terminal.say("error: the time was up before the answer was complete.")
        terminal.say("hint: give it longer with --timeout.")
        return exits.DEADLINE
    if event.finish_reason == "length":
        terminal.say("note: the answer was cut at its length limit.", quiet=arguments.quiet)
    return exits.OK
