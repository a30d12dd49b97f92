"""`smidgen`: arguments in, an exit status out. Each command is a file; its work is imported when it is chosen."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from smidgen.cli import audit, chat, do, doctor, evaluate, exits, mcp, models, run, serve, terminal, tune
from smidgen.errors import SmidgenError

COMMANDS = (run, chat, do, serve, mcp, models, tune, evaluate, audit, doctor)


class Parser(argparse.ArgumentParser):
    """Errors in smidgen's own shape, with near names for what was mistyped."""

    def error(self, message: str) -> NoReturn:
        terminal.say(f"error: {_plain(message)}")
        terminal.say(f"hint: {near_command(message) or f'See `{self.prog} --help`.'}")
        raise SystemExit(exits.USAGE)


def parser() -> argparse.ArgumentParser:
    root = Parser(
        prog="smidgen",
        description="Agents on small language models, on the computer you already have.",
        epilog="Exit status: 0 done, 1 no answer, 2 usage, 3 model file, 4 engine, 5 deadline, 130 interrupted.",
        allow_abbrev=False,
    )
    root.add_argument("--version", action="store_true", help="print the version and exit")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add_to(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status; prints no traceback unless SMIDGEN_DEBUG is set."""
    as_json = False
    try:
        root = parser()
        arguments = root.parse_args(argv)
        as_json = getattr(arguments, "json", False)
        if arguments.version:
            from smidgen import __version__

            terminal.write(f"smidgen {__version__}\n")
            return exits.OK
        if arguments.command is None:
            root.print_help()
            return exits.USAGE
        status: int = arguments.perform(arguments)
        sys.stdout.flush()
        return status
    except exits.Stopped as stopped:
        return stopped.status
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output is gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.PIPE_CLOSED
    except Exception as error:
        if terminal.debugging():
            raise
        terminal.report(terminal.unexpected(error), as_json=as_json)
        return exits.exit_status(error) if isinstance(error, SmidgenError) else exits.INTERNAL


def near_command(message: str) -> str:
    """What a mistyped command may have meant, from argparse's message."""
    if "invalid choice" not in message:
        return ""
    words = message.split("'")
    typed, known = words[1], words[3::2]
    near = difflib.get_close_matches(typed, known, n=2)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _plain(message: str) -> str:
    return message.removeprefix("argument COMMAND: ").rstrip(".") + "."
