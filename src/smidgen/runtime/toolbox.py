"""Tools by name, built in or of a server, and what those of one runtime share: rules, sandbox, interpreters, a web
client, connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from smidgen.config import Config, config_path, permissions_path
from smidgen.errors import ConfigError, UnknownTool
from smidgen.tools import Tool, Use
from smidgen.tools.builtin import NAMES as PLAIN
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.mcp.connection import Connection
from smidgen.tools.mcp.toolset import ServerTools
from smidgen.tools.permissions.audit import Audit
from smidgen.tools.permissions.hidden import hidden_paths
from smidgen.tools.permissions.policy import Policy, Rule
from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.programs.pool import Pool
from smidgen.tools.programs.sessions import Sessions
from smidgen.tools.registry import near_names
from smidgen.tools.sandbox.probe import Probing
from smidgen.tools.threads import in_daemon_thread

DATES = ("current_time", "weekday", "days_between", "date_add")
FILES = ("list_files", "read_file", "search_files", "look_up", "write_file", "edit_file", "undo_write")
DATA = ("query",)
PROGRAMS = ("run_python", "run_command")
WEB = ("web_search", "fetch")
GROUPS = {"dates": DATES, "files": FILES, "data": DATA, "programs": PROGRAMS, "web": WEB}
NAMES = (*PLAIN, "look_up", *DATA, *PROGRAMS, *WEB)
"""All built-in tools, in the order in which a model is told of them."""


MCP = "mcp:"
"""What names of servers begin with: "mcp:time" for all tools of one, "mcp:time.get_current_time" for one tool."""

LOG = "audit.sqlite"


class Toolbox:
    """Close it with `aclose`, on the loop that its tools ran on."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.workspace = config.workspace_path()
        self.boxes = Probing()
        self._sessions: Sessions | None = None
        self._allowed: list[Rule] = []
        self._servers: dict[str, Connection] = {}

    def tools(self, wanted: Sequence[str]) -> tuple[Tool, ...]:
        """Tools, groups of them, or "all" that are built in, and those of servers, each once, in the order given.
        Raises UnknownTool, ConfigError, InvalidRequest."""
        every = [one for name in wanted for one in (NAMES if name == "all" else GROUPS.get(name, (name,)))]
        names = tuple(dict.fromkeys(every))
        unknown = next((one for one in names if one not in NAMES and not one.startswith(MCP)), None)
        if unknown is not None:
            known = (*NAMES, *GROUPS, *(f"{MCP}{server}" for server in self._config.mcp), "all")
            near = near_names(unknown, known)
            hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(known)}."
            raise UnknownTool(f"There is no tool called {unknown!r}.", hint=hint, near=list(near))
        makers: dict[str, Callable[[], Tool]] = {
            "look_up": self._look_up,
            "query": self._query,
            "run_python": self._python,
            "run_command": self._command,
            "web_search": self._search,
            "fetch": self._fetch,
        }
        found = {tool.spec.name: tool for tool in self._plain([one for one in names if one in PLAIN])}
        found |= {name: self._of_server(name) for name in names if name.startswith(MCP)}
        return tuple(found[one] if one in found else makers[one]() for one in names)

    def _of_server(self, name: str) -> Tool:
        """Nothing is started yet. Raises UnknownTool for a server that the configuration doesn't have."""
        server, _, only = name.removeprefix(MCP).partition(".")
        servers = self._config.mcp
        if server not in servers:
            near = near_names(server, tuple(servers))
            known = f"There are: {', '.join(servers)}." if servers else f"Add [mcp.{server}] to {config_path()}."
            hint = f"Did you mean {', '.join(f'{MCP}{one}' for one in near)}?" if near else known
            raise UnknownTool(f"There is no MCP server called {server!r}.", hint=hint, near=list(near))
        if server not in self._servers:
            self._servers[server] = Connection(server, servers[server])
        return ServerTools(self._servers[server], only)

    def _plain(self, names: Sequence[str]) -> tuple[Tool, ...]:
        """Made together: `undo_write` takes back what the others of them wrote."""
        return builtin_tools(self.workspace, names, hidden=self.policy.hides) if names else ()

    @property
    def policy(self) -> Policy:
        """The user's rules; without a file, the defaults. Nothing in the workspace may change them. Raises
        ConfigError."""
        return self._rules.with_rules(*self._allowed)

    @cached_property
    def _rules(self) -> Policy:
        from smidgen.tools.permissions.policy_file import read_policy

        path = permissions_path(self._config)
        try:
            policy = read_policy(path)
        except FileNotFoundError:
            if self._config.permissions:
                hint = "Write it, or take `permissions` out of the configuration."
                raise ConfigError(f"The file with rules for tools, {path}, isn't there.", hint=hint) from None
            policy = Policy()
        return policy.with_rules(*self._own_files(path))

    def _own_files(self, rules: Path) -> list[Rule]:
        """smidgen's own files, where they lie in the workspace, are out of every tool's sight."""
        home = self._config.home_path()
        logs = [home / f"{LOG}{ending}" for ending in ("", "-wal", "-shm", "-journal")]
        found: list[Rule] = []
        for place in (rules, config_path(), home, *logs):
            # A link in the workspace is as much to be kept as what it leads to.
            for inside in (_inside(place, self.workspace), _inside(place.resolve(), self.workspace.resolve())):
                if inside is not None and inside.parts:
                    found.append(Rule(decision="deny", path=_literally(inside)))
        return list(dict.fromkeys(found))

    @cached_property
    def audit(self) -> Audit | None:
        return Audit(self._config.home_path() / LOG) if self._config.audit == "on" else None

    async def forget(self, number: int) -> None:
        """What tools keep for a conversation that is over."""
        if self._sessions is not None:
            await self._sessions.end(number)

    async def aclose(self) -> None:
        try:
            if self._sessions is not None:
                await self._sessions.aclose()
            if "programs" in self.__dict__:
                await self.programs.aclose()
        finally:
            await asyncio.gather(*[server.aclose() for server in self._servers.values()])

    @property
    def _writable(self) -> bool:
        return self._config.programs == "write"

    @cached_property
    def programs(self) -> Pool:
        """For programs of their own: no files but Python's, no network."""

        async def start() -> Interpreter:
            return await Interpreter.start(await self.boxes.sandbox())

        return Pool(start)

    async def _hidden(self) -> tuple[str, ...]:
        """Looked for anew each time, in a thread: there may be many files."""
        return await in_daemon_thread(hidden_paths, workspace=self.workspace, policy=self.policy)

    async def _interpreter(self) -> Interpreter:
        sandbox = await self.boxes.sandbox()
        return await Interpreter.start(sandbox, self.workspace, writable=self._writable, hidden=await self._hidden())

    def _look_up(self) -> Tool:
        from smidgen.tools.builtin.confined import Workspace
        from smidgen.tools.lookup.look_up import LookUp

        return LookUp(Workspace(self.workspace, self.policy.hides))

    def _query(self) -> Tool:
        from smidgen.tools.data.prepared import Query

        return Query(self.workspace, self.boxes.sandbox, self.policy.hides, out_of_sight=self._hidden)

    def _python(self) -> Tool:
        from smidgen.tools.programs.python import python_tool

        if self._sessions is None:
            self._sessions = Sessions(self._interpreter)
        return python_tool(self._sessions, writable=self._writable)

    def _command(self) -> Tool:
        from smidgen.tools.programs.command import command_tool

        return command_tool(self.boxes.sandbox, self.workspace, writable=self._writable, hidden=self._hidden)

    def _search(self) -> Tool:
        from smidgen.tools.web.providers import provider
        from smidgen.tools.web.search import search_tool

        chosen = self._config.search
        asked = provider(chosen.provider, chosen.url, chosen.key)
        allowed = Rule(decision="allow", tool="web_search", verb="fetch", host=asked.host)
        # Whoever gives the tool allows that its provider is asked, unless the rules say otherwise of all computers.
        if allowed not in self._allowed and self._rules.unless_ruled("fetch") == "allow":
            self._allowed.append(allowed)
        return search_tool(asked)

    def _fetch(self) -> Tool:
        from smidgen.tools.web.client import Client
        from smidgen.tools.web.fetch import fetch_tool

        return fetch_tool(Client(may_ask=self._may_ask))

    def _may_ask(self, host: str) -> bool:
        return self.policy.ruling("fetch", (Use(verb="fetch", host=host),)).decision != "deny"


def _inside(place: Path, folder: Path) -> Path | None:
    """place, relative to the folder; None if it isn't in it."""
    place, folder = (path.absolute() for path in (place, folder))
    return place.relative_to(folder) if place.is_relative_to(folder) else None


def _literally(path: Path) -> str:
    """As a pattern that stands for just this path."""
    return "/".join("".join(f"[{sign}]" if sign in "*?[" else sign for sign in part) for part in path.parts)
