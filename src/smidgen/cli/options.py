"""Options that several commands share, and what they make of the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smidgen.config import Config

Subparsers = Any  # argparse names its own type only privately.


def add_answering(parser: argparse.ArgumentParser) -> None:
    """What `run` and `chat` have in common."""
    add_model(parser)
    parser.add_argument("--max-tokens", type=whole, metavar="N", help="tokens of an answer at most")
    parser.add_argument("--temperature", type=_number, metavar="T", help="0 always takes the likeliest token")
    parser.add_argument("--seed", type=whole, metavar="N", help="for the same draws again")
    parser.add_argument("--timeout", type=_number, metavar="SECONDS", help="for one answer; 0 for no limit")
    parser.add_argument("--system", default="", metavar="TEXT", help="instructions for the model")
    tools = parser.add_mutually_exclusive_group()
    tools.add_argument(
        "--tools",
        type=names,
        metavar="A,B",
        help="built-in tools, or groups: dates, files, data, programs, web, all; mcp:NAME for a server's",
    )
    tools.add_argument("--no-tools", action="store_true", help="give no tools")
    tools.add_argument("--pattern", metavar="FILE", help="answer as this TOML file says: docs/patterns.md")
    parser.add_argument("--workspace", metavar="DIR", help="folder that tools may touch (default: this one)")
    parser.add_argument("--permissions", metavar="FILE", help="rules for tools (default: the configuration's)")
    parser.add_argument("--yes", action="store_true", help="let tools change things without asking")
    parser.add_argument("--dry-run", action="store_true", help="let tools only say what they would change")
    parser.add_argument("--trace", action="store_true", help="show each step on stderr as it happens")


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", help="catalogue name, path of a GGUF file, or hf:owner/repo/file")
    add_loading(parser)


def add_loading(parser: argparse.ArgumentParser) -> None:
    """How the model is opened."""
    parser.add_argument("--context", type=whole, metavar="TOKENS", help="for prompt and answer together")
    parser.add_argument("--threads", type=whole, metavar="N", help="for the model (default: physical cores)")
    parser.add_argument("--accept-license", action="store_true", help="accept the model's licence terms")
    add_quiet(parser)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", "-q", action="store_true", help="no notices and no progress on stderr")


def configured(arguments: argparse.Namespace) -> Config:
    """File, environment and command line together. Raises ConfigError."""
    from smidgen.config import load_config
    from smidgen.errors import ConfigError

    workspace = getattr(arguments, "workspace", None)
    if workspace and not Path(workspace).expanduser().is_dir():
        raise ConfigError(f"The workspace {workspace} is not a folder.", hint="Make it first, or name another one.")
    return load_config(
        model=getattr(arguments, "model", None),
        context=getattr(arguments, "context", None),
        threads=getattr(arguments, "threads", None),
        workspace=workspace,
        permissions=getattr(arguments, "permissions", None),
        max_tokens=getattr(arguments, "max_tokens", None),
        timeout_s=getattr(arguments, "timeout", None),
    )


def agent_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for an agent's run: only those that were given."""
    given = {"temperature": arguments.temperature, "seed": arguments.seed, "max_tokens": arguments.max_tokens}
    return {name: value for name, value in given.items() if value is not None}


def _checked(kind: Callable[[str], Any], what: str) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not 0 <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return convert


whole = _checked(int, "a whole number, 0 or more")
_number = _checked(float, "a number, 0 or more")


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
