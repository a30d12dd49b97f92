"""`smidgen audit`: what tools did, who let them, and what came of it."""

from __future__ import annotations

import argparse
import datetime
from typing import TYPE_CHECKING

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.tools.permissions.audit import Entry


def add_to(commands: options.Subparsers) -> None:
    parser = commands.add_parser("audit", help="show what tools did", description="Show what tools did, newest last.")
    parser.add_argument("--last", type=options.whole, default=20, metavar="N", help="so many; 0 for all (default: 20)")
    parser.add_argument("--tool", default="", metavar="NAME", help="only calls of this tool")
    parser.add_argument("--json", action="store_true", help="with everything that was logged, as JSON")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.runtime.toolbox import Toolbox

    audit = Toolbox(options.configured(arguments)).audit
    entries = [] if audit is None else audit.last(arguments.last, tool=arguments.tool)
    entries.reverse()
    if arguments.json:
        terminal.write_json(entries)
    elif entries:
        rows = [_row(entry) for entry in entries]
        terminal.write(terminal.table(rows, ("when", "tool", "decision", "result", "arguments")) + "\n")
    elif audit is None:
        terminal.say('Nothing is logged: the configuration says audit = "off".')
    else:
        terminal.say("No tool was called yet." if not arguments.tool else f"{arguments.tool} was not called yet.")
    return exits.OK


def _row(entry: Entry) -> tuple[str, ...]:
    from smidgen.tools.visible import visible

    when = datetime.datetime.fromtimestamp(entry.at).strftime("%Y-%m-%d %H:%M:%S")
    came = "-" if entry.ok is None else "ok" if entry.ok else f"failed{f' ({entry.fault})' if entry.fault else ''}"
    shown = visible(entry.arguments)
    return when, visible(entry.tool), entry.decision, came, shown if len(shown) <= 80 else f"{shown[:79]}…"
