"""`smidgen serve`: answers over HTTP until it is stopped."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from smidgen.cli import exits, options, terminal

if TYPE_CHECKING:
    from smidgen.config import Config

GIVEN = ("host", "port", "keys", "hosts", "origins", "streams", "keep_alive_s")


def add_to(commands: options.Subparsers) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="answer over HTTP, for other programs and a page in the browser",
        description="Answer over HTTP. Clients of OpenAI, Anthropic, Ollama and llama-server work unchanged.",
        allow_abbrev=False,
    )
    options.add_model(parser)
    parser.add_argument("--host", metavar="ADDRESS", help="where to listen (default: 127.0.0.1, this computer only)")
    parser.add_argument("--port", type=options.whole, metavar="N", help="port to listen on (default: 8012)")
    parser.add_argument("--ollama", action="store_true", default=None, help="listen on Ollama's port 11434 too")
    parser.add_argument("--key", dest="keys", action="append", metavar="KEY", help="let requests with this key in")
    parser.add_argument("--allow-host", dest="hosts", action="append", metavar="NAME", help="a name it is called by")
    parser.add_argument(
        "--allow-origin", dest="origins", action="append", metavar="URL", help="a page that may call it"
    )
    parser.add_argument("--streams", type=options.whole, metavar="N", help="requests answered at once (default: 64)")
    parser.add_argument(
        "--keep-alive", dest="keep_alive_s", type=options.whole, metavar="SECONDS", help="close idle models after"
    )
    parser.add_argument(
        "--log-prompts", dest="prompts", action="store_true", default=None, help="log what is asked too"
    )
    parser.add_argument("--workspace", metavar="DIR", help="folder that tools may touch (default: this one)")
    parser.add_argument("--permissions", metavar="FILE", help="rules for tools (default: the configuration's)")
    parser.set_defaults(perform=perform)


def perform(arguments: argparse.Namespace) -> int:
    config = with_serve(options.configured(arguments), arguments)
    from smidgen.cli.process import run_to_end

    return run_to_end(lambda: _served(arguments, config))


def with_serve(config: Config, arguments: argparse.Namespace) -> Config:
    """What the command line says of the server wins over the configuration."""
    import msgspec

    changed: dict[str, Any] = {}
    for name in (*GIVEN, "ollama", "prompts"):
        value = getattr(arguments, name)
        if value is not None:
            changed[name] = tuple(cast("list[str]", value)) if isinstance(value, list) else value
    return msgspec.structs.replace(config, serve=msgspec.structs.replace(config.serve, **changed))


def _log(arguments: argparse.Namespace) -> None:
    """A line of JSON for each request on stderr, and what goes wrong; --quiet leaves the requests out."""
    import logging

    if terminal.debugging():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger("smidgen")
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("smidgen.api.access").setLevel(logging.WARNING if arguments.quiet else logging.INFO)
    logging.getLogger("smidgen.api.prompts").setLevel(logging.INFO)  # written only where the settings want it


async def _served(arguments: argparse.Namespace, config: Config) -> int:
    from smidgen.api.server import answer, listening
    from smidgen.cli.preparing import make_ready
    from smidgen.runtime.runtime import Runtime

    _log(arguments)
    sockets = listening(config.serve)
    runtime = Runtime(config)

    def ready(addresses: Iterable[str]) -> None:
        for address in addresses:
            terminal.say(f"listening on {address}", quiet=arguments.quiet)

    async with runtime:
        await make_ready(runtime, arguments)
        await answer(config, sockets, runtime=runtime, ready=ready)
    return exits.OK
