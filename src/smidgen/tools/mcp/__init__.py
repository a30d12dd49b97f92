"""BORROWS: tools of other programs, by the Model Context Protocol. Each server is a program of the user's own, started
when its tools are first needed, or one that is asked over HTTP.

stderr      the last of what a server wrote to its standard error
session     one connection, from its start to its end, held by a task of its own
connection  one server over its sessions: started again where it ended, its tools listed and called
offer       pure: what a server says of a tool, as far as it can be used
names       pure: what its tools are called here
content     pure: what a call returned, as an outcome
borrowed    one such tool
toolset     `ServerTools`, which stands for a server's tools until a run begins; `McpTools`, for callers from Python

What a server says is text from outside: its descriptions are read by the model alone, and its results are a tool's
text. Whatever it doesn't call reading counts as a change, and is asked about. The protocol's own library is imported
when a server is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from smidgen.tools.mcp.toolset import McpTools

__all__ = ["McpServer", "McpTools"]


class McpServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a server is, and what of it is wanted.

    command: a program and its arguments, spoken to over its standard input and output; env: variables that it gets
    besides the few that every program needs. url: of a server that is asked by streamable HTTP instead, with these
    headers. tools: by the server's own names, all if empty. timeout_s: for its start, and for each call. Raises
    ValueError for what makes no sense together.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    env: dict[str, str] = {}
    headers: dict[str, str] = {}
    tools: tuple[str, ...] = ()
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        if self.url:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{self.url!r} is not an address that begins with http:// or https://")
            if self.env:
                raise ValueError("only a server with a command has env")
        elif self.headers:
            raise ValueError("only a server with a url has headers")
        elif not self.command[0]:
            raise ValueError("the command's first word is empty")
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError("timeout_s must be more than 0")

    @property
    def host(self) -> str:
        """In lower case, without a port; "" for one with a command."""
        return urlsplit(self.url).hostname or ""


def __getattr__(name: str) -> Any:
    if name != "McpTools":
        raise AttributeError(f"module 'smidgen.tools.mcp' has no attribute {name!r}")
    from smidgen.tools.mcp.toolset import McpTools

    return McpTools
