"""`smidgen mcp`: agents and tools for a program that speaks the Model Context Protocol."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.config import Config
    from smidgen.runtime.runtime import Runtime


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "mcp",
        help="be a server of the Model Context Protocol, for the program that starts it",
        description="Offer agents and tools by the Model Context Protocol, on standard input and output.",
        allow_abbrev=False,
    )
    options.add_model(parser)
    parser.add_argument(
        "--tools",
        type=options.names,
        metavar="A,B",
        help='tools and groups to offer, as `smidgen run` takes them; "" for none (default: calculator, dates)',
    )
    parser.add_argument(
        "--agents", type=options.names, metavar="A,B", help='agents to offer; "" for none (default: all)'
    )
    parser.add_argument("--workspace", metavar="DIR", help="folder that tools may touch (default: this one)")
    parser.add_argument("--permissions", metavar="FILE", help="rules for tools (default: the configuration's)")
    parser.add_argument("--yes", action="store_true", help="let tools change things without asking")
    parser.add_argument("--dry-run", action="store_true", help="let tools only say what they would change")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    from smidgen.cli.process import run_to_end

    config = options.configured(arguments)
    return run_to_end(lambda: _served(arguments, config))


async def _served(arguments: argparse.Namespace, config: Config) -> int:
    import asyncio

    from smidgen.api.mcp.calls import Manner
    from smidgen.api.mcp.offered import DEFAULT_TOOLS, Offered
    from smidgen.api.mcp.server import Serving
    from smidgen.api.mcp.stdio import talk
    from smidgen.api.service import Service
    from smidgen.config import permissions_path
    from smidgen.runtime.runtime import Runtime

    def tell(text: str) -> None:
        terminal.say(f"note: {text}", quiet=arguments.quiet)

    async with Runtime(config) as runtime:
        service = Service(runtime, config.serve)
        tools = DEFAULT_TOOLS if arguments.tools is None else arguments.tools
        offered = Offered(service, agents=arguments.agents, tools=tools, tell=tell)
        to_allow = f"Allow it by a rule in {permissions_path(config)}, or start `smidgen mcp` with --yes."
        serving = Serving(service, offered, Manner(yes=arguments.yes, dry_run=arguments.dry_run, to_allow=to_allow))
        if sys.stdin.isatty():
            tell("programs that speak the Model Context Protocol start this command; Ctrl-C ends it.")
        looking = asyncio.ensure_future(_tell_of_model(runtime, tell) if arguments.agents != () else asyncio.sleep(0))
        try:
            await talk(serving.protocol)
        finally:
            looking.cancel()
            await asyncio.wait({looking})
            await serving.aclose()
    return exits.OK


async def _tell_of_model(runtime: Runtime, tell: Callable[[str], None]) -> None:
    """Nothing is fetched now: whoever starts servers doesn't wait long for one."""
    from smidgen.errors import ModelNotPulled, SmidgenError
    from smidgen.tools.threads import in_daemon_thread

    try:
        await in_daemon_thread(runtime.resolve)
    except ModelNotPulled as missing:
        tell(f"{missing.message} It is fetched by the first request that needs it.")
    except SmidgenError:
        return  # told to whoever asks the model
