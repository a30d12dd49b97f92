"""`smidgen chat`: a conversation. Ctrl-C stops an answer, not the program; Ctrl-D leaves."""

from __future__ import annotations

import argparse

from smidgen.cli import options


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="talk with a model",
        description="A conversation. Works with piped input too, one message a line.",
        allow_abbrev=False,
    )
    options.add_answering(parser)
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end
    from smidgen.cli.talking import converse

    config = options.configured(arguments)
    return run_to_end(lambda: converse(arguments, config), interruptible=False)
