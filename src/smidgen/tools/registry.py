"""A set of tools by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from smidgen.errors import InvalidRequest, UnknownTool
from smidgen.messages import ToolSpec
from smidgen.tools import Tool


class Registry:
    """Tools in the order given; names are unique. Raises InvalidRequest when they aren't."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            name = tool.spec.name
            if name in self._tools:
                raise InvalidRequest(f"Two tools are called {name!r}.", hint="Prefix one with tools.wrappers.Prefixed.")
            self._tools[name] = tool

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    def get(self, name: str) -> Tool:
        """Raises UnknownTool with the names that are close."""
        if name in self._tools:
            return self._tools[name]
        near = near_names(name, tuple(self._tools))
        hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(self._tools) or 'no tools'}."
        raise UnknownTool(f"There is no tool called {name!r}.", hint=hint, near=list(near))


def near_names(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Up to three of `names` that look like `name`, the closest first."""
    return tuple(difflib.get_close_matches(name, names, n=3, cutoff=0.6))
